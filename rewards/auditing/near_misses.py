r"""Meaning-changing rewrites of a gold answer: what a policy would be paid for by a loose grader, and must not be.

Like the rewrites of mutants.py, each is made only where its meaning is certain to differ: numbers are compared as
exact fractions, elements by value where they have one. Amounts (tolerances, factors, units) are in near_amounts.py.
"""

import re
from collections.abc import Callable, Iterator
from fractions import Fraction

from reasoning_grpo.rewards.auditing.mutants import Mutant, elements, is_safe_list, number, terminating, without_dollars
from reasoning_grpo.rewards.auditing.near_amounts import close_values, hundredfold, other_units, scale_words

_INTEGER = re.compile(r"-?[0-9]{1,30}")
_FRACTION = re.compile(r"(-?)\\[dt]?frac\{([0-9]{1,20})\}\{([0-9]{1,20})\}")
_INNER_NUMBER = re.compile(r"(?<![0-9._^{])[2-9][0-9]{0,8}(?![0-9.])|(?<=[({,=+*/-])[2-9][0-9]{0,8}(?![0-9.])")
_CHOICE = re.compile(r"\\text\{\(?([A-Z])\)?\}|\(([A-Z])\)|([A-Z])")
_ABOVE_ONE = r"(?:[2-9]|[1-9][0-9]{1,8})"
_ROOT = rf"\\sqrt\{{{_ABOVE_ONE}\}}"
_LED_BY_NUMBER = re.compile(
    rf"(-?{_ABOVE_ONE})(?:{_ROOT}|\\pi(?![A-Za-z])|i|[+-]{_ABOVE_ONE}(?:i|{_ROOT}|\\pi(?![A-Za-z])))"
)
_WORD = re.compile(r"\\text\{ ?[A-Za-z]{3,20} ?\}")
_INEQUALITY = re.compile(r"[<>≤≥≠]|\\[lgn]eq?(?:slant)?(?![A-Za-z])")
_ROUNDING_ERROR = Fraction(1, 1000)  # relative; a closer rounding is contested


def changing(gold: str) -> list[Mutant]:
    """Return rewrites of `gold` that mean something else, each spelling once."""
    bare = without_dollars(gold)
    found = {mutant.answer: mutant for rule in _RULES for mutant in rule(bare)}
    return list(found.values())


def neighbour(gold: str) -> str:
    """Return a wrong answer that looks like `gold`."""
    value = number(gold)
    if value is not None:
        return str(value + 1) if value.denominator == 1 else f"\\frac{{{value.numerator + 1}}}{{{value.denominator}}}"
    return next((mutant.answer for mutant in (*_inner_numbers(gold), *_other_choices(gold))), "1789")


def _integers(gold: str) -> Iterator[Mutant]:
    if not _INTEGER.fullmatch(gold):
        return
    value = int(gold)
    yield Mutant("plus one", str(value + 1))
    yield Mutant("minus one", str(value - 1))
    if value:
        yield Mutant("ten times", f"{value}0")
    yield Mutant("chained equality", f"x={value - 2}={value - 1}={value}")
    swapped = _digits_swapped(gold)
    if swapped is not None:
        yield Mutant("digits swapped", swapped)


def _digits_swapped(gold: str) -> str | None:
    digits = gold.lstrip("-")
    for i in range(len(digits) - 1, 0, -1):
        if digits[i] != digits[i - 1] and (i > 1 or digits[i] != "0"):
            sign = "-" if gold.startswith("-") else ""
            return sign + digits[: i - 1] + digits[i] + digits[i - 1] + digits[i + 1 :]
    return None


def _numbers(gold: str) -> Iterator[Mutant]:
    value = number(gold)
    if value is None:
        return
    if value:
        yield Mutant("sign", gold[1:] if gold.startswith("-") else f"-{gold}")
    if value.denominator > 1:
        yield Mutant("plus one", f"\\frac{{{value.numerator + value.denominator}}}{{{value.denominator}}}")


def _fractions(gold: str) -> Iterator[Mutant]:
    match = _FRACTION.fullmatch(gold)
    if match is None or not int(match[3]):
        return
    sign, top, bottom = match[1], int(match[2]), int(match[3])
    if top and top != bottom:
        yield Mutant("upside down", f"{sign}\\frac{{{bottom}}}{{{top}}}")
    value = Fraction(top, bottom)
    rounded = Fraction(round(value * 100), 100)
    if terminating(value) is None and abs(rounded - value) > value * _ROUNDING_ERROR:
        yield Mutant("rounded", f"{sign}{float(rounded):.2f}")


def _inner_numbers(gold: str) -> Iterator[Mutant]:
    """Add one to the first number above one in a formula; 0 and 1 may be neutral where they stand."""
    if number(gold) is not None or "text" in gold:
        return
    match = _INNER_NUMBER.search(gold)
    if match:
        yield Mutant("number inside", f"{gold[: match.start()]}{int(match[0]) + 1}{gold[match.end() :]}")


def _leading_numbers(gold: str) -> Iterator[Mutant]:
    r"""Write only the number a formula begins with: all that some graders read of a gold such as `3\sqrt{13}`."""
    if match := _LED_BY_NUMBER.fullmatch(gold):
        yield Mutant("leading number", match[1])


def _lists(gold: str) -> Iterator[Mutant]:
    found = elements(gold)
    if found is None or not is_safe_list(gold) or "=" in gold:
        return
    opening, parts, closing = found
    if _have_equals(parts):
        return
    if opening and not opening.endswith("{"):
        yield Mutant("elements swapped", f"{opening}{','.join([parts[1], parts[0], *parts[2:]])}{closing}")
    shorter = parts[:-1] if len(parts) > 2 or not opening else None
    if shorter:
        yield Mutant("element dropped", f"{opening}{','.join(shorter)}{closing}")
    if "1789" not in gold:
        yield Mutant("element added", f"{opening}{', '.join([*parts, '1789'])}{closing}")


def _have_equals(parts: list[str]) -> bool:
    """True when two elements may be one value: equal spellings, or anything but plain numbers beside each other."""
    values = [number(part) for part in parts]
    plain = [value for value in values if value is not None]
    spellings = {"".join(part.split()) for part in parts}
    return len(spellings) < len(parts) or len(set(plain)) < len(plain)


def _other_choices(gold: str) -> Iterator[Mutant]:
    if match := _CHOICE.fullmatch(gold):
        letter = match[1] or match[2] or match[3]
        yield Mutant("other choice", "A" if letter != "A" else "B")


def _words(gold: str) -> Iterator[Mutant]:
    if _WORD.fullmatch(gold):
        yield Mutant("other word", r"\text{wombat}")


def _hedges(gold: str) -> Iterator[Mutant]:
    """Offer the gold among others, or deny it."""
    other = neighbour(gold) if elements(gold) is None else "1789"  # `1,2 or 2,2` might be read as the set of 1 and 2
    if not _INEQUALITY.search(gold):  # `x>2 or x>3` is `x>2`
        yield Mutant("alternatives", f"{gold}\\text{{ or }}{other}")
    yield Mutant("denied", f"\\text{{not }}{gold}")
    if number(gold) is not None:
        yield Mutant("answer list", f"{gold}, {other}, 1789")


_RULES: tuple[Callable[[str], Iterator[Mutant]], ...] = (
    _integers, _numbers, _fractions, close_values, hundredfold, scale_words, _inner_numbers,
    _leading_numbers, _lists, other_units, _other_choices, _words, _hedges,
)  # fmt: skip
