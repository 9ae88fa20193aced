"""Accuracy with less room: an attempt counts as right at a budget only if its whole completion fits in it.

So the curve is that of cutting at b tokens a model that does not know of the limit; told of it, a model may do better.
An answer that stands before the cut of a longer completion does not count, since nobody would have known it was final.
The last point is the run itself.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from reasoning_grpo.eval.measures import accuracy_figures, graded_attempts
from reasoning_grpo.eval.runs import Run
from reasoning_grpo.schema import Attempt, Outcome, Verdict

NUM_POINTS = 20

_CUT = Verdict(score=0.0, outcome=Outcome.NO_ANSWER, detail="longer than the budget")


def budgets(runs: Sequence[Run], num_points: int = NUM_POINTS) -> list[int]:
    """Return token budgets at evenly spaced quantiles of the lengths of all runs, ascending, the longest one last.

    Empty where a run has no graded attempt, or does not know the length of one.
    """
    if not all(_all_lengths(run) and None not in _all_lengths(run) for run in runs):
        return []
    lengths = sorted(length for run in runs for length in _lengths(run))
    places = [math.ceil(len(lengths) * point / num_points) - 1 for point in range(1, num_points + 1)]
    return sorted({lengths[max(place, 0)] for place in places})


def curve(run: Run, at: Sequence[int]) -> list[dict[str, Any]]:
    """Return accuracy with its 95 % interval, and the share of attempts that fit, at each budget in tokens."""
    graded = graded_attempts(run)
    lengths = _lengths(run)
    return [
        {
            "tokens": budget,
            **{name: value for name, value in _at(run, graded, budget).items() if name in _SHOWN},
            "share_fitting": sum(length <= budget for length in lengths) / len(lengths),
        }
        for budget in at
    ]


_SHOWN = ("accuracy", "ci_low", "ci_high", "num_correct")


def _at(run: Run, graded: Mapping[str, Sequence[Attempt]], budget: int) -> dict[str, Any]:
    cut = {id_: [_cut(run, attempt, budget) for attempt in attempts] for id_, attempts in graded.items()}
    return accuracy_figures(run, cut)


def _cut(run: Run, attempt: Attempt, budget: int) -> Attempt:
    length = attempt.completion.num_tokens
    fits = length is not None and length <= budget
    return attempt if fits else replace(attempt, verdicts={run.term: _CUT})


def _all_lengths(run: Run) -> list[int | None]:
    return [attempt.completion.num_tokens for attempts in graded_attempts(run).values() for attempt in attempts]


def _lengths(run: Run) -> list[int]:
    return [length for length in _all_lengths(run) if length is not None]
