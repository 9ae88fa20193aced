"""Measures over attempts, each with its error.

Intervals are Wilson's (J. Am. Stat. Assoc. 22, 1927), which hold near 0 and 1 where the normal one does not. Two models
on the same problems are compared pairwise: McNemar's exact test (Psychometrika 12, 1947) on the problems they disagree
on.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reasoning_grpo.schema import Attempt, Outcome, Verdict

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """Share of graded problems answered right, with its 95 % interval; NaN where nothing could be graded."""

    num_correct: int
    num_graded: int
    num_ungradable: int = 0

    @property
    def value(self) -> float:
        """Correct over graded."""
        return self.num_correct / self.num_graded if self.num_graded else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval."""
        if not self.num_graded:
            return math.nan, math.nan
        from scipy.stats import binomtest

        ci = binomtest(self.num_correct, self.num_graded).proportion_ci(CONFIDENCE, method="wilson")
        return float(ci.low), float(ci.high)

    def as_row(self) -> dict[str, Any]:
        """Return the figures under the names of `result.json`."""
        low, high = self.interval
        return {
            "accuracy": self.value,
            "ci_low": low,
            "ci_high": high,
            "num_correct": self.num_correct,
            "num_graded": self.num_graded,
            "num_ungradable": self.num_ungradable,
        }

    def __str__(self) -> str:
        low, high = self.interval
        return f"{100 * self.value:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedComparison:
    """Two models, one answer each on the same problems. `wins` are right after and wrong before."""

    wins: int
    losses: int
    num_problems: int

    @property
    def difference(self) -> float:
        """Accuracy after minus accuracy before."""
        return (self.wins - self.losses) / self.num_problems if self.num_problems else math.nan

    @property
    def p_value(self) -> float:
        """Two-sided exact McNemar p-value; 1 where no answer changed."""
        changed = self.wins + self.losses
        if not changed:
            return 1.0
        from scipy.stats import binomtest

        return float(binomtest(self.wins, changed).pvalue)


def accuracy(verdicts: Sequence[Verdict]) -> Accuracy:
    """Count verdicts; full marks count as correct, ungradable ones leave the denominator."""
    ungradable = sum(verdict.outcome is Outcome.UNGRADABLE for verdict in verdicts)
    return Accuracy(
        num_correct=sum(verdict.passed for verdict in verdicts),
        num_graded=len(verdicts) - ungradable,
        num_ungradable=ungradable,
    )


def compare_paired(before: Mapping[str, Verdict], after: Mapping[str, Verdict]) -> PairedComparison:
    """Compare verdicts by problem id; problems that either side could not grade are left out."""
    both = [
        (before[id_].passed, after[id_].passed)
        for id_ in before.keys() & after.keys()
        if Outcome.UNGRADABLE not in (before[id_].outcome, after[id_].outcome)
    ]
    return PairedComparison(
        wins=sum(now and not then for then, now in both),
        losses=sum(then and not now for then, now in both),
        num_problems=len(both),
    )


def outcome_counts(verdicts: Sequence[Verdict]) -> dict[str, int]:
    """Return how often each outcome occurred, every outcome named."""
    counts = Counter(verdict.outcome for verdict in verdicts)
    return {str(outcome): counts[outcome] for outcome in Outcome}


def mean_score(verdicts: Sequence[Verdict]) -> float:
    """Return the mean score of the graded verdicts; NaN where nothing was graded."""
    scores = [verdict.score for verdict in verdicts if verdict.score is not None]
    return sum(scores) / len(scores) if scores else math.nan


def mean_tokens(attempts: Sequence[Attempt]) -> float:
    """Return the mean length of the completions in generated tokens; NaN where lengths are unknown."""
    lengths = [a.completion.num_tokens for a in attempts if a.completion.num_tokens is not None]
    return sum(lengths) / len(lengths) if lengths else math.nan
