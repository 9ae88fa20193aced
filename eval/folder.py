"""The files of a benchmark's folder, each whole or not there; reading them back is `runs.py`."""

import contextlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from reasoning_grpo import storage
from reasoning_grpo.errors import DataError
from reasoning_grpo.eval.measures import measures
from reasoning_grpo.eval.runs import (
    LOST,
    RESULT_FILE,
    RUN_FILE,
    SCHEMA_VERSION,
    Run,
    attempt_row,
    problem_row,
    read_record,
    sorted_attempts,
)
from reasoning_grpo.schema import Attempt, Problem

# What going on with a run, or judging it anew, reads from its record.
_CONDITIONS = ("suite", "data", "prompt", "answer_form", "sampling", "max_completion_tokens", "stop", "verifier")
_FACTS = ("model", "model_fingerprint", "backend", "samples", "seed", "verifier", "resumed")


def read_plan(folder: Path) -> dict[str, Any]:
    """Return the record of a run that `bench` began.

    Raises:
        DataError: there is none, it is damaged, a newer version wrote it, or `regrade` did.
    """
    record = read_record(folder)
    for part, names in (("conditions", _CONDITIONS), ("facts", _FACTS)):
        missing = [name for name in names if name not in record[part]]
        if missing:
            raise DataError(f"`{folder / RUN_FILE}` is damaged: its {part} have no `{missing[0]}`; {LOST}")
    if source := record["facts"].get("regraded_from"):
        raise DataError(f"`{folder}` was made by `regrade` and has no samples of its own; name `{source}`")
    return record


def write_record(folder: Path, record: Mapping[str, Any]) -> None:
    """Write `run.json`."""
    storage.write_json(folder / RUN_FILE, {"schema_version": SCHEMA_VERSION, **record})


def write_problems(path: Path, problems: Sequence[Problem], prompts: Sequence[str]) -> None:
    """Write the problems with the prompts they were asked in."""
    rows = (problem_row(problem, prompt) for problem, prompt in zip(problems, prompts, strict=True))
    # A column of a data set may hold what JSON has no word for, such as a date: its text is enough here.
    _write_rows(path, (json.loads(json.dumps(storage.finite(row), default=str)) for row in rows))


def write_attempts(path: Path, problems: Sequence[Problem], attempts: Sequence[Attempt]) -> None:
    """Write the attempts by problem and sample, each with its question and gold."""
    by_id = {problem.id: problem for problem in problems}
    _write_rows(path, (attempt_row(a, by_id[a.problem_id]) for a in sorted_attempts(problems, attempts)))


def write_result(folder: Path, run: Run) -> None:
    """Write `result.json`: the measures, and beside them all one must know to use them."""
    told = {"label": run.label, "conditions": run.conditions, "facts": run.facts}
    storage.write_json(folder / RESULT_FILE, {"schema_version": SCHEMA_VERSION, **measures(run), **told})


def count_lines(path: Path) -> int:
    """Return how many whole lines a file has; 0 without a file."""
    with contextlib.suppress(FileNotFoundError):
        return path.read_bytes().count(b"\n")
    return 0


def slug(name: str) -> str:
    """Return the last two parts of a path or hub id as a folder's name: a run's `best` alone would say nothing."""
    parts = [part for part in Path(name).parts if part not in ("/", ".", "..")]
    return re.sub(r"[^A-Za-z0-9._-]+", "-", "-".join(parts[-2:])) or "model"


def _write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    with _whole(path) as part, storage.JsonlWriter(part) as file:
        for row in rows:
            file.write(row)
        file.sync()


@contextlib.contextmanager
def _whole(path: Path) -> Iterator[Path]:
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
