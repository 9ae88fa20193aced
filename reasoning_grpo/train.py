"""Recipe -> trained model, and going on with a run that was stopped or died.

    prepare   rewards, data, tokenizer, prompts, batch plan, model; nothing is written before all of it is right
    run       trainer, with metrics, rollouts, held-out accuracy and checkpoints on disk
    finish    final model and manifest; `"status": "finished"` is written last

The run folder:

    recipe.toml      the resolved recipe; `reasoning-grpo train` on it repeats the run
    manifest.json    status, recipe, versions, hardware, data counts, batch plan, resumes
    metrics.jsonl    one row per step
    heldout.jsonl    held-out accuracy with its interval
    rollouts/        every completion with verdicts, reward and advantage, one file per process
    checkpoints/     to resume from
    best/  final/    model folders; best has the highest held-out accuracy
"""

import contextlib
import logging
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w
from accelerate.utils import broadcast_object_list

from reasoning_grpo import storage
from reasoning_grpo.assemble import assemble, open_logs, save_model
from reasoning_grpo.checkpoint import Checkpoint, newest
from reasoning_grpo.config import Recipe, anchored, load_recipe, recipe_to_table
from reasoning_grpo.durable import SAVE_ERRORS, DurableTrainer
from reasoning_grpo.errors import RecipeError, RunError, RunInterrupted, UserError
from reasoning_grpo.faults import StopSignals
from reasoning_grpo.manifest import Manifest, jsonable, versions
from reasoning_grpo.prepare import Prepared, prepare
from reasoning_grpo.processes import process_state
from reasoning_grpo.progress import progress
from reasoning_grpo.rewards.fingerprint import verifier_facts

log = logging.getLogger("reasoning_grpo")

# What a run leaves beside recipe and manifest; a run without a checkpoint starts over without them.
OUTPUTS = ("metrics.jsonl", "heldout.jsonl", "rollouts", "checkpoints", "best", ".best.of-checkpoint", "final")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainResult:
    """Where the run is and which model came out of it."""

    run_dir: Path
    model_dir: Path
    """The best model by held-out accuracy, or the final one where no step beat the start or none was measured."""
    best_step: int | None
    seconds: float
    """Time since the run was started or last resumed."""
    stopped_early: dict[str, Any] | None = None
    """The significant drop that ended the run: step, best_step, wins, losses, p_value."""


def train(recipe: Recipe, *, name: str = "run") -> TrainResult:
    """Train as the recipe says and return where the model is.

    Raises:
        UserError: the recipe, its data, its model or a verifier cannot be used; nothing was written if that was plain
            from the start, and the message says how to go on if it was not.
        RunInterrupted: Ctrl-C or SIGTERM; the message says how to go on.
    """
    prepared = prepare(anchored(recipe, Path.cwd(), bare=True))
    run_dir = _shared_run_dir(Path(recipe.output_dir), name)
    try:
        with _locked(run_dir):
            return _run(prepared, run_dir, _begun_manifest(run_dir, prepared), None)
    except RecipeError:
        _remove_unless_begun(run_dir)
        raise


def _remove_unless_begun(run_dir: Path) -> None:
    """Take away the folder of a run that was refused when trainer and recipe met: there is nothing to go on with."""
    if not process_state().is_main_process:
        return  # looking into a folder that another process takes away would end in an error of its own
    if not any(path.stat().st_size for path in run_dir.rglob("*.jsonl")):
        shutil.rmtree(run_dir, ignore_errors=True)


def resume(run_dir: Path, recipe: Recipe | None = None) -> TrainResult:
    """Go on with a run from its newest whole checkpoint, or from the start if it has none; return what `train` would.

    A run that is finished is left as it is. `recipe` is what the run is believed to be, by default its `recipe.toml`.

    Raises:
        UserError: there is no run, another process works on it, or recipe, data or number of devices have changed.
        RunInterrupted: as `train`.
    """
    manifest = Manifest.read(run_dir)
    recipe = anchored(recipe, Path.cwd(), bare=True) if recipe else load_recipe(run_dir / "recipe.toml")
    _check_same_recipe(recipe, manifest.record["recipe"])
    if manifest.record["status"] == "finished":
        _say("the run in `%s` is finished; there is nothing to resume", run_dir)
        return _result(run_dir, manifest.record)
    prepared = prepare(recipe)
    _check_same_start(prepared, manifest.record)
    with _locked(run_dir):
        checkpoint = newest(run_dir / "checkpoints")
        _note_resume(manifest, checkpoint, _verifiers(prepared))
        if checkpoint is None:
            _clear(run_dir)
        return _run(prepared, run_dir, manifest, checkpoint)


def _run(prepared: Prepared, run_dir: Path, manifest: Manifest, checkpoint: Checkpoint | None) -> TrainResult:
    started = time.monotonic()
    try:
        facts = _train_and_save(prepared, run_dir, checkpoint)
    except BaseException as error:
        status = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
        with contextlib.suppress(OSError):  # on a full disk the error itself is the news
            _record(manifest, status, error=f"{type(error).__name__}: {error}")
        raise
    try:
        _record(manifest, "finished", seconds=time.monotonic() - started, **facts)
    except OSError as error:
        raise RunError(
            f"the run is done and its manifest cannot be written: {error.strerror}; {_way_on(run_dir)}"
        ) from error
    return _result(run_dir, manifest.record)


def _train_and_save(prepared: Prepared, run_dir: Path, checkpoint: Checkpoint | None) -> dict[str, Any]:
    """Train, save the final model and return what the manifest says about the outcome."""
    for note in prepared.plan.notes:
        _say("%s", note)
    stop = StopSignals(at_boundaries_only=process_state().num_processes > 1)
    steps = prepared.recipe.train.steps
    is_main, done = process_state().is_main_process, checkpoint.step if checkpoint else 0
    with open_logs(run_dir) as logs, progress("training", steps, done=done, visible=is_main) as bar, stop.caught():
        trainer = assemble(prepared, run_dir, logs, bar, stop)
        with _explained(trainer, run_dir):
            trainer.run(checkpoint)
            _save_final(trainer, prepared, run_dir, logs)
    heldout = trainer.heldout
    return {
        "best_step": heldout.best_step if heldout else None,
        "stopped_early": heldout.stopped if heldout else None,
    }


def _save_final(
    trainer: DurableTrainer, prepared: Prepared, run_dir: Path, logs: Mapping[str, storage.JsonlWriter]
) -> None:
    try:
        save_model(trainer, prepared, run_dir / "final")
        for writer in logs.values():
            writer.sync()
    except SAVE_ERRORS as error:
        cause = str(error).partition("\n")[0]
        raise RunError(f"training is done and the final model or its logs cannot be saved: {cause}") from error


@contextlib.contextmanager
def _explained(trainer: DurableTrainer, run_dir: Path) -> Iterator[None]:
    """Save what can be saved when a run ends before its end, and say how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        trainer.save_boundary()
        raise RunInterrupted(_way_on(run_dir)) from None
    except UserError as error:
        trainer.save_boundary()
        raise type(error)(f"{error}; {_way_on(run_dir)}") from error
    except ImportError as error:  # an optimizer or a kernel that is looked for when the first step needs it
        trainer.save_boundary()
        raise RecipeError(f"the recipe asks for what is not installed: {error}") from error
    except Exception as error:
        trainer.save_boundary()
        error.add_note(_way_on(run_dir))
        raise


def _way_on(run_dir: Path) -> str:
    checkpoint = newest(run_dir / "checkpoints")
    if checkpoint is None:
        return f"no step is saved yet; `reasoning-grpo train --resume {run_dir}` starts it again"
    return (
        f"step {checkpoint.step} is saved in `{checkpoint.folder}`; `reasoning-grpo train --resume {run_dir}` goes on "
        "from there"
    )


def _shared_run_dir(parent: Path, name: str) -> Path:
    """Make the run folder on the main process and tell the others its name."""
    made = [storage.new_folder(parent, name) if process_state().is_main_process else Path()]
    return Path(broadcast_object_list(made)[0])


def _locked(run_dir: Path) -> contextlib.AbstractContextManager[None]:
    return storage.locked(run_dir) if process_state().is_main_process else contextlib.nullcontext()


def _begun_manifest(run_dir: Path, prepared: Prepared) -> Manifest:
    try:
        return _start_manifest(run_dir, prepared)
    except OSError as error:
        raise RecipeError(
            f"nothing can be written in `{run_dir}`: {error.strerror}; make room or name another `output_dir`"
        ) from None


def _start_manifest(run_dir: Path, prepared: Prepared) -> Manifest:
    table = recipe_to_table(prepared.recipe)
    facts = {
        "model": prepared.recipe.model.name,
        "num_parameters": sum(p.numel() for p in prepared.model.parameters()),
        "data": prepared.counts,
        "batch_plan": prepared.plan,
        "answer_format": prepared.spec.answer_format,
        "verifiers": _verifiers(prepared),
        "seed": prepared.recipe.seed,
        "recipe": table,
    }
    if not process_state().is_main_process:
        return Manifest(run_dir)
    storage.write_text(run_dir / "recipe.toml", tomli_w.dumps(table))
    return Manifest.start(run_dir, **facts)


def _record(manifest: Manifest, status: str, **facts: Any) -> None:
    if process_state().is_main_process:
        manifest.finish(status, **facts)
    else:
        manifest.record.update(facts)


def _verifiers(prepared: Prepared) -> dict[str, Any]:
    return {term.name: verifier_facts(term, prepared.spec.base_dir) for term in prepared.spec.terms}


def _note_resume(manifest: Manifest, checkpoint: Checkpoint | None, verifiers: dict[str, Any]) -> None:
    step = checkpoint.step if checkpoint else 0
    _say("going on after step %d", step)
    if checkpoint:
        _say_what_changed({**manifest.record, **(manifest.record.get("resumes") or [{}])[-1]}, verifiers)
    if process_state().is_main_process:
        manifest.resume(step, verifiers=verifiers)


def _say_what_changed(last: Mapping[str, Any], verifiers: Mapping[str, Any]) -> None:
    """Name what no longer is what it was when the run was last on its way: a mended verifier, another version."""
    for name in _changes(_prints(verifiers), _prints(last.get("verifiers", {}))):
        _say("the verifier of `%s` is not what it was: the steps to come are judged differently", name)
    for name, (then, now) in _changes(versions(), last.get("versions", {})).items():
        _say("%s was %s and is %s: the steps to come may differ from those of a run left alone", name, then, now)


def _prints(verifiers: Mapping[str, Any]) -> dict[str, Any]:
    return {name: facts["fingerprint"] for name, facts in verifiers.items()}


def _changes(now: Mapping[str, Any], then: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    keys = sorted(now.keys() | then.keys())
    return {key: (then.get(key), now.get(key)) for key in keys if now.get(key) != then.get(key)}


def _say(words: str, *values: object) -> None:
    """Warn of what holds for all processes, once."""
    if process_state().is_main_process:
        log.warning(words, *values)


def _result(run_dir: Path, record: dict[str, Any]) -> TrainResult:
    best_step = record["best_step"]
    return TrainResult(
        run_dir=run_dir,
        model_dir=run_dir / ("best" if best_step else "final"),
        best_step=best_step,
        seconds=record["seconds"],
        stopped_early=record.get("stopped_early"),
    )


def _check_same_recipe(recipe: Recipe, recorded: dict[str, Any]) -> None:
    """Refuse to go on with another recipe; the run folder itself may have moved."""
    now, then = _flat(recipe_to_table(recipe)), _flat(recorded)
    changed = sorted(key for key in now.keys() | then.keys() if now.get(key) != then.get(key) and key != "output_dir")
    if changed:
        listed = ", ".join(f"`{key}` was {then.get(key)!r} and is {now.get(key)!r}" for key in changed)
        raise RecipeError(f"a run goes on with its own recipe only: {listed}; undo that, or start a new run")


def _check_same_start(prepared: Prepared, record: dict[str, Any]) -> None:
    """Refuse to go on where the data or the devices are not what they were: the steps to come would be others."""
    plan, data = jsonable(prepared.plan), jsonable(prepared.counts)
    for what, now, then in (("data", data, record["data"]), ("batch plan", plan, record["batch_plan"])):
        changed = _changes(now, then)
        if changed:
            listed = ", ".join(
                f"`{key}` was {str(old)[:80]} and is {str(new)[:80]}" for key, (old, new) in changed.items()
            )
            raise UserError(f"the run cannot go on, because its {what} changed: {listed}")


def _flat(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return {"train.steps": 3} for {"train": {"steps": 3}}; lists of tables are numbered."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        numbered = {str(i): item for i, item in enumerate(value)} if isinstance(value, (list, tuple)) else value
        if isinstance(numbered, dict):
            flat |= _flat(numbered, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _clear(run_dir: Path) -> None:
    """Take away what a run that died before its first checkpoint has left."""
    if process_state().is_main_process:
        for name in OUTPUTS:
            path = run_dir / name
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
    process_state().wait_for_everyone()
