"""Recipe -> trained model. Everything that can be wrong is found before the run folder exists.

    prepare   rewards, data, tokenizer, prompts, batch plan, model
    run       trainer, with metrics, rollouts, held-out accuracy and checkpoints on disk
    finish    final model and manifest; `"status": "finished"` is written last

The run folder:

    recipe.toml      the resolved recipe; `reasoning-grpo train` on it repeats the run
    manifest.json    status, versions, hardware, data counts, batch plan
    metrics.jsonl    one row per step
    heldout.jsonl    held-out accuracy with its interval
    rollouts/        every completion with verdicts, reward and advantage, one file per process
    checkpoints/     model, optimizer and scheduler every `train.save_every` steps
    best/  final/    model folders; best has the highest held-out accuracy
"""

import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w
from accelerate.utils import gather_object
from transformers import PreTrainedModel, PreTrainedTokenizerBase, PrinterCallback, set_seed
from transformers.trainer_callback import ProgressCallback
from trl import GRPOConfig
from trl.models.utils import unwrap_model_for_generation

from reasoning_grpo import storage
from reasoning_grpo.batching import BatchPlan, plan_batches
from reasoning_grpo.callbacks import HeldoutAccuracy, MetricsLog, StepBar
from reasoning_grpo.config import Recipe, recipe_to_table
from reasoning_grpo.data.prompts import PromptStyle, RenderedPrompt, get_style, render
from reasoning_grpo.data.sources import load_problems
from reasoning_grpo.data.splits import drop_overlap, split_heldout
from reasoning_grpo.errors import DataError
from reasoning_grpo.eval.backends import TransformersBackend
from reasoning_grpo.eval.harness import run_benchmark
from reasoning_grpo.eval.metrics import Accuracy, accuracy
from reasoning_grpo.manifest import Manifest
from reasoning_grpo.models import end_token_ids, load_model, load_tokenizer, record_prompt_style
from reasoning_grpo.processes import process_state
from reasoning_grpo.progress import progress
from reasoning_grpo.rewards.compose import RewardSpec
from reasoning_grpo.rollout import Sampling
from reasoning_grpo.schema import Problem
from reasoning_grpo.trainer import ReasoningGRPOTrainer
from reasoning_grpo.trl_bridge import RewardFunction, to_dataset
from reasoning_grpo.trl_config import grpo_config

log = logging.getLogger("reasoning_grpo")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A run that can start: every reference resolved, every file read."""

    recipe: Recipe
    style: PromptStyle
    spec: RewardSpec
    tokenizer: PreTrainedTokenizerBase
    model: PreTrainedModel
    problems: tuple[Problem, ...]
    prompts: tuple[RenderedPrompt, ...]
    heldout: tuple[Problem, ...]
    plan: BatchPlan
    counts: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainResult:
    """Where the run is and which model came out of it."""

    run_dir: Path
    model_dir: Path
    """The best model by held-out accuracy, or the final one where no step beat the start or none was measured."""
    best_step: int | None
    seconds: float


def train(recipe: Recipe, *, name: str = "run") -> TrainResult:
    """Train as the recipe says and return where the model is.

    Raises:
        UserError: the recipe, its data, its model or a verifier cannot be used; nothing was written then.
    """
    prepared = prepare(recipe)
    run_dir = _shared_run_dir(Path(recipe.output_dir), name)
    manifest = _start_manifest(run_dir, prepared) if process_state().is_main_process else None
    started = time.monotonic()
    try:
        best_step = _run(prepared, run_dir)
    except BaseException as error:
        if manifest:
            status = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
            manifest.finish(status, error=f"{type(error).__name__}: {error}")
        raise
    seconds = time.monotonic() - started
    if manifest:
        manifest.finish("finished", seconds=seconds, best_step=best_step)
    model_dir = run_dir / ("best" if best_step else "final")
    return TrainResult(run_dir=run_dir, model_dir=model_dir, best_step=best_step, seconds=seconds)


def prepare(recipe: Recipe) -> Prepared:
    """Load and check everything the run needs; writes nothing.

    Raises:
        UserError: what cannot be used, where it stands and the remedy.
    """
    set_seed(recipe.seed)
    style = get_style(recipe.prompt.style)
    RewardSpec(terms=recipe.rewards).check()
    plan = plan_batches(
        recipe.train.prompts_per_step,
        recipe.train.num_generations,
        recipe.train.micro_batch_size,
        process_state().num_processes,
    )
    grpo_config(recipe, plan, Path(recipe.output_dir))  # the errors of [trl], before anything is loaded
    tokenizer = load_tokenizer(recipe.model.name, recipe.model.revision)
    loaded, heldout, counts = _load_data(recipe)
    prompts = [render(style, problem.question, tokenizer) for problem in loaded]
    problems, prompts = _drop_long_prompts(recipe, tokenizer, loaded, prompts, counts)
    if len(problems) < plan.prompts_per_step:
        raise DataError(
            f"{len(problems)} training problems are left of `{recipe.data.name}` and a step needs "
            f"{plan.prompts_per_step}; lower `train.prompts_per_step` or use more data"
        )
    spec = RewardSpec(terms=recipe.rewards, answer_format=prompts[0].answer_format)
    spec.check()
    model = load_model(recipe.model, **dict(recipe.trl.get("model_init_kwargs") or {}))
    return Prepared(
        recipe=recipe,
        style=style,
        spec=spec,
        tokenizer=tokenizer,
        model=model,
        problems=tuple(problems),
        prompts=tuple(prompts),
        heldout=tuple(heldout),
        plan=plan,
        counts=counts,
    )


def _load_data(recipe: Recipe) -> tuple[list[Problem], list[Problem], dict[str, Any]]:
    """Return training problems, held-out problems and what was dropped on the way."""
    loaded = load_problems(recipe.data)
    excluded: list[Problem] = []
    for source in recipe.exclude:
        excluded.extend(load_problems(source).problems)
    problems, overlapping = drop_overlap(loaded.problems, excluded)
    heldout: list[Problem] = []
    if recipe.heldout.every:
        problems, heldout = _split(recipe, problems)
    counts = {
        "origin": loaded.origin,
        "fingerprint": loaded.fingerprint,
        "num_dropped_empty_answer": loaded.num_dropped_empty,
        "num_dropped_in_benchmark": len(overlapping),
        "dropped_in_benchmark": [problem.id for problem in overlapping[:100]],
        "num_heldout": len(heldout),
    }
    return problems, heldout, counts


def _split(recipe: Recipe, problems: list[Problem]) -> tuple[list[Problem], list[Problem]]:
    settings = recipe.heldout
    if settings.source is None:
        if len(problems) <= settings.num_problems:
            raise DataError(
                f"`heldout.num_problems` is {settings.num_problems} and `{recipe.data.name}` has {len(problems)} "
                "problems; hold out fewer, name a `heldout.source`, or set `heldout.every = 0`"
            )
        return split_heldout(problems, num_heldout=settings.num_problems, seed=recipe.seed)
    heldout = list(load_problems(settings.source).problems[: settings.num_problems])
    kept, _ = drop_overlap(problems, heldout)
    return kept, heldout


def _drop_long_prompts(
    recipe: Recipe,
    tokenizer: PreTrainedTokenizerBase,
    problems: Sequence[Problem],
    prompts: Sequence[RenderedPrompt],
    counts: dict[str, Any],
) -> tuple[list[Problem], list[RenderedPrompt]]:
    limit = recipe.train.max_prompt_tokens
    lengths = [len(ids) for ids in tokenizer([p.text for p in prompts])["input_ids"]] if limit else [0] * len(prompts)
    kept = [(a, b) for a, b, n in zip(problems, prompts, lengths, strict=True) if limit is None or n <= limit]
    counts.update(num_dropped_long_prompt=len(problems) - len(kept), num_problems=len(kept))
    return [problem for problem, _ in kept], [prompt for _, prompt in kept]


def _shared_run_dir(parent: Path, name: str) -> Path:
    """Make the run folder on the main process and tell the others its name."""
    state = process_state()
    made = [str(storage.new_folder(parent, name))] if state.is_main_process else []
    return Path(gather_object(made)[0] if state.num_processes > 1 else made[0])


def _start_manifest(run_dir: Path, prepared: Prepared) -> Manifest:
    storage.write_text(run_dir / "recipe.toml", tomli_w.dumps(recipe_to_table(prepared.recipe)))
    return Manifest.start(
        run_dir,
        model=prepared.recipe.model.name,
        num_parameters=sum(p.numel() for p in prepared.model.parameters()),
        data=prepared.counts,
        batch_plan=prepared.plan,
        answer_format=prepared.spec.answer_format,
        seed=prepared.recipe.seed,
    )


def _run(prepared: Prepared, run_dir: Path) -> int | None:
    """Train, save the final model and return the best step (None: held-out accuracy was off)."""
    is_main = process_state().is_main_process
    for note in prepared.plan.notes if is_main else ():
        log.warning("%s", note)
    config = grpo_config(prepared.recipe, prepared.plan, run_dir / "checkpoints")
    with contextlib.ExitStack() as stack:

        def writer(name: str) -> storage.JsonlWriter:
            return stack.enter_context(storage.JsonlWriter(run_dir / name))

        bar = stack.enter_context(progress("training", total=config.max_steps, visible=is_main))
        trainer = _trainer(prepared, config, writer(f"rollouts/rank-{process_state().process_index}.jsonl"))
        trainer.add_callback(MetricsLog(writer("metrics.jsonl")))
        trainer.add_callback(StepBar(bar))
        heldout = _heldout_callback(prepared, trainer, run_dir, writer) if prepared.recipe.heldout.every else None
        if heldout:
            trainer.add_callback(heldout)
        trainer.train()
    _save_model(trainer, prepared, run_dir / "final")
    return heldout.best_step if heldout else None


def _trainer(prepared: Prepared, config: GRPOConfig, rollouts: storage.JsonlWriter) -> ReasoningGRPOTrainer:
    trainer = ReasoningGRPOTrainer(
        model=prepared.model,
        args=config,
        reward=RewardFunction(prepared.spec, end_ids=end_token_ids(prepared.model, prepared.tokenizer)),
        rollouts=rollouts,
        train_dataset=to_dataset(prepared.problems, prepared.prompts),
        processing_class=prepared.tokenizer,
    )
    for callback in (PrinterCallback, ProgressCallback):  # they print a dictionary per step over the bar
        trainer.remove_callback(callback)
    return trainer


def _heldout_callback(
    prepared: Prepared,
    trainer: ReasoningGRPOTrainer,
    run_dir: Path,
    writer: Callable[[str], storage.JsonlWriter],
) -> HeldoutAccuracy:
    return HeldoutAccuracy(
        measure=lambda: _heldout_accuracy(prepared, trainer),
        save=lambda folder: _save_model(trainer, prepared, folder),
        every=prepared.recipe.heldout.every,
        best_dir=run_dir / "best",
        writer=writer("heldout.jsonl"),
    )


def _heldout_accuracy(prepared: Prepared, trainer: ReasoningGRPOTrainer) -> Accuracy:
    """Answer the held-out problems greedily, each process its share, and add the shares up."""
    state = process_state()
    share = prepared.heldout[state.process_index :: state.num_processes]
    sampling = Sampling(max_completion_tokens=prepared.recipe.train.max_completion_tokens)
    with unwrap_model_for_generation(trainer.model_wrapped, trainer.accelerator) as model:
        backend = TransformersBackend(model, prepared.tokenizer, prepared.style, sampling)
        result = run_benchmark(share, backend, prepared.spec)
    verdicts = list(result.verdicts.values())
    return accuracy(gather_object(verdicts) if state.num_processes > 1 else verdicts)


def _save_model(trainer: ReasoningGRPOTrainer, prepared: Prepared, folder: Path) -> None:
    """Write model, tokenizer and prompt style as one folder that is whole or not there."""
    if process_state().num_processes > 1:  # a collective save under FSDP and ZeRO-3: no rank may be elsewhere
        trainer.save_model(str(folder))
        if process_state().is_main_process:
            record_prompt_style(folder, prepared.style.name)
        return
    with storage.replacing_folder(folder) as part:
        trainer.save_model(str(part))
        record_prompt_style(part, prepared.style.name)
        (part / "training_args.bin").unlink(missing_ok=True)  # a pickle nobody needs: recipe.toml says the same
