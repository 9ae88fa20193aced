r"""The MATH paper's grader (hendrycks/math): the last box, as text, after a normaliser of string replacements.

Re-implemented from its behaviour, mistakes included: `\text{ cm}` is cut off and `0.5` is one half, but `1/2` and
`\frac12` are one only for bare integers, and `2,1` is not `1,2`.
"""

import re

from reasoning_grpo.rewards.conventions.numbers import compared
from reasoning_grpo.rewards.registry import verifier
from reasoning_grpo.schema import Completion, Problem, Verdict

_DROPPED = (r"\!", r"\left", r"\right", r"^{\circ}", r"^\circ", r"\$", r"\%", "%")
_SHORT_FRAC = re.compile(r"\\frac(?!\{)(\S)(?:(\{)|(\S))")
_SLASH = re.compile(r"(-?[0-9]+)/(-?[0-9]+)")
_MAX_BOX_CHARS = 10_000


@verifier("strict_box")
def strict_box(completion: Completion, problem: Problem) -> Verdict:
    r"""Compare the last `\boxed{}` of the whole text as text: the MATH paper's `is_equiv`. Thoughts count."""
    return compared(last_boxed(completion.text), problem.answer, strip_string)


def last_boxed(text: str) -> str | None:
    r"""Return the content of the last `\boxed{…}` or `\boxed …`, None without one or when it never closes."""
    _, mark, rest = text.rpartition(r"\boxed")
    if not mark:
        return None
    if not rest.startswith("{"):
        return rest.partition("$")[0].strip()
    return braced(rest[:_MAX_BOX_CHARS])


def braced(rest: str) -> str | None:
    """Return what stands between the brace that `rest` begins with and the one that closes it."""
    depth = 0
    for index, char in enumerate(rest):
        depth += {"{": 1, "}": -1}.get(char, 0)
        if depth == 0:
            return rest[1:index]
    return None


def strip_string(text: str) -> str:
    """Return the one spelling the grader compares."""
    text = text.replace("\n", "").replace(r"\\", "\\")
    text = text.replace("tfrac", "frac").replace("dfrac", "frac")
    for dropped in _DROPPED:
        text = text.replace(dropped, "")
    parts = text.split(r"\text{ ")
    text = parts[0] if len(parts) == 2 else text
    text = leading_zeros(text)
    text = without_short_name(text)
    text = short_fracs(full_roots(text).replace(" ", ""))
    return slash_frac(r"\frac{1}{2}" if text == "0.5" else text)


def leading_zeros(text: str) -> str:
    """`.5` is `0.5`."""
    text = text.replace(" .", " 0.").replace("{.", "{0.")
    return "0" + text if text.startswith(".") else text


def without_short_name(text: str) -> str:
    """`k = 5` is `5`: one equals sign with at most two characters before it."""
    parts = text.split("=")
    return parts[1] if len(parts) == 2 and len(parts[0].strip()) <= 2 else text


def full_roots(text: str) -> str:
    r"""`\sqrt3` is `\sqrt{3}`; one character is taken."""
    return re.sub(r"\\sqrt(?![{\[])\s*(\S)", r"\\sqrt{\1}", text)


def short_fracs(text: str) -> str:
    r"""`\frac12` and `\frac1{72}` with all their braces."""
    return _SHORT_FRAC.sub(lambda m: f"\\frac{{{m[1]}}}" + ("{" if m[2] else f"{{{m[3]}}}"), text)


def slash_frac(text: str) -> str:
    r"""`1/2` is `\frac{1}{2}` when that is all there is."""
    match = _SLASH.fullmatch(text)
    return rf"\frac{{{match[1]}}}{{{match[2]}}}" if match else text
