r"""The loop inside a worker process: length-prefixed JSON requests on stdin, one reply each on stdout.

A worker never sees a pickle. Its limits: an address-space cap for its life, and per request a budget of CPU seconds,
after which an alarm of its own interrupts Python code (C code that does not return is the parent's to kill). A thread
reads stdin, so a worker ends with its parent even while it computes; the kernel's CPU limit ends it should that thread
not get to run.
"""

import json
import os
import queue
import signal
import struct
import sys
import threading
from collections.abc import Callable
from typing import Any, BinaryIO

Request = dict[str, Any]
Handler = Callable[[Request], dict[str, Any]]


class _OutOfTime(BaseException):
    """The budget of CPU seconds is spent; no `except Exception` of a library can swallow it."""


def serve(prepare: Callable[[], Handler], max_memory_bytes: int) -> None:
    """Answer requests with the handler that `prepare` returns, until stdin closes."""
    replies = _claim_stdout()
    try:
        _limit_memory(max_memory_bytes)
        handler = prepare()  # imports are paid before the first deadline starts
    except BaseException as error:
        write(replies, {"ready": False, "error": f"{type(error).__name__}: {error}"})
        return
    requests: queue.SimpleQueue[Request] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(requests,), daemon=True).start()
    write(replies, {"ready": True})
    while True:
        write(replies, _answer(handler, requests.get()))


def read(stream: BinaryIO) -> Request | None:
    """Return the next message, None at the end of the stream."""
    head = stream.read(4)
    if len(head) < 4:
        return None
    body = stream.read(struct.unpack("<I", head)[0])
    request: Request = json.loads(body)
    return request


def write(stream: BinaryIO, reply: dict[str, Any]) -> None:
    """Send one message; ASCII escapes carry lone surrogates and NUL."""
    body = json.dumps(reply).encode("ascii")
    stream.write(struct.pack("<I", len(body)) + body)
    stream.flush()


def _receive(requests: "queue.SimpleQueue[Request]") -> None:
    while (request := read(sys.stdin.buffer)) is not None:
        requests.put(request)
    os._exit(0)


def _answer(handler: Handler, request: Request) -> dict[str, Any]:
    try:
        _start_alarm(request["cpu_seconds"])
        try:
            return handler(request)
        finally:
            _start_alarm(0.0)
    except _OutOfTime:
        return {"fault": "time"}
    except MemoryError:
        return {"fault": "memory"}
    except RecursionError:
        return {"fault": "recursion"}
    except Exception as error:  # sympy and ANTLR raise anything; the parent decides what it means
        return {"fault": f"{type(error).__name__}: {str(error)[:1000]}"}


def _start_alarm(seconds: float) -> None:
    """Interrupt after so many CPU seconds of this process; 0 switches the alarm off."""
    if sys.platform == "win32":
        return
    import resource

    signal.signal(signal.SIGPROF, _interrupt)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    if seconds:
        used = resource.getrusage(resource.RUSAGE_SELF)
        limit = int(used.ru_utime + used.ru_stime + seconds) + 3
        resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def _interrupt(number: int, frame: object) -> None:
    raise _OutOfTime


def _claim_stdout() -> BinaryIO:
    """Keep stdout for replies and send whatever libraries print to stderr."""
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return replies


def _limit_memory(max_bytes: int) -> None:
    if sys.platform == "win32":
        return
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (max_bytes, max_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
