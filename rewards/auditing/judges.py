"""Who scores the auditor's completions: built-in verifiers here in batches, all others in processes of their own."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from reasoning_grpo.rewards.auditing.audit import Judge
from reasoning_grpo.rewards.registry import (
    batch_form,
    call_batch,
    call_verifier,
    is_builtin,
    load_verifier,
    takes_answer_format,
)
from reasoning_grpo.rewards.watched import Call, Judged, Pair, WatchedVerifier
from reasoning_grpo.schema import Outcome, Verdict


@contextlib.contextmanager
def judge_for(call: Call, *, deadline_seconds: float) -> Iterator[Judge]:
    """Yield a judge for a verifier; what ships with this package is trusted to bound its own time."""
    if is_builtin(call.ref):
        yield _Here(call)
        return
    verifiers = [WatchedVerifier(call, deadline_seconds=deadline_seconds) for _ in range(num_cpus())]
    try:
        yield _Elsewhere(verifiers)
    finally:
        for verifier in verifiers:
            verifier.close()


def gated(judge: Judge, gate: Judge, gate_name: str) -> Judge:
    """Return a judge of a term as a reward pays it: nothing where its gate has not passed.

    Where the gate abstains, the whole reward does.
    """

    def paid(pairs: Sequence[Pair]) -> list[Judged]:
        return [_paid(*both, gate_name) for both in zip(judge(pairs), gate(pairs), strict=True)]

    return paid


def _paid(judged: Judged, gate: Judged, gate_name: str) -> Judged:
    if judged.verdict is None or gate.passed:
        return judged
    if gate.verdict is not None and gate.verdict.outcome is Outcome.UNGRADABLE:
        return gate
    said = gate.broken if gate.verdict is None else gate.verdict.outcome
    detail = f"not paid: its gate {gate_name!r} says {said}"
    return Judged(verdict=Verdict(score=0.0, outcome=Outcome.FAIL, detail=detail), seconds=judged.seconds)


class _Here:
    """Calls a verifier in this process, as a batch where it has such a form."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._function = load_verifier(call.ref, call.base_dir)
        self._options: dict[str, Any] = dict(call.options)
        if "answer_format" not in self._options and takes_answer_format(self._function):
            self._options["answer_format"] = call.answer_format

    def __call__(self, pairs: Sequence[Pair]) -> Sequence[Judged]:
        name, in_batch = self._call.ref, batch_form(self._function)
        if in_batch is None or not pairs:
            verdicts = [call_verifier(self._function, c, p, name=name, options=self._options) for c, p in pairs]
        else:
            completions, problems = [c for c, _ in pairs], [p for _, p in pairs]
            verdicts = call_batch(in_batch, completions, problems, name=name, options=self._options)
        return [Judged(verdict=verdict) for verdict in verdicts]


class _Elsewhere:
    """Shares the pairs out to processes; each is watched by a thread of this one."""

    def __init__(self, verifiers: Sequence[WatchedVerifier]) -> None:
        self._verifiers = verifiers

    def __call__(self, pairs: Sequence[Pair]) -> Sequence[Judged]:
        size = -(-len(pairs) // len(self._verifiers)) or 1
        parts = [pairs[start : start + size] for start in range(0, len(pairs), size)]
        with ThreadPoolExecutor(len(self._verifiers)) as threads:
            judged = threads.map(lambda job: list(job[0].judge(job[1])), zip(self._verifiers, parts, strict=False))
            return [each for part in judged for each in part]


def num_cpus() -> int:
    """Return how many processes may run at once here."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
