"""Another verifier over the completions a benchmark has: `FOLDER/regraded-<name>/`, a run like any other.

No model is loaded and nothing is generated.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reasoning_grpo import storage
from reasoning_grpo.errors import DataError
from reasoning_grpo.eval import folder as folders
from reasoning_grpo.eval.harness import BATCH_ROWS, Answered, graded
from reasoning_grpo.eval.journal import Sample, read_journal
from reasoning_grpo.eval.runs import (
    ATTEMPTS_FILE,
    PROBLEMS_FILE,
    SAMPLES_FILE,
    Run,
    load_run,
    read_problems,
)
from reasoning_grpo.progress import progress
from reasoning_grpo.rewards.compose import RewardSpec, RewardTerm
from reasoning_grpo.rewards.fingerprint import verifier_condition, verifier_facts
from reasoning_grpo.schema import AnswerForm, AnswerFormat, Attempt, Problem


def regrade(folder: Path, verifier: str, name: str) -> tuple[Path, Run]:
    """Judge every completion of a benchmark's folder anew; return the folder written, `regraded-<name>`, and its run.

    An older one of that name is replaced when the new one is whole.

    Raises:
        UserError: there is no such benchmark, samples of it are missing, or the verifier cannot be used.
    """
    record = folders.read_plan(folder)
    term = RewardTerm(name=str(record["term"]), verifier=verifier)
    spec = RewardSpec(terms=(term,), answer_format=answer_format(record["conditions"]), base_dir=Path.cwd())
    spec.check()
    target = folder / f"regraded-{name}"
    with storage.locked(folder), storage.replacing_folder(target) as part:
        problems, prompts = read_problems(folder)
        attempts = _judged(_answered(folder, record, problems), spec, f"regrade {folder.name}")
        folders.write_problems(part / PROBLEMS_FILE, problems, [prompts[problem.id] for problem in problems])
        folders.write_attempts(part / ATTEMPTS_FILE, problems, attempts)
        folders.write_record(part, _record(record, verifier_facts(term, spec.base_dir), str(folder)))
        folders.write_result(part, load_run(part))
    return target, load_run(target)


def answer_format(conditions: Mapping[str, Any]) -> AnswerFormat:
    """Return what the prompts of a recorded run asked for."""
    prompt = conditions["prompt"]
    return AnswerFormat(
        form=AnswerForm(conditions["answer_form"]), think=prompt["think"], think_prefilled=prompt["think_prefilled"]
    )


def _answered(folder: Path, record: Mapping[str, Any], problems: tuple[Problem, ...]) -> list[Answered]:
    samples, _ = read_journal(folder / SAMPLES_FILE)
    by_id = {problem.id: problem for problem in problems}
    answered = [_joined(sample, by_id, folder) for sample in samples.values()]
    num_asked = len(problems) * record["facts"]["samples"]
    num_found = len({(sample.problem_id, sample.sample) for sample in samples.values()})
    if num_found < len(samples):
        raise DataError(
            f"`{folder / SAMPLES_FILE}` has {len(samples)} samples under {num_found} numbers, so some are "
            f"another run's; `reasoning-grpo bench --resume {folder}` says which"
        )
    if num_found != num_asked:
        raise DataError(
            f"`{folder}` has {num_found} of {num_asked} samples; make the others first with "
            f"`reasoning-grpo bench --resume {folder}`"
        )
    return answered


def _joined(sample: Sample, by_id: Mapping[str, Problem], folder: Path) -> Answered:
    if sample.problem_id not in by_id:
        raise DataError(
            f"`{folder / SAMPLES_FILE}` has a sample of {sample.problem_id!r}, which `{PROBLEMS_FILE}` does "
            "not hold; put that file back from a copy, or start a new benchmark"
        )
    return Answered(problem=by_id[sample.problem_id], sample=sample.sample, completion=sample.completion)


def _judged(answered: list[Answered], spec: RewardSpec, title: str) -> list[Attempt]:
    attempts: list[Attempt] = []
    with progress(title, total=len(answered)) as bar:
        for start in range(0, len(answered), BATCH_ROWS):
            batch = answered[start : start + BATCH_ROWS]
            attempts += graded(batch, spec)
            bar.advance(len(batch))
    return attempts


def _record(record: Mapping[str, Any], judged: Mapping[str, Any], source: str) -> dict[str, Any]:
    kept = {key: value for key, value in record.items() if key != "schema_version"}
    return {
        **kept,
        "conditions": {**record["conditions"], "verifier": verifier_condition(judged)},
        "facts": {**record["facts"], "verifier": dict(judged), "regraded_from": source, "ended": storage.now()},
    }
