"""Problems + backend + rewards -> attempts: every problem asked, every completion graded while others are written.

The one path of benchmarks, of the measurements on held-out problems in training, and of whoever calls it from Python.
What it leaves out: files (`benchmark.py`) and figures (`measures.py`).
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from reasoning_grpo.data.prompts import RenderedPrompt
from reasoning_grpo.eval.backends import Ask, Backend
from reasoning_grpo.eval.background import in_background
from reasoning_grpo.eval.runs import Run, sorted_attempts
from reasoning_grpo.rewards.compose import RewardSpec
from reasoning_grpo.schema import Attempt, Completion, Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """One completion of one problem, not yet graded."""

    problem: Problem
    sample: int
    completion: Completion


# Worker processes give a batch one deadline for all its hard cases, so it must not be large.
BATCH_ROWS = 64


@dataclass(slots=True)
class Grader:
    """Grades, in a thread of its own, what has come in since it last looked; a verifier that raises ends the run.

    Verifiers with a batch form, and worker processes, so get full batches when generation is fast and small ones at
    once when it is slow. `num_passed` counts the attempts that the spec's first term passed.
    """

    spec: RewardSpec
    attempts: list[Attempt] = field(default_factory=list)
    num_passed: int = 0
    _waiting: list[Answered] = field(default_factory=list)
    _running: Future[list[Attempt]] | None = None

    def add(self, answered: Answered) -> None:
        """Take one completion.

        Raises:
            VerifierError: an earlier completion could not be graded.
        """
        self._waiting.append(answered)
        if self._running is None or self._running.done():
            self._next()

    def finish(self) -> list[Attempt]:
        """Return every attempt, when all are graded, in no particular order."""
        while self._waiting or self._running:
            self._next()
        return self.attempts

    def _next(self) -> None:
        """Take in what is graded, and start on what is waiting."""
        if self._running is not None:
            done = self._running.result()
            self.attempts += done
            self.num_passed += sum(attempt.verdicts[self.spec.terms[0].name].passed for attempt in done)
        batch, self._waiting = self._waiting[:BATCH_ROWS], self._waiting[BATCH_ROWS:]
        self._running = in_background(graded, batch, self.spec) if batch else None


def graded(batch: Sequence[Answered], spec: RewardSpec) -> list[Attempt]:
    """Return the batch as attempts, in order."""
    scored = spec.score_batch([one.completion for one in batch], [one.problem for one in batch])
    return [
        Attempt(
            problem_id=one.problem.id,
            sample=one.sample,
            completion=one.completion,
            verdicts=found.verdicts,
            reward=found.reward,
        )
        for one, found in zip(batch, scored, strict=True)
    ]


def answer_and_grade(
    problems: Sequence[Problem],
    asks: Sequence[Ask],
    backend: Backend,
    grader: Grader,
    on_completion: Callable[[Ask, Completion], None] = lambda ask, completion: None,
) -> None:
    """Have every ask answered; `on_completion` sees each completion first, before the grader does."""
    for index, completion in backend.complete(asks):
        on_completion(asks[index], completion)
        grader.add(Answered(problem=problems[asks[index].number], sample=asks[index].sample, completion=completion))


def asks_for(prompts: Sequence[RenderedPrompt], samples: int) -> list[Ask]:
    """Return the asks of all samples of all problems, those of one problem side by side: they share its prompt."""
    return [Ask(prompt=p, number=number, sample=k) for number, p in enumerate(prompts) for k in range(samples)]


def run_benchmark(problems: Sequence[Problem], backend: Backend, spec: RewardSpec) -> Run:
    """Answer every problem once and grade it, in memory; the spec's first term says what is correct."""
    started = time.monotonic()
    prompts = [backend.render(problem.question) for problem in problems]
    grader = Grader(spec)
    answer_and_grade(problems, asks_for(prompts, 1), backend, grader)
    return Run(
        label="",
        problems=tuple(problems),
        attempts=sorted_attempts(problems, grader.finish()),
        term=spec.terms[0].name,
        facts={"seconds": time.monotonic() - started},
        prompts={problem.id: prompt.text for problem, prompt in zip(problems, prompts, strict=True)},
    )
