"""Problems + backend + rewards -> attempts, written down as they come, and the result they add up to."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reasoning_grpo import storage
from reasoning_grpo.eval.backends import Backend
from reasoning_grpo.eval.metrics import Accuracy, accuracy, mean_score, mean_tokens, outcome_counts
from reasoning_grpo.rewards.compose import RewardSpec
from reasoning_grpo.schema import Attempt, Problem, Verdict

ATTEMPTS_FILE = "attempts.jsonl"
RESULT_FILE = "result.json"
SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkResult:
    """All attempts of a benchmark, in the order of the problems; the first reward term says what is correct."""

    problems: tuple[Problem, ...]
    attempts: tuple[Attempt, ...]
    seconds: float
    term: str

    @property
    def verdicts(self) -> dict[str, Verdict]:
        """The deciding verdict of each problem, by problem id."""
        return {attempt.problem_id: attempt.verdicts[self.term] for attempt in self.attempts}

    @property
    def accuracy(self) -> Accuracy:
        """Greedy accuracy with its interval."""
        return accuracy(list(self.verdicts.values()))

    def as_record(self) -> dict[str, Any]:
        """Return the figures of `result.json`."""
        verdicts = list(self.verdicts.values())
        tokens = sum(a.completion.num_tokens or 0 for a in self.attempts)
        return {
            "schema_version": SCHEMA_VERSION,
            "num_problems": len(self.attempts),
            **self.accuracy.as_row(),
            "mean_score": mean_score(verdicts),
            "outcomes": outcome_counts(verdicts),
            "num_truncated": sum(a.completion.truncated for a in self.attempts),
            "mean_tokens": mean_tokens(self.attempts),
            "tokens_per_second": tokens / self.seconds if self.seconds else None,
            "seconds": self.seconds,
        }


def run_benchmark(
    problems: Sequence[Problem],
    backend: Backend,
    spec: RewardSpec,
    *,
    on_attempt: Callable[[Attempt, Problem], None] = lambda attempt, problem: None,
) -> BenchmarkResult:
    """Answer every problem once and grade it; `on_attempt` sees each attempt as soon as it is graded."""
    started = time.monotonic()
    attempts: dict[int, Attempt] = {}
    for index, attempt in _attempts(problems, backend, spec):
        attempts[index] = attempt
        on_attempt(attempt, problems[index])
    return BenchmarkResult(
        problems=tuple(problems),
        attempts=tuple(attempts[index] for index in range(len(problems))),
        seconds=time.monotonic() - started,
        term=spec.terms[0].name,
    )


def _attempts(problems: Sequence[Problem], backend: Backend, spec: RewardSpec) -> Iterator[tuple[int, Attempt]]:
    for index, completion in backend.complete([problem.question for problem in problems]):
        scored = spec.score(completion, problems[index])
        yield (
            index,
            Attempt(
                problem_id=problems[index].id,
                sample=0,
                completion=completion,
                verdicts=scored.verdicts,
                reward=scored.reward,
            ),
        )


def write_result(folder: Path, result: BenchmarkResult, facts: Mapping[str, Any]) -> None:
    """Write `result.json`: the last thing a benchmark does, so that its presence means the benchmark is whole."""
    storage.write_json(folder / RESULT_FILE, {**result.as_record(), **facts})


def attempt_row(attempt: Attempt, problem: Problem) -> dict[str, Any]:
    """Return one row of `attempts.jsonl`: the attempt with the question and the gold beside it."""
    return {**storage.attempt_row(attempt), "question": problem.question, "gold": problem.answer}
