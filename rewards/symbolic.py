r"""The symbolic stage: math-verify inside a worker process (`python -m reasoning_grpo.rewards.symbolic`).

Asked only about golds that reader.py cannot read. Only math-verify's LaTeX grammar is used: its reader of plain
expressions hands text to `parse_expr`. Its timeouts use SIGALRM, which cannot interrupt C-level integer powers, so they
are off; workers.py bounds the time. sympy is imported here only.

The golds are wrapped in `$…$`: bare ones are misread (`3\sqrt{13}` as 3; Math-Verify 0.9.0 on 3,028 labelled pairs:
65 % right bare, 94 % wrapped).
"""

from functools import lru_cache
from typing import Any

from reasoning_grpo.rewards.serving import Handler, Request, serve

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
    from math_verify import LatexExtractionConfig, parse

    return tuple(parse(text, extraction_config=[LatexExtractionConfig()], parsing_timeout=None))


def _handle(request: Request) -> dict[str, Any]:
    return judge(request["gold"], request["answer"])


def _prepare() -> Handler:
    judge(r"\frac{1}{2}", "0.5")
    return _handle


if __name__ == "__main__":
    serve(_prepare, MAX_MEMORY_BYTES)
