"""Math-Verify with its own extraction and defaults, in processes of its own: its timeouts cannot stop what hangs.

The gold is put in `$…$`, as the library's authors advise: bare golds are misread.
"""

import atexit
import os
import threading
from collections.abc import Sequence

from reasoning_grpo.rewards.registry import Job, verifier
from reasoning_grpo.rewards.watched import Call, Judged, WatchedVerifier
from reasoning_grpo.schema import Completion, Outcome, Problem, Verdict

DEADLINE_SECONDS = 5.0  # the library's own default
_REF = "reasoning_grpo.rewards.conventions.math_verify:unguarded"


def unguarded(completion: Completion, problem: Problem) -> bool:
    """Call the library, without any deadline: only ever inside a process that can be killed."""
    import logging

    from math_verify import parse, verify

    logging.getLogger("math_verify").setLevel(logging.ERROR)  # it warns of the timeouts that are off
    gold = parse(f"${problem.answer}$", parsing_timeout=None)
    return bool(verify(gold, parse(completion.text, parsing_timeout=None), timeout_seconds=None))


def math_verify_batch(completions: Sequence[Completion], problems: Sequence[Problem]) -> list[Verdict]:
    """Grade many completions in one process; a call past the deadline is a TIMEOUT."""
    with _lock:
        return [_verdict(judged) for judged in _process().judge(list(zip(completions, problems, strict=True)))]


def begin_math_verify(completion: Completion, problem: Problem) -> Job:
    """Leave everything to the process; a call ends at its deadline, wanted or not."""
    return lambda cancelled: math_verify_batch([completion], [problem])[0]


@verifier("math_verify", batch=math_verify_batch, begin=begin_math_verify)
def math_verify(completion: Completion, problem: Problem) -> Verdict:
    """Grade as Math-Verify 0.9 does with its defaults and the gold in `$…$`."""
    return math_verify_batch([completion], [problem])[0]


def _verdict(judged: Judged) -> Verdict:
    if judged.verdict is not None:
        return judged.verdict
    return Verdict(score=0.0, outcome=Outcome.TIMEOUT, detail=judged.detail)


_lock = threading.Lock()
_shared: dict[int, WatchedVerifier] = {}  # by process: a forked child starts its own


def _process() -> WatchedVerifier:
    process = _shared.get(os.getpid())
    if process is None or process.has_given_up:  # one call's hostile texts must not fail a whole run's answers
        process = _shared[os.getpid()] = WatchedVerifier(Call(ref=_REF), deadline_seconds=DEADLINE_SECONDS)
        atexit.register(process.close)
    return process
