"""The same completions under several graders: does the conclusion depend on who grades?

Measured reason: one RL run's gain on GSM8K was +0.8 points (p = 0.41) by one grader and +5.8 (p = 2e-8) by another, on
the same stored outputs. Nothing is generated; the completions of both runs are graded again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from reasoning_grpo.eval.compare import Bootstrap, difference_row, pair_up
from reasoning_grpo.eval.measures import graded_attempts
from reasoning_grpo.eval.paired import PairedDifference, paired_difference
from reasoning_grpo.eval.runs import Run
from reasoning_grpo.rewards.compose import RewardSpec, RewardTerm
from reasoning_grpo.schema import AnswerForm, AnswerFormat

BATCH = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class GraderChoice:
    """A grader of the band, under the name a person reads."""

    name: str
    verifier: str
    options: Mapping[str, Any] = field(default_factory=dict)


ACCURACY = GraderChoice(name="accuracy", verifier="accuracy")
STRICT_FORM = GraderChoice(name="strict form", verifier="accuracy", options={"strict_form": True})
STRICT_BOX = GraderChoice(name="strict box", verifier="strict_box")
LAST_NUMBER = GraderChoice(name="last number", verifier="last_number")
MATH_VERIFY = GraderChoice(name="math-verify", verifier="math_verify")


def band_for(run: Run, *, quick: bool = False) -> tuple[GraderChoice, ...]:
    """Return ours, a strict one, a lenient one, and unless it is to be `quick` the most used library as it comes.

    Strict is "where the prompt asked for it"; of a run that does not know its prompt, in a box and nowhere else.
    """
    strict = STRICT_FORM if "answer_form" in run.conditions else STRICT_BOX
    return (ACCURACY, strict, LAST_NUMBER) if quick else (ACCURACY, strict, LAST_NUMBER, MATH_VERIFY)


def regraded(run: Run, choice: GraderChoice, on_graded: Callable[[int], None] = lambda count: None) -> Run:
    """Return the run with every completion judged by another grader."""
    term = RewardTerm(name=run.term, verifier=choice.verifier, options=choice.options)
    spec = RewardSpec(terms=(term,), answer_format=_answer_format(run))
    problems = {problem.id: problem for problem in run.problems}
    attempts, remaining = [], iter(run.attempts)
    while batch := list(islice(remaining, BATCH)):
        scored = spec.score_batch([a.completion for a in batch], [problems[a.problem_id] for a in batch])
        attempts += [
            replace(attempt, verdicts=found.verdicts, reward=found.reward)
            for attempt, found in zip(batch, scored, strict=True)
        ]
        on_graded(len(batch))
    return replace(run, attempts=tuple(attempts))


def band(
    before: Run,
    after: Run,
    *,
    graders: Sequence[GraderChoice] | None = None,
    bootstrap: Bootstrap | None = None,
    samples: int | None = None,
    on_graded: Callable[[int], None] = lambda count: None,
) -> dict[str, Any]:
    """Return the difference under each grader, in points, and a warning where they do not agree (None: they do).

    `graders` are those of `band_for(before)` unless named. Those that can read none of the golds, as where a verifier
    of one's own needs none, are named under `abstained`.
    """
    how = bootstrap or Bootstrap()
    found: dict[str, PairedDifference] = {}
    abstained = []
    for choice in graders or band_for(before):
        was, now = regraded(before, choice, on_graded), regraded(after, choice, on_graded)
        if not graded_attempts(was).keys() & graded_attempts(now).keys():
            abstained.append(choice.name)
            continue
        pair = pair_up(was, now, samples=samples)
        found[choice.name] = paired_difference(
            pair.tallies(), confidence=how.confidence, num_draws=how.num_draws, seed=how.seed
        )
    rows = {name: difference_row(one) for name, one in found.items()}
    return {"graders": rows, "warning": disagreement(found), "abstained": abstained}


def disagreement(found: Mapping[str, PairedDifference]) -> str | None:
    """Say how the conclusion depends on the grader: by its sign among significant ones, or by being significant."""
    sure = {name: one for name, one in found.items() if one.is_significant}
    unsure = sorted(found.keys() - sure.keys())
    better = sorted(name for name, one in sure.items() if one.difference > 0)
    worse = sorted(sure.keys() - set(better))
    if better and worse:
        return (
            f"the sign of the difference depends on the grader: better by {_listed(better)}, worse by {_listed(worse)}"
        )
    if sure and unsure:
        return (
            f"whether there is a difference depends on the grader: significant by {_listed(sorted(sure))}, "
            f"not by {_listed(unsure)}"
        )
    signs = {one.difference > 0 for one in found.values() if one.difference}
    if len(signs) > 1:
        return "the sign of the difference depends on the grader, though none calls it significant"
    return None


def _answer_format(run: Run) -> AnswerFormat:
    prompt = run.conditions.get("prompt")
    told = prompt if isinstance(prompt, Mapping) else {}
    return AnswerFormat(
        form=AnswerForm(run.conditions.get("answer_form", AnswerForm.PLAIN)),
        think=bool(told.get("think")),
        think_prefilled=bool(told.get("think_prefilled")),
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)
