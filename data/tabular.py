r"""Rows with named columns to problems: your own JSONL, CSV or Parquet file, or any hub dataset.

Columns not named are guessed from the first row (`QUESTION_COLUMNS` and so on, letter case ignored). Text is kept as it
stands. A number becomes the text it was written as (`72`, `72.0`), True and False become `true` and `false`; null and
NaN mean "no gold" and become the empty text. Every other column goes to `Problem.meta`.

Left out: reading a final answer out of a worked solution. `gsm8k.py` and `hendrycks_math.py` do it for the two datasets
that need it; a guessed answer column that holds GSM8K's `#### 72` is refused rather than taken for a gold.
"""

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain

from reasoning_grpo.data.files import Row
from reasoning_grpo.errors import DataError, did_you_mean
from reasoning_grpo.schema import Problem

QUESTION_COLUMNS = ("question", "problem", "prompt")
ANSWER_COLUMNS = ("answer", "gold", "target", "final_answer")
ID_COLUMNS = ("id", "unique_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Names of the columns to read; None: guess. `id=""` numbers the rows, as does a table without an id column."""

    question: str | None = None
    answer: str | None = None
    id: str | None = None


def problems(rows: Iterable[Row], columns: Columns, *, source: str, id_prefix: str) -> Iterator[Problem]:
    """Yield a problem per row; one without a gold has the empty answer.

    Args:
        rows: Rows that all have the columns of the first one.
        columns: Which columns to read.
        source: `Problem.source` of every problem.
        id_prefix: Rows without an id are called `<id_prefix>/<row number from 0>`.

    Raises:
        DataError: A column is missing, or a cell holds no text or number.
    """
    stream = iter(rows)
    first = next(stream, None)
    if first is None:
        return
    found = _find_columns(columns, first)
    for number, row in enumerate(chain([first], stream)):
        problem_id = text_of(row, found.id) if found.id else f"{id_prefix}/{number}"
        yield _problem(row, found, problem_id, source, is_guess=columns.answer is None)


def text_of(row: Row, column: str) -> str:
    """Return the cell as text, "" for null and NaN.

    Raises:
        DataError: The column is missing, or its cell is a list, an object, infinite, or text that is not Unicode.
    """
    if column not in row.values:
        raise DataError(f"{row.where} has no column {column!r}{_columns_there(column, row)}")
    value = row.values[column]
    if value is None or value != value:  # only NaN differs from itself
        return ""
    if isinstance(value, str):
        return _checked_unicode(value, column, row)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float | Decimal) and math.isfinite(value):
        return _number_text(value, column, row)
    raise DataError(
        f"{row.where} has a {type(value).__name__} in column {column!r}; name a column that holds one text or number"
    )


def _problem(row: Row, columns: Columns, problem_id: str, source: str, *, is_guess: bool) -> Problem:
    assert columns.question is not None and columns.answer is not None  # _find_columns filled them
    question, answer = text_of(row, columns.question), text_of(row, columns.answer)
    if not question.strip():
        raise DataError(f"{row.where} has an empty question in column {columns.question!r}")
    if not problem_id.strip():
        raise DataError(f'{row.where} has an empty id in column {columns.id!r}; `id_column = ""` numbers the rows')
    if is_guess and "\n#### " in answer:
        raise DataError(
            f"{row.where} has a worked solution in column {columns.answer!r}, not a final answer; "
            "use the source `gsm8k`, or name a column of final answers with `answer_column`"
        )
    used = (columns.question, columns.answer, columns.id)
    meta = {key: value for key, value in row.values.items() if key not in used}
    return Problem(id=problem_id, question=question, answer=answer, source=source, meta=meta)


def _find_columns(columns: Columns, first: Row) -> Columns:
    return Columns(
        question=_find(columns.question, QUESTION_COLUMNS, first, "question_column"),
        answer=_find(columns.answer, ANSWER_COLUMNS, first, "answer_column"),
        id=_guess(ID_COLUMNS, first) if columns.id is None else columns.id,
    )


def _find(named: str | None, guesses: Sequence[str], first: Row, option: str) -> str:
    found = _guess(guesses, first) if named is None else named
    if found is None:
        raise DataError(
            f"{first.where} has none of the columns {', '.join(guesses)}; "
            f"name one with `{option}`{_columns_there('', first)}"
        )
    if found not in first.values:
        raise DataError(f"{first.where} has no column {found!r} for `{option}`{_columns_there(found, first)}")
    return found


def _guess(guesses: Sequence[str], first: Row) -> str | None:
    spellings = {column.casefold(): column for column in reversed(first.values)}
    return next((spellings[guess] for guess in guesses if guess in spellings), None)


def _columns_there(column: str, row: Row) -> str:
    hint = did_you_mean(column, row.values)
    there = f"; known: {', '.join(sorted(row.values))}"
    return hint if hint in ("", there) else hint + f" (columns there: {', '.join(sorted(row.values))})"


def _number_text(value: float | Decimal, column: str, row: Row) -> str:
    if row.json_text is None:
        return str(value)
    # Python's float has forgotten whether the file said 72.0, 72.00 or 7.2e1.
    return str(json.loads(row.json_text, parse_int=str, parse_float=str)[column])


def _checked_unicode(value: str, column: str, row: Row) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:  # JSON can write half of a surrogate pair, which no tokenizer takes
        raise DataError(f"{row.where} has half a character (a lone surrogate) in column {column!r}") from error
    return value
