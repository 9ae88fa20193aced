r"""Words as answers: which texts are words, and what of them counts.

Case, articles, blanks and hyphens do not count; every other word does: `not`, `or`, `at least` are never dropped. A
word is no product of letters (`seat` is not `east`), while `ab` may be one; capital letters in a row (`CBAD`) are an
order.
"""

import re
from dataclasses import dataclass

_WORDS = re.compile(r"[A-Za-z][A-Za-z'’.-]*(?:[ /][A-Za-z][A-Za-z'’.-]*){0,40}", re.ASCII)
_HAS_TEXT = re.compile(r"\\(?:text|mathrm|textbf|textit|mathbf|textrm|mbox) ?\{[^{}]*[A-Za-z]{2}")
_ORDER = re.compile(r"[A-Z]{3,26}", re.ASCII)
_SHORT_WORDS = frozenset(
    ["yes", "no", "odd", "one", "two", "six", "ten", "red", "mon", "tue", "sun", "sat", "nan", "dne"]
)
_MATHEMATICS = frozenset(
    ["pi", "infinity", "inf", "sqrt", "sin", "cos", "tan", "cot", "sec", "csc", "log", "ln", "exp", "sinh", "cosh",
     "tanh", "arcsin", "arccos", "arctan", "cis"]
)  # fmt: skip
_ARTICLES = frozenset({"a", "an", "the"})


@dataclass(frozen=True, slots=True)
class Words:
    """The words that count; `is_certain` when no mathematics could be meant."""

    text: str
    is_certain: bool


def read_words(source: str, plain: str, *, has_mathematics: bool) -> Words | None:
    r"""Return the words of a text that is nothing but words, None for anything else.

    `plain` is `source` with `\text{…}` unwrapped; `has_mathematics` says that it can be read as mathematics too.
    """
    if not _WORDS.fullmatch(plain) or plain.lower() in _MATHEMATICS:
        return None
    kept = "".join(word for word in re.split(r"[ -]", plain.lower().rstrip(".")) if word not in _ARTICLES)
    kept = kept or plain.lower()
    is_order = bool(_ORDER.fullmatch(plain)) or bool(_HAS_TEXT.search(source))
    is_worded = max(map(len, plain.split())) >= 4 or plain.lower() in _SHORT_WORDS
    if is_worded and not is_order and plain.isalpha() and _starts_with_function(plain):
        return None
    if is_order or is_worded:
        return Words(kept, is_certain=True)
    return Words(kept, is_certain=not has_mathematics) if len(plain) > 1 or not has_mathematics else None


def _starts_with_function(plain: str) -> bool:
    return plain.startswith(("sqrt", "sin", "cos", "tan", "log", "arcs", "arct")) and plain not in ("single", "costly")
