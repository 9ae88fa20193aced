"""Any verifier in a process of its own, watched: what hangs is killed, and each way of breaking is told apart.

The audit runs verifiers it knows nothing about, and one convention runs a library that can hang; neither may take this
process with it. `python -m reasoning_grpo.rewards.watched` is the child: it loads the verifier by its reference,
reads batches of pairs as JSON lines and answers each pair on a line of its own, so that the parent knows which pair was
being judged when the deadline passed. The deadline is wall time: a verifier that sleeps hangs too.

Left out: the fast path of the built-in grader, which has workers of its own (workers.py).
"""

import contextlib
import dataclasses
import json
import os
import selectors
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import IO, Any, Self

from reasoning_grpo.errors import VerifierError
from reasoning_grpo.rewards.registry import call_verifier, check_options, load_verifier, takes_answer_format
from reasoning_grpo.schema import AnswerForm, AnswerFormat, Completion, Outcome, Problem, Verdict

STARTUP_SECONDS = 120.0
_BATCH_PAIRS = 64  # the replies to one batch fit into a pipe's buffer
_MAX_KILLS = 24  # a verifier that hangs on everything is known by then; the rest counts as late unjudged
_MAX_DETAIL_CHARS = 300

Pair = tuple[Completion, Problem]


class Broken(StrEnum):
    """How a call broke the verifier's contract."""

    RAISED = "raised"
    BAD_VALUE = "bad value"
    LATE = "late"
    DIED = "died"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What came of one call: a verdict, or how it broke and what happened."""

    verdict: Verdict | None = None
    broken: Broken | None = None
    detail: str = ""
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """True for full marks."""
        return self.verdict is not None and self.verdict.passed


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """Which verifier to call and how; everything in it survives the way to another process."""

    ref: str
    options: Mapping[str, Any] = field(default_factory=dict)
    answer_format: AnswerFormat = field(default_factory=AnswerFormat)
    base_dir: Path | None = None
    in_thread: bool = False


class WatchedVerifier:
    """A verifier in a child process; one caller at a time. Use as a context manager or call `close()`."""

    def __init__(self, call: Call, *, deadline_seconds: float) -> None:
        self.call = call
        self.deadline_seconds = deadline_seconds
        self._child: subprocess.Popen[bytes] | None = None
        self._buffer = b""
        self._num_kills = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def has_given_up(self) -> bool:
        """True when it has hung or died so often that further calls would not be tried."""
        return self._num_kills >= _MAX_KILLS

    def judge(self, pairs: Sequence[Pair]) -> Iterator[Judged]:
        """Yield what came of each pair, in order; raise VerifierError only when the verifier cannot be loaded."""
        start = 0
        while start < len(pairs):
            if self.has_given_up:
                yield Judged(broken=Broken.LATE, detail=f"not tried: {_MAX_KILLS} calls before it had to be ended")
                start += 1
                continue
            for judged in self._judge_batch(pairs[start : start + _BATCH_PAIRS]):
                yield judged
                start += 1

    def close(self) -> None:
        """End the child."""
        child, self._child, self._buffer = self._child, None, b""
        if child is None:
            return
        child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def _judge_batch(self, pairs: Sequence[Pair]) -> Iterator[Judged]:
        """Yield the results up to and including the first call that had to be ended."""
        child = self._child or self._start()
        assert child.stdin is not None
        started = time.monotonic()
        try:
            child.stdin.write(json.dumps([_packed(*pair) for pair in pairs], default=repr).encode("ascii") + b"\n")
            child.stdin.flush()
        except OSError:
            yield self._ended(Broken.DIED, 0.0)
            return
        for _ in pairs:
            line = self._read_line(self.deadline_seconds)
            now = time.monotonic()
            if line is None or line == b"":
                yield self._ended(Broken.LATE if line is None else Broken.DIED, now - started)
                return
            yield _unpacked(json.loads(line), now - started)
            started = now

    def _ended(self, broken: Broken, seconds: float) -> Judged:
        code = None if self._child is None else self._child.poll()
        self.close()
        self._num_kills += 1
        late = f"no verdict within {self.deadline_seconds:g} s"
        detail = late if broken is Broken.LATE else f"its process died (exit code {code})"
        return Judged(broken=broken, detail=detail, seconds=seconds)

    def _start(self) -> "subprocess.Popen[bytes]":
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "reasoning_grpo.rewards.watched"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)},
        )
        self._child, self._buffer = child, b""
        assert child.stdin is not None
        child.stdin.write(json.dumps(_packed_call(self.call), default=repr).encode("ascii") + b"\n")
        child.stdin.flush()
        line = self._read_line(STARTUP_SECONDS)
        ready = json.loads(line) if line else {"error": f"{self.call.ref!r} did not load in a process of its own"}
        if "error" in ready:
            self.close()
            raise VerifierError(ready["error"])
        return child

    def _read_line(self, seconds: float) -> bytes | None:
        """Return a line without its end, b"" when the child is gone, None when nothing whole came in time."""
        assert self._child is not None and self._child.stdout is not None
        end = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(self._child.stdout, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                if not selector.select(max(0.0, end - time.monotonic())):
                    return None
                chunk = os.read(self._child.stdout.fileno(), 1 << 16)
                if not chunk:
                    return b""
                self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line


def main() -> None:
    """Serve batches until stdin closes, which is also how this process notices that its parent is gone."""
    requests, replies = sys.stdin.buffer, _claim_stdout()
    call = _unpacked_call(json.loads(requests.readline()))
    try:
        function = load_verifier(call.ref, call.base_dir)
        options = dict(call.options)
        if "answer_format" not in options and takes_answer_format(function):
            options["answer_format"] = call.answer_format
        check_options(function, options, call.ref)
    except VerifierError as error:
        _write(replies, {"error": str(error)})
        return
    _write(replies, {"ready": True})
    for line in requests:
        for packed in json.loads(line):
            completion, problem = _unpacked_pair(packed)
            _write(replies, _in_place(call, lambda c=completion, p=problem: _reply(function, call.ref, c, p, options)))


def _in_place(call: Call, work: Any) -> dict[str, Any]:
    """Do the work here, or in a thread: SIGALRM, which many graders rely on, works on the main thread only."""
    if not call.in_thread:
        result: dict[str, Any] = work()
        return result
    results: list[dict[str, Any]] = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()
    thread.join()
    return results[0]


def _reply(function: Any, name: str, completion: Completion, problem: Problem, options: dict[str, Any]) -> Any:
    try:
        verdict = call_verifier(function, completion, problem, name=name, options=options)
    except VerifierError as error:
        broken = Broken.BAD_VALUE if error.__cause__ is None else Broken.RAISED
        return {"broken": broken, "detail": str(error)[:_MAX_DETAIL_CHARS]}
    except BaseException as error:  # SystemExit, or what the verifier made of its own: reported like any other
        return {"broken": Broken.RAISED, "detail": f"{type(error).__name__}: {error}"[:_MAX_DETAIL_CHARS]}
    extracted = None if verdict.extracted is None else verdict.extracted[:_MAX_DETAIL_CHARS]
    return {
        "score": verdict.score,
        "outcome": verdict.outcome,
        "extracted": extracted,
        "detail": verdict.detail[:_MAX_DETAIL_CHARS],
    }


def _claim_stdout() -> IO[bytes]:
    """Keep stdout for replies and send whatever the verifier prints to stderr."""
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return replies


def _write(stream: IO[bytes], reply: Mapping[str, Any]) -> None:
    stream.write(json.dumps(reply).encode("ascii") + b"\n")
    stream.flush()


def _packed(completion: Completion, problem: Problem) -> list[Any]:
    return [
        [completion.text, completion.num_tokens, completion.truncated],
        [problem.id, problem.question, problem.answer, problem.source, dict(problem.meta)],
    ]


def _unpacked_pair(packed: Sequence[Sequence[Any]]) -> Pair:
    text, num_tokens, truncated = packed[0]
    id_, question, answer, source, meta = packed[1]
    completion = Completion(text=text, num_tokens=num_tokens, truncated=truncated)
    return completion, Problem(id=id_, question=question, answer=answer, source=source, meta=meta)


def _unpacked(reply: Mapping[str, Any], seconds: float) -> Judged:
    if "broken" in reply:
        return Judged(broken=Broken(reply["broken"]), detail=reply["detail"], seconds=seconds)
    verdict = Verdict(**{**reply, "outcome": Outcome(reply["outcome"])})
    return Judged(verdict=verdict, seconds=seconds)


def _packed_call(call: Call) -> dict[str, Any]:
    return {**dataclasses.asdict(call), "base_dir": None if call.base_dir is None else str(call.base_dir)}


def _unpacked_call(packed: Mapping[str, Any]) -> Call:
    format_ = packed["answer_format"]
    return Call(
        ref=packed["ref"],
        options=packed["options"],
        answer_format=AnswerFormat(**{**format_, "form": AnswerForm(format_["form"])}),
        base_dir=None if packed["base_dir"] is None else Path(packed["base_dir"]),
        in_thread=packed["in_thread"],
    )


if __name__ == "__main__":
    main()
