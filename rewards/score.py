"""Score stored completions: rows of a .jsonl or .jsonl.gz file in, verdicts and a summary out. Streams; no torch.

A row needs a gold answer and a response; the columns are found by their usual names or named by the caller. Printing is
the command line's business.
"""

import gzip
import hashlib
import json
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, Any

from reasoning_grpo.errors import DataError, did_you_mean
from reasoning_grpo.rewards.compose import RewardSpec, Scored
from reasoning_grpo.schema import Completion, Outcome, Problem, Verdict

GOLD_COLUMNS = ("gold", "answer", "ground_truth", "target", "solution")
RESPONSE_COLUMNS = ("response", "completion", "output", "generation", "text")
QUESTION_COLUMNS = ("question", "problem", "prompt")
ID_COLUMNS = ("problem_id", "id")
_BATCH_ROWS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One stored completion. `number` is its line, from 1; `label` what the file says of it, None without a label."""

    number: int
    problem: Problem
    completion: Completion
    label: bool | None
    columns: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How one term's passes compare with the file's own labels, over graded and labelled rows."""

    both_right: int
    only_label: int
    only_verifier: int
    both_wrong: int

    @property
    def share(self) -> float:
        """The share of rows on which the two agree."""
        both = self.both_right + self.both_wrong
        return both / (both + self.only_label + self.only_verifier)


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Counts of one term over some rows.

    `mean_score` and `pass_rate` are over the graded rows (None without any); `low` and `high` bound the pass rate: a
    95 % Wilson score interval, which takes rows as independent (samples of one problem are not). `agreement` is None
    when no row has a label.
    """

    num_rows: int
    outcomes: dict[Outcome, int]
    num_graded: int
    num_passed: int
    mean_score: float | None
    pass_rate: float | None
    low: float | None
    high: float | None
    agreement: Agreement | None


@dataclass(slots=True)
class Tally:
    """Adds up the verdicts of one term; `summary()` reads it out at any time."""

    outcomes: Counter[Outcome] = field(default_factory=Counter)
    total_score: float = 0.0
    labelled: Counter[tuple[bool, bool]] = field(default_factory=Counter)  # (label, passed)

    def add(self, verdict: Verdict, label: bool | None) -> None:
        """Count one row."""
        self.outcomes[verdict.outcome] += 1
        self.total_score += verdict.score or 0.0
        if label is not None and verdict.score is not None:
            self.labelled[label, verdict.passed] += 1

    def summary(self) -> Summary:
        """Return the counts so far."""
        num_rows = self.outcomes.total()
        num_graded = num_rows - self.outcomes[Outcome.UNGRADABLE]
        num_passed = self.outcomes[Outcome.PASS]
        low, high = _wilson(num_passed, num_graded)
        return Summary(
            num_rows=num_rows,
            outcomes=dict(self.outcomes),
            num_graded=num_graded,
            num_passed=num_passed,
            mean_score=self.total_score / num_graded if num_graded else None,
            pass_rate=num_passed / num_graded if num_graded else None,
            low=low,
            high=high,
            agreement=_agreement(self.labelled),
        )


def read_rows(
    path: Path,
    *,
    where: Mapping[str, str] | None = None,
    question: str | None = None,
    gold: str | None = None,
    response: str | None = None,
) -> Iterator[Row]:
    """Yield the rows of a .jsonl or .jsonl.gz file whose columns have the values in `where` (compared as text).

    `question`, `gold` and `response` name columns; without a name the usual ones are tried in order. Raises DataError
    for a missing file or column, for a line that is no JSON object, and for a file without rows.
    """
    where = where or {}
    is_empty = True
    for number, columns in read_objects(path):
        is_empty = False
        _check_where(columns, where, path, number)
        if all(as_text(columns[column]) == value for column, value in where.items()):
            yield _row(columns, number, path, question=question, gold=gold, response=response)
    if is_empty:
        raise DataError(f"{path} has no rows; each line should be a JSON object with a gold answer and a response")


def score_file(
    path: Path,
    spec: RewardSpec,
    *,
    where: Mapping[str, str] | None = None,
    question: str | None = None,
    gold: str | None = None,
    response: str | None = None,
) -> Iterator[tuple[Row, Scored]]:
    """Yield every row with its verdicts and reward, in the order of the file; a few rows are held at a time."""
    return score_rows(read_rows(path, where=where, question=question, gold=gold, response=response), spec)


def score_rows(rows: Iterable[Row], spec: RewardSpec) -> Iterator[tuple[Row, Scored]]:
    """Yield every row with its verdicts and reward."""
    remaining = iter(rows)
    while batch := list(islice(remaining, _BATCH_ROWS)):
        scored = spec.score_batch([row.completion for row in batch], [row.problem for row in batch])
        yield from zip(batch, scored, strict=True)


def summarise(
    scored_rows: Iterable[tuple[Row, Scored]], term: str, *, group_by: str | None = None
) -> dict[str, Summary]:
    """Return the summary of one term under "all", and with `group_by` one per value of that column."""
    tallies = {"all": Tally()}
    for row, scored in scored_rows:
        tallies["all"].add(scored.verdicts[term], row.label)
        if group_by is not None:
            tallies.setdefault(_group(row, group_by), Tally()).add(scored.verdicts[term], row.label)
    return {name: tally.summary() for name, tally in tallies.items()}


def read_objects(path: Path, *, remedy: str = "") -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line number, JSON object) of a .jsonl or .jsonl.gz file; empty lines are skipped.

    `remedy` is what a message says to do about a file that no person writes by hand.

    Raises:
        DataError: the file cannot be read, or a line of it is no JSON object.
    """
    advice = f"; {remedy}" if remedy else ""
    try:
        with _open(path) as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield number, _object(line, number, path, advice or "; write one JSON object per line")
    except FileNotFoundError as error:
        raise DataError(f"there is no file {path}{advice}") from error
    except (OSError, UnicodeDecodeError, EOFError, zlib.error) as error:  # BadGzipFile is an OSError
        raise DataError(f"{path} cannot be read as .jsonl or .jsonl.gz: {error}{advice}") from error


def as_text(value: object) -> str:
    """Return text as it is, anything else as JSON writes it: `true`, `42`; null is empty."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value)


def _open(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8")
    return path.open(encoding="utf-8")


def _object(line: str, number: int, path: Path, advice: str) -> dict[str, Any]:
    try:
        columns = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}, line {number}: this is no JSON ({error}){advice}") from error
    if not isinstance(columns, dict):
        raise DataError(f"{path}, line {number}: a JSON object is needed, this is a {type(columns).__name__}{advice}")
    return columns


def _row(
    columns: Mapping[str, Any], number: int, path: Path, *, question: str | None, gold: str | None, response: str | None
) -> Row:
    gold_column = _find(columns, gold, GOLD_COLUMNS, "gold", path, number)
    response_column = _find(columns, response, RESPONSE_COLUMNS, "response", path, number)
    question_text = _optional(columns, (question,) if question else QUESTION_COLUMNS)
    label = columns.get("label")
    return Row(
        number=number,
        problem=Problem(
            id=_optional(columns, ID_COLUMNS) or _id_of(question_text, number),
            question=question_text,
            answer=as_text(columns[gold_column]),
            source=_optional(columns, ("dataset", "source")),
        ),
        completion=_completion(columns, response_column, path, number),
        label=label if isinstance(label, bool) else None,
        columns=columns,
    )


def _id_of(question: str, number: int) -> str:
    """Name a problem without an id by its question, so that its samples stay together; without one, by the line."""
    if not question:
        return f"line {number}"
    return f"question {hashlib.sha256(question.encode('utf-8', 'replace')).hexdigest()[:12]}"


def _completion(columns: Mapping[str, Any], column: str, path: Path, number: int) -> Completion:
    text = columns[column]
    if not isinstance(text, str):
        raise DataError(f"{path}, line {number}: {column!r} holds a {type(text).__name__}, not the response's text")
    num_tokens = columns.get("num_tokens")
    return Completion(
        text=text,
        num_tokens=num_tokens if isinstance(num_tokens, int) else None,
        truncated=columns.get("truncated") is True,
    )


def _find(
    columns: Mapping[str, Any], named: str | None, usual: Sequence[str], what: str, path: Path, number: int
) -> str:
    """Return the column of the gold or the response; raise DataError that says which columns there are."""
    for column in (named,) if named else usual:
        if column in columns:
            return column
    looked_for = repr(named) if named else " or ".join(map(repr, usual))
    there = ", ".join(map(repr, columns)) or "none"
    raise DataError(
        f"{path}, line {number}: no {what} column {looked_for}; the columns are {there}; "
        f"name the one with `--{what}-column` (in Python `{what}=`)"
    )


def _check_where(columns: Mapping[str, Any], where: Mapping[str, str], path: Path, number: int) -> None:
    for column in where:
        if column not in columns:
            hint = did_you_mean(column, columns)
            raise DataError(f"{path}, line {number}: `where` asks for the column {column!r}, which is not there{hint}")


def _group(row: Row, column: str) -> str:
    if column not in row.columns:
        hint = did_you_mean(column, row.columns)
        raise DataError(f"line {row.number} has no column {column!r} to group by{hint}")
    return f"{column}={as_text(row.columns[column])}"


def _optional(columns: Mapping[str, Any], names: Sequence[str]) -> str:
    return next((as_text(columns[name]) for name in names if columns.get(name) is not None), "")


def _agreement(labelled: Counter[tuple[bool, bool]]) -> Agreement | None:
    if not labelled:
        return None
    return Agreement(
        both_right=labelled[True, True],
        only_label=labelled[True, False],
        only_verifier=labelled[False, True],
        both_wrong=labelled[False, False],
    )


def _wilson(num_passed: int, num_graded: int) -> tuple[float | None, float | None]:
    if not num_graded:
        return None, None
    from scipy.stats import binomtest  # half a second to import, needed once at the end

    interval = binomtest(num_passed, num_graded).proportion_ci(confidence_level=0.95, method="wilson")
    return float(interval.low), float(interval.high)
