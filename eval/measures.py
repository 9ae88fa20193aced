"""The figures of one run."""

from typing import Any

from reasoning_grpo.eval.metrics import accuracy, mean_score, mean_tokens, outcome_counts
from reasoning_grpo.eval.runs import Run


def measures(run: Run) -> dict[str, Any]:
    """Return the figures of `result.json`."""
    verdicts = [run.verdict(attempt) for attempt in run.attempts]
    tokens = sum(attempt.completion.num_tokens or 0 for attempt in run.attempts)
    seconds = run.facts.get("seconds")
    row = accuracy(verdicts).as_row()
    if len(run.attempts) > len(run.problems):
        row |= {"ci_low": None, "ci_high": None}  # Wilson's takes attempts as independent, which samples are not
    return {
        "num_problems": len(run.problems),
        "num_attempts": len(run.attempts),
        **row,
        "mean_score": mean_score(verdicts),
        "outcomes": outcome_counts(verdicts),
        "num_truncated": sum(attempt.completion.truncated for attempt in run.attempts),
        "mean_tokens": mean_tokens(run.attempts),
        "tokens_per_second": tokens / seconds if seconds else None,
        "seconds": seconds,
    }
