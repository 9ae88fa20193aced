"""Which golds of a data set make trouble whatever the grader: empty, ambiguous, or several values in one."""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from reasoning_grpo.rewards.markers import has_content
from reasoning_grpo.rewards.substance import num_values
from reasoning_grpo.schema import Problem

_AMBIGUOUS = re.compile(
    r"\\approx|≈|(?<![A-Za-z])(?:approximately|about|roughly|any|such as|e\.g\.|etc)(?![A-Za-z])"
    r"|\?|\.\.\.|dots(?![A-Za-z])|(?<![A-Za-z])i\.e\.|\((?:or|accept)\b",
    re.IGNORECASE,
)
_MAX_CHARS = 300


class GoldTrouble(StrEnum):
    """What is the matter with a gold. Only MULTI_VALUED stays in a cleaned file: a list is graded as a list."""

    EMPTY = "empty"
    UNGRADABLE = "ungradable"  # the verifier abstains on the gold itself
    REJECTED = "rejected"  # the verifier calls the gold wrong
    AMBIGUOUS = "ambiguous"  # not one value: approximate, open, with a remark
    MULTI_VALUED = "multi-valued"  # a list: the model must give all of it


def trouble_of(gold: str) -> GoldTrouble | None:
    """Return what can be said of a gold by reading it; the verifier's own opinion comes on top."""
    if not has_content(gold):
        return GoldTrouble.EMPTY
    if len(gold) > _MAX_CHARS or _AMBIGUOUS.search(gold) or _is_chained(gold):
        return GoldTrouble.AMBIGUOUS
    return GoldTrouble.MULTI_VALUED if num_values(gold) > 1 else None


def cleaned_row(problem: Problem) -> Mapping[str, Any]:
    """Return a problem as a row that the data sources read back."""
    return {**problem.meta, "id": problem.id, "question": problem.question, "answer": problem.answer}


def _is_chained(gold: str) -> bool:
    """`x=2y=4` claims two things at once; `x=2, y=4` and `f(x)=2` are plain."""
    return any(part.count("=") > 1 for part in re.split(r"[,;]|\\\\|\\text", gold))
