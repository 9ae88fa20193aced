"""The figures of one run, as `result.json` holds them.

| key | meaning |
|---|---|
| `num_problems`, `num_attempts`, `num_samples` | problems asked, completions graded, the fewest samples a graded problem has |
| `accuracy` | share right: mean over problems of the share of their samples that are right |
| `ci_low`, `ci_high`, `interval` | 95 % interval: `wilson` for one sample a problem, `clustered` for more: Wilson's over an effective number of problems |
| `standard_error` | clustered by problem |
| `standard_error_over_repeats` | what the samples alone would let one think; null for one sample a problem |
| `num_correct`, `num_graded`, `num_ungradable` | attempts; what cannot be graded is in no share |
| `mean_score`, `outcomes` | the verifier's scores and findings |
| `pass_at_k`, `maj_at_k` | by k: `value`, `ci_low`, `ci_high`, `standard_error`; null where a problem has fewer samples; no majority where the verifier does not say which answers it found wrong |
| `format_rate`, `truncation_rate`, `no_answer_rate` | shares of attempts: answer in the form asked for; cut off; no answer found |
| `num_truncated`, `mean_tokens`, `median_tokens`, `tokens_per_second`, `seconds` | lengths in generated tokens, and time |
| `by` | accuracy with its interval by `level`, `subject` … where problems have them |
"""  # noqa: E501  # a table row cannot be broken

import math
import statistics
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from reasoning_grpo.eval.estimates import Estimate, error_over_repeats, over_problems, pass_at_k
from reasoning_grpo.eval.majority import majority_at_k
from reasoning_grpo.eval.metrics import Accuracy, mean_score, mean_tokens, outcome_counts
from reasoning_grpo.eval.runs import GROUPINGS, Run
from reasoning_grpo.eval.stages import NOT_EXTRACTED, Stage, stage_of
from reasoning_grpo.rewards.equivalence import answer_classes
from reasoning_grpo.schema import Attempt, Outcome, Verdict

MAX_GROUPS = 64  # a grouping with more values than this is an id, not a group


def measures(run: Run, asked_k: Collection[int] = ()) -> dict[str, Any]:
    """Return the figures of a run; `asked_k` adds to the k of pass@k and maj@k."""
    graded = graded_attempts(run)
    return {
        "num_problems": len(run.problems),
        "num_attempts": len(run.attempts),
        "num_samples": min(map(len, graded.values()), default=0),
        **accuracy_figures(run, graded),
        **_outcomes(run),
        **_at_k(run, graded, asked_k),
        **_rates(run),
        **_lengths(run),
        "by": {name: groups for name in GROUPINGS if (groups := _by(run, graded, name))},
    }


def graded_attempts(run: Run) -> dict[str, tuple[Attempt, ...]]:
    """Return the attempts that could be graded, by problem; problems without any are left out."""
    kept = {
        id_: tuple(a for a in attempts if run.verdict(a).outcome is not Outcome.UNGRADABLE)
        for id_, attempts in run.by_problem().items()
    }
    return {id_: attempts for id_, attempts in kept.items() if attempts}


def accuracy_figures(run: Run, graded: Mapping[str, Sequence[Attempt]]) -> dict[str, Any]:
    """Return accuracy with its errors over some graded problems."""
    rights = [[run.verdict(attempt).passed for attempt in attempts] for attempts in graded.values()]
    num_graded = sum(map(len, rights))
    estimate = over_problems([sum(samples) / len(samples) for samples in rights], num_graded)
    is_single = all(len(samples) == 1 for samples in rights)
    single = Accuracy(num_correct=sum(map(sum, rights)), num_graded=num_graded)
    low, high = single.interval if is_single else estimate.interval
    return {
        "accuracy": estimate.value,
        "ci_low": low,
        "ci_high": high,
        "interval": "wilson" if is_single else "clustered",
        "standard_error": estimate.standard_error,
        "standard_error_over_repeats": error_over_repeats(rights),
        "num_correct": single.num_correct,
        "num_graded": single.num_graded,
    }


def _outcomes(run: Run) -> dict[str, Any]:
    verdicts = [run.verdict(attempt) for attempt in run.attempts]
    outcomes = outcome_counts(verdicts)
    return {
        "num_ungradable": outcomes[Outcome.UNGRADABLE],
        "mean_score": mean_score(verdicts),
        "outcomes": outcomes,
    }


def _at_k(run: Run, graded: Mapping[str, Sequence[Attempt]], asked: Collection[int]) -> dict[str, Any]:
    fewest = min(map(len, graded.values()), default=0)
    chosen = sorted({*(2**i for i in range(fewest.bit_length())), fewest, *asked} - {0})
    verdicts = [[run.verdict(attempt) for attempt in attempts] for attempts in graded.values()]
    num_graded = sum(map(len, verdicts))
    can_vote = fewest > 1 and all(_tells_its_answer(verdict) for samples in verdicts for verdict in samples)
    ballots = [_ballot(samples) for samples in verdicts] if can_vote else []
    pass_at, maj_at = {}, {}
    for k in chosen:
        passed = [pass_at_k(len(samples), sum(v.passed for v in samples), k) for samples in verdicts]
        pass_at[str(k)] = _figures(over_problems(passed, num_graded / k))
        majority = [majority_at_k(*ballot, k) for ballot in ballots]
        maj_at[str(k)] = _figures(over_problems(majority, num_graded / k))
    return {"pass_at_k": pass_at, "maj_at_k": maj_at if can_vote else {}}


def _tells_its_answer(verdict: Verdict) -> bool:
    """False for a wrong answer that nobody knows, as a bool leaves it: without its vote the right ones would win."""
    return verdict.extracted is not None or verdict.outcome not in (Outcome.FAIL, Outcome.PARTIAL)


def _ballot(verdicts: Sequence[Verdict]) -> tuple[list[int], list[bool], int]:
    """Return votes by class, which classes are right, and the number of samples.

    All right answers are one class, the gold's; the verifier's own equality sorts the wrong ones.
    """
    num_right = sum(verdict.passed for verdict in verdicts)
    wrong = [v.extracted for v in verdicts if not v.passed and v.extracted is not None]
    classes = answer_classes(wrong)
    votes = [classes.count(number) for number in range(max(classes, default=-1) + 1)]
    return [num_right, *votes], [True, *[False] * len(votes)], len(verdicts)


def _figures(estimate: Estimate) -> dict[str, float]:
    low, high = estimate.interval
    return {"value": estimate.value, "ci_low": low, "ci_high": high, "standard_error": estimate.standard_error}


def _rates(run: Run) -> dict[str, float]:
    stage, total = stage_of(run), len(run.attempts)
    stages = [stage(attempt) for attempt in run.attempts]
    num_silent = sum(run.verdict(attempt).outcome in NOT_EXTRACTED for attempt in run.attempts)
    return {
        "format_rate": _share(stages.count(Stage.ANSWERED) + stages.count(Stage.NOT_EXTRACTED), total),
        "truncation_rate": _share(stages.count(Stage.TRUNCATED), total),
        "no_answer_rate": _share(num_silent, total),
    }


def _lengths(run: Run) -> dict[str, Any]:
    lengths = [a.completion.num_tokens for a in run.attempts if a.completion.num_tokens is not None]
    seconds = run.facts.get("seconds")
    return {
        "num_truncated": sum(attempt.completion.truncated for attempt in run.attempts),
        "mean_tokens": mean_tokens(run.attempts),
        "median_tokens": statistics.median(lengths) if lengths else math.nan,
        "tokens_per_second": sum(lengths) / seconds if seconds else None,
        "seconds": seconds,
    }


def _by(run: Run, graded: Mapping[str, Sequence[Attempt]], name: str) -> dict[str, Any]:
    groups: dict[str, dict[str, Sequence[Attempt]]] = {}
    for problem in run.problems:
        if problem.id in graded and name in problem.meta:
            groups.setdefault(str(problem.meta[name]), {})[problem.id] = graded[problem.id]
    if not 1 < len(groups) <= MAX_GROUPS:
        return {}
    return {value: {"num_problems": len(ids), **accuracy_figures(run, ids)} for value, ids in sorted(groups.items())}


def _share(count: int, total: int) -> float:
    return count / total if total else math.nan
