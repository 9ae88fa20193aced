r"""The symbolic stage: math-verify inside a worker process, and the worker's own loop.

`python -m reasoning_grpo.rewards.symbolic` is what workers.py starts. It reads length-prefixed JSON from stdin and
answers each request on stdout; it never sees a pickle. math-verify's own timeouts use SIGALRM, which cannot interrupt
C-level integer powers, so they are off: the parent kills this process at the deadline. sympy is imported here only.

The golds are wrapped in `$…$`: bare ones are misread (`3\sqrt{13}` as 3; Math-Verify 0.9.0 on 3,028 labelled pairs:
65 % right bare, 94 % wrapped).
"""

import json
import os
import struct
import sys
from functools import lru_cache
from typing import Any, BinaryIO

MAX_MEMORY_BYTES = 512 * 2**20  # of address space; a worker with sympy and its grammars takes about 70 MB


def judge(gold: str, answer: str) -> dict[str, Any]:
    """Return `{"gold_parsed": bool, "equal": bool}`; nothing is raised for any text."""
    from math_verify import verify

    parsed_gold = _parse_gold(gold)
    if not parsed_gold:
        return {"gold_parsed": False, "equal": False}
    parsed_answer = _parse("\\boxed{" + answer + "}")
    equal = bool(parsed_answer) and verify(list(parsed_gold), list(parsed_answer), timeout_seconds=None)
    return {"gold_parsed": True, "equal": bool(equal)}


@lru_cache(maxsize=4096)
def _parse_gold(gold: str) -> tuple[Any, ...]:
    return _parse("$" + gold + "$") or _parse("\\boxed{" + gold + "}")


def _parse(text: str) -> tuple[Any, ...]:
    from math_verify import parse

    return tuple(parse(text, parsing_timeout=None))


def main() -> None:
    """Serve requests until stdin closes, which is how this process notices that its parent is gone."""
    replies = _claim_stdout()
    try:
        _limit_memory()
        judge(r"\frac{1}{2}", "0.5")  # imports and grammars are paid before the first deadline starts
    except BaseException as error:
        _write(replies, {"ready": False, "error": f"{type(error).__name__}: {error}"})
        return
    _write(replies, {"ready": True})
    while (request := _read(sys.stdin.buffer)) is not None:
        _write(replies, _answer(request))


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    _limit_cpu(request["max_cpu_seconds"])
    try:
        return judge(request["gold"], request["answer"])
    except MemoryError:
        return {"fault": "memory"}
    except RecursionError:
        return {"fault": "recursion"}
    except Exception as error:  # sympy and ANTLR raise anything; the parent treats it as an answer it cannot read
        return {"fault": f"{type(error).__name__}: {str(error)[:200]}"}


def _claim_stdout() -> BinaryIO:
    """Keep stdout for replies and send whatever libraries print to stderr."""
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return replies


def _limit_memory() -> None:
    if sys.platform == "win32":
        return
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _limit_cpu(seconds: float) -> None:
    """Let the kernel end this process after some more CPU seconds, should the parent be gone by then.

    PR_SET_PDEATHSIG would do the same at once, but it fires when the *thread* that started the worker ends, so that
    a worker started from a short-lived thread would die with it.
    """
    if sys.platform == "win32":
        return
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF)
    limit = int(used.ru_utime + used.ru_stime + seconds) + 2
    resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def _read(stream: BinaryIO) -> dict[str, Any] | None:
    head = stream.read(4)
    if len(head) < 4:
        return None
    body = stream.read(struct.unpack("<I", head)[0])
    request: dict[str, Any] = json.loads(body)
    return request


def _write(stream: BinaryIO, reply: dict[str, Any]) -> None:
    body = json.dumps(reply).encode("ascii")
    stream.write(struct.pack("<I", len(body)) + body)
    stream.flush()


if __name__ == "__main__":
    main()
