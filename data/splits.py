"""Keep problems apart: train from a benchmark, and train from what is held out of it.

Against a benchmark the comparison is coarse on purpose: letters and digits alone. Of the ten MATH-train problems it
finds in MATH-test four are true copies, three of them with other LaTeX spacing or braces, and six are near copies (22.5
for 225 degrees, + for -). A near copy dropped costs one problem of 7,500; a copy kept makes the benchmark's number too
good. A paraphrase is not found: this does not prove a benchmark clean.
"""

import hashlib
import unicodedata
from collections.abc import Sequence

from reasoning_grpo.errors import DataError
from reasoning_grpo.schema import Problem


def normalise_question(text: str) -> str:
    """Return `text` in Unicode NFKC, case folded, each run of whitespace one space.

    NFKC writes `x²` as `x2`: two questions may count as one, never the other way round.
    """
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def overlap_key(text: str) -> str:
    """Return the letters and digits of `text`, NFKC and case folded; a question without any keeps its signs."""
    normal = normalise_question(text)
    return "".join(filter(str.isalnum, normal)) or normal


def drop_overlap(train: Sequence[Problem], benchmark: Sequence[Problem]) -> tuple[list[Problem], list[Problem]]:
    """Return `(kept, dropped)`: the problems of `train` whose question is not in `benchmark`, and those that are."""
    known = {overlap_key(problem.question) for problem in benchmark}
    kept: list[Problem] = []
    dropped: list[Problem] = []
    for problem in train:
        (dropped if overlap_key(problem.question) in known else kept).append(problem)
    return kept, dropped


def split_heldout(problems: Sequence[Problem], *, num_heldout: int, seed: int) -> tuple[list[Problem], list[Problem]]:
    """Return `(train, heldout)`, the same whatever order `problems` come in.

    A question's hash decides, so the split survives added rows as far as it can, and a larger `num_heldout` holds out
    the same problems and more. Each held-out question is there once (the row with the smallest id), and all of its
    copies leave `train`: `len(train) + len(heldout)` is smaller than `len(problems)` by their number.

    Returns:
        `train` in the order given; `heldout`, `num_heldout` problems in hash order.

    Raises:
        DataError: There are not more than `num_heldout` different questions.
    """
    by_question: dict[str, Problem] = {}
    for problem in sorted(problems, key=lambda problem: problem.id):
        by_question.setdefault(normalise_question(problem.question), problem)
    if not 0 <= num_heldout < len(by_question):
        raise DataError(
            f"cannot hold out {num_heldout} of {len(by_question)} different questions; "
            "hold out at least 0 and leave at least one to train on"
        )
    chosen = sorted(by_question, key=lambda question: _hash(question, seed))[:num_heldout]
    heldout = set(chosen)
    train = [problem for problem in problems if normalise_question(problem.question) not in heldout]
    return train, [by_question[question] for question in chosen]


def _hash(question: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}\n{question}".encode()).digest()
