r"""Does a benchmark stand in a training set, and is accuracy better where it does?

| kind | when |
|---|---|
| exact | the same letters and digits: `overlap_key`, by which training drops a benchmark's problems |
| n-gram | at least `MIN_SHARE` of the question's different runs of 13 words stand somewhere in the training questions |

A word is a run of letters, digits and `_` of the normalised question (`\w+`), so that LaTeX spacing and signs do not
hide a copy. Questions of fewer than 13 words have no 13-gram: only an exact copy counts. A paraphrase is not found.

Memory is bounded by the benchmark: of the training set one question at a time is looked at.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reasoning_grpo.data.splits import normalise_question, overlap_key
from reasoning_grpo.errors import UserError
from reasoning_grpo.eval.measures import accuracy_figures, graded_attempts
from reasoning_grpo.eval.runs import Run
from reasoning_grpo.schema import Problem

NGRAM = 13
MIN_SHARE = 0.5
MAX_WORDS = 4_096  # of one question; a longer one is a document, and its beginning tells

_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemOverlap:
    """How much of a question stands in the training set; `share` is None where it has no 13-gram."""

    exact: bool
    share: float | None

    @property
    def is_overlapping(self) -> bool:
        """A copy by either rule."""
        return self.exact or (self.share is not None and self.share >= MIN_SHARE)


def find_overlap(benchmark: Sequence[Problem], train: Iterable[Problem]) -> dict[str, ProblemOverlap]:
    """Return the overlap of each benchmark problem, by its id."""
    keys = {problem.id: overlap_key(problem.question) for problem in benchmark}
    grams = {problem.id: ngrams(problem.question) for problem in benchmark}
    wanted_keys, wanted_grams = set(keys.values()), set().union(*grams.values())
    seen_keys, seen_grams = set(), set()
    for problem in train:
        seen_keys.update({overlap_key(problem.question)} & wanted_keys)
        seen_grams |= ngrams(problem.question) & wanted_grams
    return {
        id_: ProblemOverlap(exact=keys[id_] in seen_keys, share=len(own & seen_grams) / len(own) if own else None)
        for id_, own in grams.items()
    }


def ngrams(question: str, n: int = NGRAM) -> set[tuple[str, ...]]:
    """Return the different runs of `n` words of a question."""
    words = _WORD.findall(normalise_question(question))[:MAX_WORDS]
    return {tuple(words[start : start + n]) for start in range(len(words) - n + 1)}


def overlap_figures(run: Run, train: Iterable[Problem], origin: str) -> tuple[dict[str, Any], set[str]]:
    """Return the record of a run's overlap with a training set, and the ids of the problems that overlap.

    Accuracy on either part has its interval; the figures of an empty part are null.

    Raises:
        UserError: the run does not know its questions.
    """
    if not any(problem.question.strip() for problem in run.problems):
        raise UserError(
            f"the run {run.label!r} does not hold its questions, so nothing can be said about overlap; report a folder "
            "made by `bench`, or score a file that has a column `question`"
        )
    found = find_overlap(run.problems, train)
    overlapping = {id_ for id_, one in found.items() if one.is_overlapping}
    return {
        "train_data": origin,
        "ngram": NGRAM,
        "min_share": MIN_SHARE,
        "num_exact": sum(one.exact for one in found.values()),
        "num_ngram": sum(one.share is not None and one.share >= MIN_SHARE for one in found.values()),
        "num_short": sum(one.share is None for one in found.values()),
        "num_overlapping": len(overlapping),
        "clean": _part(run, found.keys() - overlapping),
        "overlapping": _part(run, overlapping),
    }, overlapping


def _part(run: Run, ids: set[str]) -> Mapping[str, Any] | None:
    graded = {id_: attempts for id_, attempts in graded_attempts(run).items() if id_ in ids}
    return {"num_problems": len(graded), **accuracy_figures(run, graded)} if graded else None
