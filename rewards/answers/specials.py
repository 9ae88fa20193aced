r"""Notations that are no mathematics: numbers with a base (`101_2`), clock times (`4:30 p.m.`), and plain text."""

import re

from reasoning_grpo.rewards.answers.values import Based, Clock, Value

_BASED = re.compile(
    r"-?\(?([0-9A-F]{1,200}(?:\.[0-9A-F]{1,200})?)\)?_\{?(?:([0-9]{1,2})|\\text\{ ?([a-z]{2,8}) ?\})\}?", re.ASCII
)
_BASE_NAMES = {
    "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10, "eleven": 11,
    "twelve": 12, "sixteen": 16,
}  # fmt: skip
_CLOCK = re.compile(
    r"([0-9]{1,4}) ?: ?([0-9]{1,4})(?: ?: ?([0-9]{1,4}))? ?(?:([ap])\.? ?m\.?)?", re.IGNORECASE | re.ASCII
)
_HOUR = re.compile(r"([0-9]{1,2}) ?([ap])\.? ?m\.?", re.IGNORECASE | re.ASCII)
_FONT = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathit|mbox|rm|bf) ?\{([^{}]*)\}")
_SPACING = re.compile(r"\\[!,;: ]|~|\$|\\\(|\\\)")


def plain_text(cleaned: str) -> str:
    r"""Return the text with `\text{…}` unwrapped and spacing commands dropped."""
    return re.sub(r" {2,}", " ", _FONT.sub(r" \1 ", _SPACING.sub(" ", cleaned))).strip(" .,;")


def read_special(plain: str) -> Value | None:
    """Read what has a notation of its own: numbers with a base, clock times and ratios."""
    compact = plain.replace(" ", "") if "_" in plain else plain
    based = _BASED.fullmatch(compact)
    if based:
        base = int(based[2]) if based[2] else _BASE_NAMES.get(based[3], 0)
        sign = "-" if compact.startswith("-") else ""
        digits = based[1].rstrip("0").rstrip(".") if "." in based[1] else based[1]
        return Based(sign + (digits.lstrip("0") or "0"), base)
    clock = _CLOCK.fullmatch(plain) if ":" in plain else None
    if clock:
        return Clock(tuple(int(part) for part in clock.groups()[:3] if part), (clock[4] or "").lower())
    hour = _HOUR.fullmatch(plain)
    return Clock((int(hour[1]), 0), hour[2].lower()) if hour else None
