"""A graded run, whoever made it: the value that measures, comparisons, reports and exports share.

Two kinds of place hold one:

| place | written by | holds |
|---|---|---|
| a folder | `bench`, `regrade` | `run.json` what was asked of which model, `problems.jsonl` with the prompts as the model saw them, `samples.jsonl` the journal of what it wrote, `attempts.jsonl` the same with verdicts, `result.json` the measures |
| a .jsonl file | `score --out` | one graded row per completion, with the columns of the file it came from |

`conditions` are what two runs must share before their difference says something about their models: problems, prompt,
limits, sampling, verifier. `facts` are all the rest: the model, versions, hardware, times.
"""  # noqa: E501  # a table row cannot be broken

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from reasoning_grpo import storage
from reasoning_grpo.errors import DataError
from reasoning_grpo.rewards.score import read_objects, read_rows
from reasoning_grpo.schema import Attempt, Completion, Outcome, Problem, Verdict

RUN_FILE = "run.json"
PROBLEMS_FILE = "problems.jsonl"
SAMPLES_FILE = "samples.jsonl"
ATTEMPTS_FILE = "attempts.jsonl"
RESULT_FILE = "result.json"
SCHEMA_VERSION = 2
SCORED_TERM = "accuracy"
LOST = "put it back from a copy, or start a new benchmark"  # of what only the beginning of a run knows
GROUPINGS = ("level", "subject", "dataset")  # what results are broken down by, where problems have it


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Every attempt of a run, by problem in the order of `problems` and then by sample; `term` decides what is right.

    `prompts` holds the text the model was given, by problem id; it is empty where nobody wrote it down.
    """

    label: str
    problems: tuple[Problem, ...]
    attempts: tuple[Attempt, ...]
    term: str
    conditions: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    prompts: Mapping[str, str] = field(default_factory=dict)

    def verdict(self, attempt: Attempt) -> Verdict:
        """Return the verdict that decides."""
        return attempt.verdicts[self.term]

    def by_problem(self) -> dict[str, tuple[Attempt, ...]]:
        """Return the attempts of each problem, in the order of the problems."""
        grouped: dict[str, list[Attempt]] = {problem.id: [] for problem in self.problems}
        for attempt in self.attempts:
            grouped[attempt.problem_id].append(attempt)
        return {id_: tuple(attempts) for id_, attempts in grouped.items()}


def load_run(path: Path) -> Run:
    """Read a run back from a folder of `bench` or `regrade`, or from a file of `score --out`.

    Raises:
        DataError: nothing is there, it is not finished, a row is broken, or a newer version wrote it.
    """
    if path.is_dir():
        return _from_folder(path)
    if path.is_file():
        return _from_scored_file(path)
    raise DataError(f"there is no run at `{path}`: name a folder made by `bench` or a file made by `score --out`")


def attempt_row(attempt: Attempt, problem: Problem) -> dict[str, Any]:
    """Return one row of `attempts.jsonl`: the attempt with the question and the gold beside it."""
    return {**storage.attempt_row(attempt), "question": problem.question, "gold": problem.answer}


def problem_row(problem: Problem, prompt: str) -> dict[str, Any]:
    """Return one row of `problems.jsonl`."""
    return {**storage.plain(problem), "meta": dict(problem.meta), "prompt": prompt}


def sorted_attempts(problems: Sequence[Problem], attempts: Sequence[Attempt]) -> tuple[Attempt, ...]:
    """Return the attempts by problem, in the order of the problems, and then by sample."""
    place = {problem.id: index for index, problem in enumerate(problems)}
    return tuple(sorted(attempts, key=lambda attempt: (place[attempt.problem_id], attempt.sample)))


def read_record(folder: Path) -> dict[str, Any]:
    """Return the record in a folder's `run.json`, with a term, conditions and facts.

    Raises:
        DataError: there is none, it is damaged, or another version wrote it.
    """
    path = folder / RUN_FILE
    if not path.is_file():
        raise DataError(f"`{folder}` is no folder of a benchmark: it has no `{RUN_FILE}`; name one that `bench` made")
    record = _object_in(path)
    check_schema(record, path)
    for name, kind in (("term", str), ("conditions", dict), ("facts", dict)):
        if not isinstance(record.get(name), kind):
            raise DataError(f"`{path}` is damaged: it has no `{name}`; {LOST}")
    if not isinstance(samples := record["facts"].get("samples", 1), int):
        raise DataError(f"`{path}` is damaged: its `samples` are {samples!r}; {LOST}")
    return record


def _object_in(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"`{path}` cannot be read: {error}; {LOST}") from None
    if not isinstance(record, dict):
        raise DataError(f"`{path}` holds a {type(record).__name__}, not the JSON object of a benchmark; {LOST}")
    return record


def check_schema(record: Mapping[str, Any], path: Path) -> None:
    """Refuse what another version wrote: reading it as ours could change its meaning."""
    version = record.get("schema_version")
    if version == SCHEMA_VERSION:
        return
    if isinstance(version, int) and version > SCHEMA_VERSION:
        remedy = "update reasoning-grpo to read it"
    else:
        remedy = "run the benchmark again, or read it with the version that wrote it"
    raise DataError(f"`{path}` has schema version {version!r}, this reads {SCHEMA_VERSION}; {remedy}")


def _from_folder(folder: Path) -> Run:
    record = read_record(folder)
    if not (folder / ATTEMPTS_FILE).is_file():
        raise DataError(f"`{folder}` is not finished; {_made_again(folder, record['facts'])}")
    problems, prompts = read_problems(folder)
    attempts = _attempts(folder, record["facts"], problems)
    return Run(
        label=str(record.get("label") or folder.name),
        problems=problems,
        attempts=sorted_attempts(problems, attempts),
        term=record["term"],
        conditions=record["conditions"],
        facts=record["facts"],
        prompts=prompts,
    )


def read_problems(folder: Path) -> tuple[tuple[Problem, ...], dict[str, str]]:
    """Return the problems of a benchmark's folder, and their prompts by id."""
    path, problems, prompts = folder / PROBLEMS_FILE, [], {}
    for number, row in read_objects(path, remedy=LOST):
        try:
            prompts[row["id"]] = row.pop("prompt")
            problems.append(Problem(**row))
        except (KeyError, TypeError) as error:
            raise DataError(f"`{path}`, line {number}: this is no problem of a benchmark ({error}); {LOST}") from None
    return tuple(problems), prompts


def _attempts(folder: Path, facts: Mapping[str, Any], problems: Sequence[Problem]) -> list[Attempt]:
    """Return the attempts of a folder, all of them: figures over a part of a run would look like figures of it."""
    path, remedy = folder / ATTEMPTS_FILE, _made_again(folder, facts)
    attempts = [_attempt(row, path, number, remedy) for number, row in read_objects(path, remedy=remedy)]
    strangers = {attempt.problem_id for attempt in attempts} - {problem.id for problem in problems}
    if strangers:
        raise DataError(f"`{path}` has attempts at unknown problems, such as {min(strangers)!r}; {remedy}")
    num_asked = len(problems) * facts.get("samples", 1)
    num_there = len({(attempt.problem_id, attempt.sample) for attempt in attempts})
    if not num_there == len(attempts) == num_asked:
        raise DataError(f"`{path}` has {num_there} of {num_asked} attempts in {len(attempts)} rows; {remedy}")
    return attempts


def _made_again(folder: Path, facts: Mapping[str, Any]) -> str:
    """Return how the attempts of a folder come to be: everything they are made of is kept."""
    if source := facts.get("regraded_from"):
        return f"regrade `{source}` again"
    return f"`reasoning-grpo bench --resume {folder}` makes what is missing and writes it anew"


def _attempt(row: Mapping[str, Any], path: Path, number: int, remedy: str) -> Attempt:
    try:
        return storage.attempt_from_row(row)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"`{path}`, line {number}: this is no attempt of a benchmark ({error}); {remedy}") from None


def _from_scored_file(path: Path) -> Run:
    problems: dict[str, Problem] = {}
    attempts: dict[tuple[str, int], Attempt] = {}
    conditions: dict[str, Any] = {}
    for row in read_rows(path):
        sample = row.columns.get("sample", 0)
        key = (row.problem.id, sample if isinstance(sample, int) else 0)
        if key in attempts:
            raise DataError(
                f"`{path}`, line {row.number}: problem {key[0]!r} has a sample {key[1]} already; score one model at a "
                "time with `--where model=…`, number a problem's samples in a column `sample`, or drop doubled rows"
            )
        problems.setdefault(row.problem.id, _with_groups(row.problem, row.columns))
        if "graded_by" in row.columns:
            conditions["verifier"] = row.columns["graded_by"]
        attempts[key] = _scored_attempt(key, row.completion, row.columns, path, row.number)
    return Run(
        label=path.name.removesuffix(".gz").removesuffix(".jsonl"),
        problems=tuple(problems.values()),
        attempts=sorted_attempts(tuple(problems.values()), tuple(attempts.values())),
        term=SCORED_TERM,
        conditions=conditions,
        facts={"file": str(path)},
    )


def _with_groups(problem: Problem, columns: Mapping[str, Any]) -> Problem:
    """Return the problem with those columns that results are broken down by."""
    return replace(problem, meta={name: columns[name] for name in GROUPINGS if columns.get(name) is not None})


def _scored_attempt(
    key: tuple[str, int], completion: Completion, columns: Mapping[str, Any], path: Path, number: int
) -> Attempt:
    try:
        stored = columns["verdict"]
        verdict = Verdict(**{**stored, "outcome": Outcome(stored["outcome"])})
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"`{path}`, line {number}: no verdict in this row ({error}); grade the file first with "
            f"`reasoning-grpo score {path} --out GRADED.jsonl`"
        ) from None
    return Attempt(
        problem_id=key[0],
        sample=key[1],
        completion=completion,
        verdicts={SCORED_TERM: verdict},
        reward=columns.get("reward"),
    )
