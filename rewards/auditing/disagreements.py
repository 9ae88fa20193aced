"""Where two independent graders differ on stored rollouts: the rows that train on a mistake of one of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from reasoning_grpo.rewards.auditing.audit import Judge
from reasoning_grpo.rewards.watched import Judged, Pair


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """One stored completion; `advantage` is None where none was stored, `place` says which row it is."""

    pair: Pair
    advantage: float | None
    place: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """One row that one grader passes and the other does not."""

    place: str
    problem_id: str
    gold: str
    advantage: float | None
    first: str
    second: str
    text_end: str


def disagreements(rollouts: Sequence[Rollout], first: Judge, second: Judge) -> list[Disagreement]:
    """Return the rows on which the graders differ, the largest absolute advantage first.

    A row on which a grader abstains is no disagreement: it says nothing there.
    """
    pairs = [rollout.pair for rollout in rollouts]
    found = [
        _disagreement(rollout, *verdicts)
        for rollout, *verdicts in zip(rollouts, first(pairs), second(pairs), strict=True)
        if _differ(*verdicts)
    ]
    return sorted(found, key=lambda each: -abs(each.advantage or 0.0))


def _differ(first: Judged, second: Judged) -> bool:
    has_abstained = any(each.verdict is not None and each.verdict.score is None for each in (first, second))
    return first.passed != second.passed and not has_abstained


def _disagreement(rollout: Rollout, first: Judged, second: Judged) -> Disagreement:
    completion, problem = rollout.pair
    return Disagreement(
        place=rollout.place,
        problem_id=problem.id,
        gold=problem.answer,
        advantage=rollout.advantage,
        first=_said(first),
        second=_said(second),
        text_end=completion.text[-200:],
    )


def _said(judged: Judged) -> str:
    if judged.verdict is None:
        return str(judged.broken)
    extracted = judged.verdict.extracted
    return f"{judged.verdict.outcome}" if extracted is None else f"{judged.verdict.outcome} ({extracted[:60]})"
