"""Datasets in a folder of your own: `REASONING_GRPO_DATA=DIR` holds `DIR/<name>/<split>.jsonl`.

Rows are `{id, problem, answer, …}`; the other keys go to `Problem.meta`. A folder that is there wins over the hub, so a
machine without a network trains on the same names. Any folder name can be used as a source.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from reasoning_grpo.data import files, tabular
from reasoning_grpo.errors import DataError, did_you_mean
from reasoning_grpo.schema import Problem

VARIABLE = "REASONING_GRPO_DATA"
_COLUMNS = tabular.Columns(question="problem", answer="answer", id="id")
_PLAIN_NAME = re.compile(r"\w[\w.-]*")  # no separator: a name or a split never leads out of the folder


def names() -> list[str]:
    """Return the datasets of the folder, none without the variable.

    Raises:
        DataError: The variable names no folder.
    """
    if not os.environ.get(VARIABLE):
        return []
    folder = Path(os.environ[VARIABLE]).expanduser()
    if not folder.is_dir():
        raise DataError(f"`{VARIABLE}` is {str(folder)!r}, which is not a folder; unset it or point it at one")
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and _PLAIN_NAME.fullmatch(entry.name))


def problems(name: str, split: str) -> Iterator[Problem]:
    """Yield the problems of `<name>/<split>.jsonl`; `name` must be one of `names()`.

    Raises:
        DataError: There is no such split, or a row is malformed.
    """
    folder = Path(os.environ[VARIABLE]).expanduser() / name
    splits = [entry.name.removesuffix(".jsonl") for entry in folder.glob("*.jsonl")]
    if split not in splits:
        raise DataError(f"`{VARIABLE}` has no `{name}/{split}.jsonl`{did_you_mean(split, splits)}")
    rows = files.read(folder / f"{split}.jsonl", f"{name}/{split}.jsonl")
    for problem in tabular.problems(rows, _COLUMNS, source=name, id_prefix=f"{name}/{split}"):
        yield _with_own_source(problem)


def _with_own_source(problem: Problem) -> Problem:
    meta = dict(problem.meta)
    return replace(problem, source=str(meta.pop("source", problem.source)), meta=meta)
