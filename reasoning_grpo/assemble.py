"""A prepared run and its folder -> trainer, logs and held-out measurement, connected; model folders that are whole."""

import contextlib
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import broadcast_object_list, gather_object
from transformers import PrinterCallback
from transformers.trainer_callback import ProgressCallback
from trl import GRPOConfig
from trl.models.utils import unwrap_model_for_generation

from reasoning_grpo import storage
from reasoning_grpo.callbacks import MetricsLog, StepBar
from reasoning_grpo.checkpoint import RunLogs
from reasoning_grpo.durable import DurableTrainer
from reasoning_grpo.errors import RecipeError, UserError
from reasoning_grpo.eval.backends.in_process import TransformersBackend
from reasoning_grpo.eval.harness import run_benchmark
from reasoning_grpo.faults import StopSignals, TruncationWarning, UngradableWarning
from reasoning_grpo.heldout import NOTE_FILE, HeldoutAccuracy
from reasoning_grpo.models import end_token_ids, record_prompt_style
from reasoning_grpo.prepare import Prepared
from reasoning_grpo.processes import process_state
from reasoning_grpo.progress import Bar
from reasoning_grpo.rollout import Sampling
from reasoning_grpo.schema import Verdict
from reasoning_grpo.trl_bridge import RewardFunction, to_dataset
from reasoning_grpo.trl_config import grpo_config


@contextlib.contextmanager
def open_logs(run_dir: Path) -> Iterator[dict[str, storage.JsonlWriter]]:
    """Open this process's logs, by their name in the run folder; only the main process has more than its rollouts."""
    names = [f"rollouts/rank-{process_state().process_index}.jsonl"]
    if process_state().is_main_process:
        names += ["metrics.jsonl", "heldout.jsonl"]
    with contextlib.ExitStack() as stack:
        yield {name: stack.enter_context(storage.JsonlWriter(run_dir / name)) for name in names}


def assemble(
    prepared: Prepared, run_dir: Path, logs: Mapping[str, storage.JsonlWriter], bar: Bar, stop: StopSignals
) -> DurableTrainer:
    """Return the trainer with everything that watches it."""
    config = grpo_config(prepared.recipe, prepared.plan, run_dir / "checkpoints")
    trainer = _trainer(prepared, config, logs, stop)
    if process_state().is_main_process:
        trainer.add_callback(MetricsLog(logs["metrics.jsonl"]))
        trainer.add_callback(TruncationWarning())
        trainer.add_callback(UngradableWarning(lambda: _last_verdicts(trainer)))
    trainer.add_callback(StepBar(bar))
    if prepared.recipe.heldout.every:
        trainer.measure_with(_heldout(prepared, trainer, run_dir, logs.get("heldout.jsonl")))
    return trainer


def save_model(
    trainer: DurableTrainer,
    prepared: Prepared,
    folder: Path,
    keep_old_as: Path | None = None,
    note: Mapping[str, Any] | None = None,
) -> None:
    """Write model, tokenizer, prompt style and a note as one folder that is whole or not there.

    Called on every process: under FSDP and ZeRO-3 the weights come from all of them.
    """
    with _whole_folder(folder, keep_old_as) as part:
        trainer.save_model(str(part))
        if process_state().is_main_process:
            record_prompt_style(part, prepared.style.name)
            (part / "training_args.bin").unlink(missing_ok=True)  # a pickle nobody needs: recipe.toml says the same
            if note is not None:
                storage.write_json(part / NOTE_FILE, note)


def _trainer(
    prepared: Prepared, config: GRPOConfig, logs: Mapping[str, storage.JsonlWriter], stop: StopSignals
) -> DurableTrainer:
    with _refusals_of_trl():
        trainer = _built(prepared, config, logs, stop)
    for callback in (PrinterCallback, ProgressCallback):  # they print a dictionary per step over the bar
        trainer.remove_callback(callback)
    return trainer


@contextlib.contextmanager
def _refusals_of_trl() -> Iterator[None]:
    """Say in one sentence what TRL finds when it puts itself together: a missing package, options that exclude."""
    try:
        yield
    except (UserError, torch.OutOfMemoryError):
        raise
    except (ValueError, ImportError, RuntimeError) as error:
        if _origin(error) in ("reasoning_grpo", "torch"):  # a bug of ours or the device's: not for the recipe's author
            raise
        raise RecipeError(f"TRL refuses the configuration: {str(error).strip().partition(chr(10))[0]}") from error


def _origin(error: Exception) -> str:
    """Return the package whose code raised the error."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return str(frame.f_globals.get("__name__")).partition(".")[0]


def _built(
    prepared: Prepared, config: GRPOConfig, logs: Mapping[str, storage.JsonlWriter], stop: StopSignals
) -> DurableTrainer:
    return DurableTrainer(
        logs=RunLogs(logs),
        stop=stop,
        keep_checkpoints=prepared.recipe.train.keep_checkpoints,
        prompt_style=prepared.style.name,
        model=prepared.model,
        args=config,
        reward=RewardFunction(prepared.spec, end_ids=end_token_ids(prepared.model, prepared.tokenizer)),
        rollouts=logs[f"rollouts/rank-{process_state().process_index}.jsonl"],
        max_resampling_rounds=prepared.recipe.train.max_resampling_rounds,
        train_dataset=to_dataset(prepared.problems, prepared.prompts),
        processing_class=prepared.tokenizer,
    )


def _last_verdicts(trainer: DurableTrainer) -> Iterator[Verdict]:
    return (verdict for attempt in trainer.reward.last_attempts for verdict in attempt.verdicts.values())


def _heldout(
    prepared: Prepared, trainer: DurableTrainer, run_dir: Path, writer: storage.JsonlWriter | None
) -> HeldoutAccuracy:
    settings = prepared.recipe.heldout
    return HeldoutAccuracy(
        measure=lambda: _heldout_verdicts(prepared, trainer),
        save=lambda folder, old, note: trainer.attempt(lambda: save_model(trainer, prepared, folder, old, note)),
        every=settings.every,
        best_dir=run_dir / "best",
        writer=writer,
        stop_on_drop=settings.stop_on_drop,
    )


def _heldout_verdicts(prepared: Prepared, trainer: DurableTrainer) -> dict[str, Verdict]:
    """Answer the held-out problems greedily, each process its share, and put the shares together."""
    state = process_state()
    share = prepared.heldout[state.process_index :: state.num_processes]
    sampling = Sampling(max_completion_tokens=prepared.recipe.train.max_completion_tokens)
    with unwrap_model_for_generation(trainer.model_wrapped, trainer.accelerator) as model:
        plain = getattr(model, "_orig_mod", model)  # a compiled one would be compiled anew for every length
        backend = TransformersBackend(plain, prepared.tokenizer, prepared.style, sampling)
        measured = run_benchmark(share, backend, prepared.spec)
    verdicts = [(attempt.problem_id, measured.verdict(attempt)) for attempt in measured.attempts]
    return dict(gather_object(verdicts) if state.num_processes > 1 else verdicts)


@contextlib.contextmanager
def _whole_folder(folder: Path, keep_old_as: Path | None) -> Iterator[Path]:
    """`storage.replacing_folder`, filled by every process and put in its place by the main one."""
    state = process_state()
    with contextlib.ExitStack() as stack:
        refusal: OSError | None = None
        if state.is_main_process:
            try:
                stack.enter_context(storage.replacing_folder(folder, keep_old_as=keep_old_as))
            except OSError as error:
                refusal = error
        refusal = broadcast_object_list([refusal])[0]  # the others wait here, and go no further than the main one
        if refusal:
            raise refusal
        try:
            yield storage.scratch_folder(folder)
        finally:
            state.wait_for_everyone()  # a full disk is met by one process, and the others wait for it here
