"""Completions scored one by one as they come, while others are still being written.

    with ScoreStream(spec) as stream:
        tickets = [stream.submit(completion, problem) for ...]
        scored = stream.results(tickets)

What a verifier computes in this process it computes inside `submit`, on the caller's thread: a verifier need not be
safe in threads, its error is raised where it happened, and Python's lock would let it overlap with nothing anyway. What
worker processes compute (the symbolic stage of `accuracy`, terms with `isolate`) goes on while the caller does other
things. A verifier that judges many together is called once in `results`.

A verdict does not depend on when its completion came: each judgement in a worker has the whole deadline to itself,
where `RewardSpec.score_batch` shares one among a batch.
"""

import contextlib
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from reasoning_grpo.rewards.compose import RewardSpec, RewardTerm, Scored
from reasoning_grpo.rewards.registry import Job
from reasoning_grpo.rewards.workers import max_workers
from reasoning_grpo.schema import Completion, Problem, Verdict

Judgement = Verdict | Future[Verdict]


class ScoreStream:
    """See the module. Leaving the context ends what is still running, within about a second."""

    def __init__(self, spec: RewardSpec) -> None:
        self._spec = spec
        self._batch_terms = [term for term in spec.terms if spec.wants_batches(term)]
        self._pairs: list[tuple[Completion, Problem]] = []
        self._numbers: dict[tuple[Completion, int], int] = {}
        self._judgements: list[dict[str, Judgement]] = []
        self._jobs: dict[tuple[str, Job], Future[Verdict]] = {}
        self._threads: dict[str, ThreadPoolExecutor] = {}
        self._cancelled = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cancelled.set()
        with contextlib.ExitStack() as stack:  # every pool is ended, whatever happens to one
            for threads in self._threads.values():
                stack.callback(threads.shutdown, wait=True, cancel_futures=True)

    def submit(self, completion: Completion, problem: Problem) -> int:
        """Begin to score a completion and return its ticket; equal completions of one problem share one.

        Raises:
            VerifierError: a verifier raised, or returned what no score can be.
        """
        key = (completion, id(problem))  # `meta` need not be hashable; `_pairs` keeps the object and so its identity
        if key not in self._numbers:
            at_once = [term for term in self._spec.terms if term not in self._batch_terms]
            self._judgements.append({term.name: self._begin(term, completion, problem) for term in at_once})
            self._numbers[key] = len(self._pairs)
            self._pairs.append((completion, problem))
        return self._numbers[key]

    def results(self, tickets: Sequence[int]) -> list[Scored]:
        """Wait for the verdicts and return the scores, in the order of the tickets.

        Raises:
            VerifierError: as `submit`; of several failures the first in the order of the tickets.
        """
        self._judge_batches(list(dict.fromkeys(tickets)))
        return [self._spec.total(self._verdicts(ticket)) for ticket in tickets]

    def _begin(self, term: RewardTerm, completion: Completion, problem: Problem) -> Judgement:
        begun = self._spec.begin(term, completion, problem)
        return begun if isinstance(begun, Verdict) else self._run(term.name, begun)

    def _run(self, term: str, job: Job) -> Future[Verdict]:
        if (term, job) not in self._jobs:
            if term not in self._threads:
                self._threads[term] = ThreadPoolExecutor(max_workers(), thread_name_prefix=f"verify-{term}")
            self._jobs[term, job] = self._threads[term].submit(job, self._cancelled)
        return self._jobs[term, job]

    def _judge_batches(self, tickets: Sequence[int]) -> None:
        for term in self._batch_terms:
            unjudged = [ticket for ticket in tickets if term.name not in self._judgements[ticket]]
            verdicts = self._spec.judge(term, [self._pairs[ticket] for ticket in unjudged])
            for ticket, verdict in zip(unjudged, verdicts, strict=True):
                self._judgements[ticket][term.name] = verdict

    def _verdicts(self, ticket: int) -> dict[str, Verdict]:
        """Return the verdicts in the order of the terms."""
        found = {term.name: self._judgements[ticket][term.name] for term in self._spec.terms}
        return {name: one if isinstance(one, Verdict) else one.result() for name, one in found.items()}
