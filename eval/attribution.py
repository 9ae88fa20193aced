"""What a difference is made of: more answers in the asked form, more of them found, fewer cut off, more of them right?

Every attempt stopped at one stage (`stages.py`). A run's accuracy is the sum over stages of the share of attempts that
stopped there times the accuracy among them, so a difference of two runs is exactly the sum of how the shares moved and
of how the accuracies within stages moved, each valued at the mean of both runs (Kitagawa, Journal of the American
Statistical Association 50, 1955, 1168-1194). Swapping the runs flips every sign.

A share that moves goes to, or comes from, the attempts that answered: it is valued by what it gains or loses against
their accuracy. So `truncation` is what fewer truncated attempts brought, were the others as good as all that answered.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from reasoning_grpo.eval.runs import Run
from reasoning_grpo.eval.stages import Stage, stage_of
from reasoning_grpo.schema import Attempt

PARTS = {
    Stage.NOT_IN_FORM: "form",
    Stage.NOT_EXTRACTED: "extraction",
    Stage.TRUNCATED: "truncation",
}
CORRECTNESS = "correctness"


@dataclass(frozen=True, slots=True, kw_only=True)
class Strata:
    """By stage: the share of attempts that stopped there, and the share of all attempts that did and are right."""

    share: Mapping[Stage, Fraction]
    right: Mapping[Stage, Fraction]

    def accuracy(self, stage: Stage) -> Fraction | None:
        """Return the accuracy among the attempts of a stage; None without any."""
        return self.right[stage] / self.share[stage] if self.share[stage] else None


def strata(run: Run, attempts: Mapping[str, Sequence[Attempt]]) -> Strata:
    """Weigh every problem alike, and the attempts of a problem alike."""
    stage = stage_of(run)
    share, right = dict.fromkeys(Stage, Fraction()), dict.fromkeys(Stage, Fraction())
    for samples in attempts.values():
        weight = Fraction(1, len(attempts) * len(samples))
        for attempt in samples:
            stopped = stage(attempt)
            share[stopped] += weight
            right[stopped] += weight * run.verdict(attempt).passed
    return Strata(share=share, right=right)


def attribute(before: Strata, after: Strata) -> dict[str, Fraction]:
    """Return the parts of the difference in accuracy, after minus before, as exact shares that sum to the whole."""
    answered = _middle(before, after, Stage.ANSWERED)
    parts = {
        name: (after.share[stage] - before.share[stage]) * (_middle(before, after, stage) - answered)
        for stage, name in PARTS.items()
    }
    parts[CORRECTNESS] = sum((_within(before, after, stage) for stage in Stage), Fraction())
    return parts


def _middle(before: Strata, after: Strata, stage: Stage) -> Fraction:
    """Return the mean accuracy of a stage over both runs; over one where the other has no such attempt."""
    known = [value for strata in (before, after) if (value := strata.accuracy(stage)) is not None]
    return sum(known, Fraction()) / len(known) if known else Fraction()


def _within(before: Strata, after: Strata, stage: Stage) -> Fraction:
    was, now = before.accuracy(stage), after.accuracy(stage)
    if was is None or now is None:
        return Fraction()
    return (before.share[stage] + after.share[stage]) / 2 * (now - was)
