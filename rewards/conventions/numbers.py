"""Two graders for GSM8K that look for a number by pattern and compare its text."""

import re
from collections.abc import Callable

from reasoning_grpo.rewards.registry import verifier
from reasoning_grpo.schema import Completion, Outcome, Problem, Verdict

_FLEXIBLE = re.compile(r"(-?[$0-9.,]{2,})|(-?[0-9]+)")
_IGNORED = re.compile(r",|\$|\.\Z")
_HASH = re.compile(r"#### (-?[0-9.,]+)")


@verifier("last_number")
def last_number(completion: Completion, problem: Problem) -> Verdict:
    """Compare the last number anywhere in the text: lm-evaluation-harness's `flexible-extract` on GSM8K.

    `72.50` is not `72.5` here, and a number in the last remark counts as the answer.
    """
    found = [match[1] or match[2] for match in _FLEXIBLE.finditer(completion.text)]
    return compared(found[-1] if found else None, problem.answer, _plain)


@verifier("gsm8k_hash")
def gsm8k_hash(completion: Completion, problem: Problem) -> Verdict:
    """Compare the number after the first `#### `: OpenAI's grade-school-math. `#### 72.` and `#### $72` are wrong."""
    found = _HASH.search(completion.text)
    return compared(found[1] if found else None, problem.answer, lambda text: text.strip().replace(",", ""))


def compared(answer: str | None, gold: str, plain: Callable[[str], str]) -> Verdict:
    """Return PASS for one text, FAIL for another, NO_ANSWER without any; `plain` is applied to both sides."""
    if answer is None:
        return Verdict(score=0.0, outcome=Outcome.NO_ANSWER, detail="the pattern finds nothing")
    is_equal = plain(answer) == plain(gold)
    return Verdict(score=float(is_equal), outcome=Outcome.PASS if is_equal else Outcome.FAIL, extracted=answer)


def _plain(text: str) -> str:
    return _IGNORED.sub("", text.strip()).lower()
