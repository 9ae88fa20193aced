"""Two runs on the same problems: what is different, how sure that is, and what it is made of.

`before` and `after` are only names for the first and the second; differences are after minus before. Problems that
either run could not grade, or was not asked, are left out and counted.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reasoning_grpo.errors import UserError
from reasoning_grpo.eval.attribution import attribute, strata
from reasoning_grpo.eval.measures import MAX_GROUPS, accuracy_figures, graded_attempts
from reasoning_grpo.eval.metrics import CONFIDENCE
from reasoning_grpo.eval.paired import NUM_DRAWS, PairedDifference, Tally, paired_difference
from reasoning_grpo.eval.power import problems_needed, smallest_detectable
from reasoning_grpo.eval.runs import GROUPINGS, Run
from reasoning_grpo.schema import Attempt, Problem

SCHEMA_VERSION = 1
_HASH = re.compile("[0-9a-f]{64}")
Attempts = Mapping[str, Sequence[Attempt]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bootstrap:
    """How the interval of runs with several samples is drawn."""

    confidence: float = CONFIDENCE
    num_draws: int = NUM_DRAWS
    seed: int = 0
    on_test: Callable[[], None] = lambda: None
    """Called after each of the `num_tests` of a comparison."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two runs cut down to the problems that both graded, in the order of the first."""

    before: Run
    after: Run
    problems: tuple[Problem, ...]
    attempts_before: Attempts
    attempts_after: Attempts
    num_left_out: int

    def tallies(self, ids: Sequence[str] | None = None) -> list[Tally]:
        """Return the counts of some problems, or of all."""
        return [self._tally(id_) for id_ in (ids if ids is not None else self.attempts_before)]

    def _tally(self, id_: str) -> Tally:
        before, after = self.attempts_before[id_], self.attempts_after[id_]
        return Tally(
            right_before=sum(self.before.verdict(attempt).passed for attempt in before),
            num_before=len(before),
            right_after=sum(self.after.verdict(attempt).passed for attempt in after),
            num_after=len(after),
        )


def pair_up(before: Run, after: Run, *, samples: int | None = None) -> Pair:
    """Return the two runs over the problems that both graded; `samples` takes only the first so many of each problem.

    Raises:
        UserError: there is no such problem, or one has fewer samples than asked for.
    """
    graded_before, graded_after = (_first(graded_attempts(run), samples, run.label) for run in (before, after))
    problems = tuple(p for p in before.problems if p.id in graded_before and p.id in graded_after)
    if not problems:
        raise UserError(_nothing_shared(before, after))
    asked = {problem.id for run in (before, after) for problem in run.problems}
    return Pair(
        before=before,
        after=after,
        problems=problems,
        attempts_before={problem.id: graded_before[problem.id] for problem in problems},
        attempts_after={problem.id: graded_after[problem.id] for problem in problems},
        num_left_out=len(asked) - len(problems),
    )


def differing_conditions(before: Run, after: Run) -> dict[str, tuple[Any, Any]]:
    """Return the conditions that both runs know and do not share, with both values; verifiers by their fingerprint."""
    known = before.conditions.keys() & after.conditions.keys()
    pairs = {name: (before.conditions[name], after.conditions[name]) for name in sorted(known)}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def refuse_differing(before: Run, after: Run) -> None:
    """Refuse two runs whose difference would be one of their conditions.

    Raises:
        UserError: naming the conditions and both values, or a problem and both its golds.
    """
    differing = differing_conditions(before, after)
    if differing:
        told = told_apart(differing)
        remedy = " (`reasoning-grpo regrade` puts two verifiers on one footing)" if "verifier" in differing else ""
        told += f" ({_sizes(before, after)})" if "data" in differing else ""
        raise UserError(
            f"the two runs were not made under the same conditions: {told}; a difference could be theirs rather than "
            f"the models'{remedy}; `--force` compares all the same"
        )
    _refuse_differing_golds(before, after)


def differing_facts(before: Run, after: Run) -> dict[str, tuple[Any, Any]]:
    """Return what may move answers a little and is no condition: where and in which type the models computed."""
    pairs = {name: (before.facts.get(name), after.facts.get(name)) for name in ("backend", "dtype")}
    return {name: pair for name, pair in pairs.items() if None not in pair and pair[0] != pair[1]}


def told_apart(differing: Mapping[str, Sequence[Any]]) -> str:
    """Return what differs with both values; of tables only the entries that do."""
    return "; ".join(
        f"{name}: {_told(was)} and {_told(now)}"
        for condition, (one, other) in differing.items()
        for name, was, now in _entries(condition, one, other)
    )


def footing(record: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a reader of a comparison must know before any figure: what two runs do not share, with both values."""
    if differing := record["differing_conditions"]:
        yield f"Not made under the same conditions, so a difference need not be the models': {told_apart(differing)}."
    if facts := record["differing_facts"]:
        yield f"The two models did not compute alike, which moves some answers: {told_apart(facts)}."


def unshared_conditions(before: Run, after: Run) -> list[str]:
    """Return the conditions that only one of the runs knows: nobody can say whether they were the same."""
    return sorted(before.conditions.keys() ^ after.conditions.keys())


def compare(pair: Pair, bootstrap: Bootstrap | None = None) -> dict[str, Any]:
    """Return the comparison as a record for JSON; differences, intervals and parts are in percentage points."""
    how = bootstrap or Bootstrap()
    found = _difference(pair.tallies(), how)
    parts = attribute(strata(pair.before, pair.attempts_before), strata(pair.after, pair.attempts_after))
    return {
        "schema_version": SCHEMA_VERSION,
        "unit": "points",
        **difference_row(found),
        "confidence": how.confidence,
        "smallest_detectable": points(_detectable(found)),
        "num_left_out": pair.num_left_out,
        "before": _side(pair.before, pair.attempts_before),
        "after": _side(pair.after, pair.attempts_after),
        "sentence": sentence(found, pair.before.label, pair.after.label),
        "attribution": {name: points(float(part)) for name, part in parts.items()},
        "pass_at_k": _at_k(pair, how),
        "by": _by_groups(pair, how),
        "differing_conditions": {k: list(v) for k, v in differing_conditions(pair.before, pair.after).items()},
        "unshared_conditions": unshared_conditions(pair.before, pair.after),
        "differing_facts": {k: list(v) for k, v in differing_facts(pair.before, pair.after).items()},
        "flips": list(flips(pair)),
    }


def num_tests(pair: Pair) -> int:
    """Return how many differences `compare` draws and tests: thousands of problems take about a second each."""
    return 1 + len(_powers_of_two(pair)) + sum(len(values) for values in _groups(pair).values())


def difference_row(found: PairedDifference) -> dict[str, Any]:
    """Return the figures of one difference, in percentage points."""
    return {
        "difference": points(found.difference),
        "ci_low": points(found.low),
        "ci_high": points(found.high),
        "p_value": found.p_value,
        "wins": found.wins,
        "losses": found.losses,
        "ties": found.ties,
        "num_problems": found.num_problems,
        "method": found.method,
    }


def sentence(found: PairedDifference, before: str, after: str) -> str:
    """Say what was found in one plain sentence."""
    size = f"{abs(points(found.difference)):.1f} points"
    spread = f"[{points(found.low):+.1f}, {points(found.high):+.1f}], p = {found.p_value:.2g}"
    if found.is_significant:
        better = "better" if found.difference > 0 else "worse"
        return f"{after} is {better} than {before} by {size} ({spread})."
    told = f"{found.num_problems:,} problems detect {points(_detectable(found)):.1f} points"
    alpha = 1.0 - found.confidence
    needed = None if size.startswith("0.0 ") else problems_needed(found.difference, found.variance, alpha)
    wanted = f"; a true difference of {size} would need about {needed:,}" if needed else ""
    return f"{before} and {after} are not distinguishable ({size}, {spread}): {told}{wanted}."


def flips(pair: Pair) -> Iterator[dict[str, Any]]:
    """Yield the problems that changed, losses first, with one attempt of each run that shows it."""
    changed = [(tally.difference, problem) for tally, problem in zip(pair.tallies(), pair.problems, strict=True)]
    for difference, problem in sorted((c for c in changed if c[0]), key=lambda c: c[0]):
        won = difference > 0
        yield {
            "problem_id": problem.id,
            "change": "win" if won else "loss",
            "difference": points(float(difference)),
            "question": problem.question,
            "gold": problem.answer,
            "before": _shown(pair.before, pair.attempts_before[problem.id], right=not won),
            "after": _shown(pair.after, pair.attempts_after[problem.id], right=won),
        }


def points(share: float) -> float:
    """Return a share in percentage points."""
    return 100.0 * share


def _sizes(before: Run, after: Run) -> str:
    """Say how two sets of problems differ; a hash of them says it to nobody."""
    sets = [{(problem.id, problem.question, problem.answer) for problem in run.problems} for run in (before, after)]
    return f"{len(sets[0]):,} and {len(sets[1]):,} problems, {len(sets[0] & sets[1]):,} of them the same"


def _nothing_shared(before: Run, after: Run) -> str:
    shared = {problem.id for problem in before.problems} & {problem.id for problem in after.problems}
    if shared:
        return (
            f"none of the {len(shared):,} problems of {before.label!r} and {after.label!r} could be graded in both "
            f"runs, such as {min(shared)!r}; see the golds with `reasoning-grpo audit`"
        )
    return (
        f"{before.label!r} and {after.label!r} share no graded problem: their problem ids differ "
        f"({_example(before)} and {_example(after)}); compare runs of one set of problems"
    )


def _refuse_differing_golds(before: Run, after: Run) -> None:
    """Refuse two runs that mean different problems by one id."""
    golds = {problem.id: problem.answer for problem in before.problems}
    differing = [p for p in after.problems if p.id in golds and golds[p.id] != p.answer]
    if differing:
        first = differing[0]
        raise UserError(
            f"the two runs have different golds for {len(differing)} problems of the same id, such as {first.id!r}: "
            f"{_told(golds[first.id])} and {_told(first.answer)}; they were not asked the same; `--force` compares all "
            "the same"
        )


def _entries(condition: str, one: Any, other: Any) -> Iterator[tuple[str, Any, Any]]:
    is_verifier = condition == "verifier"  # its fingerprint says all, and `_told` shows it
    if is_verifier or not (isinstance(one, Mapping) and isinstance(other, Mapping)):
        yield condition, one, other
        return
    for key in sorted(one.keys() | other.keys()):
        if one.get(key) != other.get(key):
            yield f"{condition}.{key}", one.get(key), other.get(key)


def _difference(tallies: Sequence[Tally], how: Bootstrap, k: int = 1) -> PairedDifference:
    found = paired_difference(tallies, k=k, confidence=how.confidence, num_draws=how.num_draws, seed=how.seed)
    how.on_test()
    return found


def _detectable(found: PairedDifference) -> float:
    return smallest_detectable(found.num_problems, variance=found.variance, alpha=1.0 - found.confidence)


def _side(run: Run, attempts: Attempts) -> dict[str, Any]:
    figures = accuracy_figures(run, attempts)
    return {"label": run.label, **{name: figures[name] for name in ("accuracy", "ci_low", "ci_high", "num_correct")}}


def _at_k(pair: Pair, how: Bootstrap) -> dict[str, dict[str, Any]]:
    """Compare pass@k at each power of two that every problem has samples for, in both runs."""
    tallies = pair.tallies()
    return {str(k): difference_row(_difference(tallies, how, k)) for k in _powers_of_two(pair)}


def _powers_of_two(pair: Pair) -> list[int]:
    fewest = min(min(tally.num_before, tally.num_after) for tally in pair.tallies())
    return [2**power for power in range(1, fewest.bit_length())]


def _by_groups(pair: Pair, how: Bootstrap) -> dict[str, dict[str, Any]]:
    return {
        name: {value: difference_row(_difference(pair.tallies(ids), how)) for value, ids in values.items()}
        for name, values in _groups(pair).items()
    }


def _groups(pair: Pair) -> dict[str, dict[str, list[str]]]:
    """Return the problems' ids by level, subject and the like."""
    found: dict[str, dict[str, list[str]]] = {}
    for name in GROUPINGS:
        groups: dict[str, list[str]] = {}
        for problem in pair.problems:
            if name in problem.meta:
                groups.setdefault(str(problem.meta[name]), []).append(problem.id)
        if 1 < len(groups) <= MAX_GROUPS:
            found[name] = dict(sorted(groups.items()))
    return found


def _shown(run: Run, attempts: Sequence[Attempt], *, right: bool) -> dict[str, Any]:
    """Return what one attempt answered and why it counts as it does: one that is right or wrong, as the flip says."""
    chosen = next((a for a in attempts if run.verdict(a).passed is right), attempts[0])
    verdict = run.verdict(chosen)
    return {
        "sample": chosen.sample,
        "extracted": verdict.extracted,
        "outcome": str(verdict.outcome),
        "why": verdict.detail,
        "num_right": sum(run.verdict(attempt).passed for attempt in attempts),
        "num_samples": len(attempts),
    }


def _first(graded: Attempts, samples: int | None, label: str) -> Attempts:
    if samples is None:
        return graded
    for id_, attempts in graded.items():
        if len(attempts) < samples:
            raise UserError(
                f"problem {id_!r} of {label!r} has {len(attempts)} graded samples, fewer than `--k {samples}`; "
                f"take a smaller `--k`, or make more with `reasoning-grpo bench --resume FOLDER --samples {samples}`"
            )
    return {id_: attempts[:samples] for id_, attempts in graded.items()}


def _example(run: Run) -> str:
    return f"{run.problems[0].id!r} …" if run.problems else "none at all"


def _told(value: Any) -> str:
    if isinstance(value, Mapping) and "reference" in value:
        return f"{value['reference']} ({str(value.get('fingerprint'))[:8]})"
    text = str(value)
    if _HASH.fullmatch(text):
        return f"{text[:8]}…"
    return text if len(text) <= 60 else f"{text[:57]}…"
