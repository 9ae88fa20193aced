r"""Meaning-preserving rewrites of a gold answer: what a policy may write for it, and what must be accepted.

Every rewrite follows the label policy (numbers exact, units and currency optional, lists unordered, LaTeX spelling
free). A rewrite is only made where its meaning is certain: a gold that is not understood gets the few that fit any. The
opposite is near_misses.py.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

_INTEGER = re.compile(r"-?[0-9]{1,30}")
_DECIMAL = re.compile(r"(-?)([0-9]{0,20})\.([0-9]{1,20})")
_FRACTION = re.compile(r"(-?)\\[dt]?frac\{([0-9]{1,20})\}\{([0-9]{1,20})\}")
_GROUPED = re.compile(r"-?[0-9]{1,3}(?:(?:,\\!|,|\{,\})[0-9]{3})+")
_MIXED = re.compile(r"([0-9]{1,9})\\[dt]?frac\{([0-9]{1,9})\}\{([0-9]{1,9})\}")
_UNIT = re.compile(r"(?P<number>-?[0-9.]{1,20}) ?\\(?:text|mbox|mathrm)\{ ?(?P<unit>[A-Za-z]{2,20}) ?\}")
_DEGREES = re.compile(r"(?P<number>-?[0-9.]{1,20}) ?\^\{?\\circ\}?")
_MONEY = re.compile(r"\\\$ ?(?P<number>[0-9]{1,20}(?:\.[0-9]{1,4})?)")
_CHOICE = re.compile(r"\\text\{\(?([A-Z])\)?\}|\(([A-Z])\)|([A-Z])")
_WORD = re.compile(r"\\text\{ ?([A-Za-z]{3,20}) ?\}")
_FRAC = re.compile(r"\\frac(?![A-Za-z])")
_THOUSANDS = re.compile(r"[0-9],? ?[0-9]{3}(?![0-9])")
_MAX_DECIMALS = 6


@dataclass(frozen=True, slots=True)
class Mutant:
    """One rewrite of an answer. `kind` names the rule, for tables and findings."""

    kind: str
    answer: str


def preserving(gold: str) -> list[Mutant]:
    """Return rewrites of `gold` that mean the same, none of them spelt like it, each spelling once."""
    bare = without_dollars(gold)
    found = {mutant.answer: mutant for rule in _RULES for mutant in rule(bare) if mutant.answer != gold}
    return list(found.values())


def without_dollars(gold: str) -> str:
    """Return a gold without the `$…$` round all of it, as OlympiadBench writes its golds."""
    bare = gold.strip()
    is_wrapped = len(bare) > 2 and bare[0] == bare[-1] == "$" and "$" not in bare[1:-1] and bare[-2] != "\\"
    return bare[1:-1].strip() if is_wrapped else bare


def number(text: str) -> Fraction | None:
    r"""Return the value of an integer, a decimal or a `\frac` of integers, None for anything else."""
    if _INTEGER.fullmatch(text):
        return Fraction(int(text))
    if _DECIMAL.fullmatch(text):
        return Fraction(text)
    if _GROUPED.fullmatch(text):
        return Fraction(re.sub(r"[^0-9-]", "", text))
    if (match := _FRACTION.fullmatch(text)) and int(match[3]):
        return Fraction(int(match[1] + match[2]), int(match[3]))
    return None


def elements(text: str) -> tuple[str, list[str], str] | None:
    r"""Take a list, set, tuple or interval apart: opening bracket, elements, closing bracket; None for all else.

    A number with grouping commas is no list.
    """
    if _GROUPED.fullmatch(text) or "," not in text or "matrix" in text or "text" in text:
        return None
    opening, inner, closing = _unbracketed(text)
    parts = split_top(inner)
    return (opening, parts, closing) if len(parts) > 1 and all(parts) else None


def split_top(text: str) -> list[str]:
    """Split at the commas outside of all brackets."""
    parts, depth, start = [], 0, 0
    for index, char in enumerate(text):
        depth += (char in "([{") - (char in ")]}")
        if char == "," and depth == 0:
            parts.append(text[start:index].strip())
            start = index + 1
    return [*parts, text[start:].strip()]


def is_safe_list(text: str) -> bool:
    """False where a comma of the list could be read as one that groups digits."""
    return not _THOUSANDS.search(text) and "\\!" not in text


def _unbracketed(text: str) -> tuple[str, str, str]:
    for opening, closing in ((r"\left(", r"\right)"), (r"\left\{", r"\right\}"), (r"\{", r"\}"), ("(", ")"), ("[", "]"),
                             (r"\left[", r"\right]"), ("(", "]"), ("[", ")")):  # fmt: skip
        inner = text[len(opening) : len(text) - len(closing)]
        if text.startswith(opening) and text.endswith(closing) and _is_balanced(inner):
            return opening, inner, closing
    return "", text, ""


def _is_balanced(text: str) -> bool:
    depth = 0
    for char in text:
        depth += (char in "([{") - (char in ")]}")
        if depth < 0:
            return False
    return depth == 0


def _anything(gold: str) -> Iterator[Mutant]:
    if not gold.endswith((".", "!", "\\")):
        yield Mutant("trailing period", f"{gold}.")
    if "$" not in gold:
        yield Mutant("in dollars", f"${gold.rstrip(',')}$")
    yield Mutant("spacing", f" {gold}\\, ")
    if _FRAC.search(gold):
        yield Mutant("dfrac", _FRAC.sub(r"\\dfrac", gold))


def _numbers(gold: str) -> Iterator[Mutant]:
    value = number(gold)
    if value is None:
        return
    if value.denominator == 1 or _DECIMAL.fullmatch(gold):
        yield Mutant("unit added", f"{gold}\\text{{ cm}}")
        if value >= 0:
            yield Mutant("currency added", f"\\${gold}")
    yield Mutant("named", f"x={gold}")
    if value < 0 and gold.startswith("-"):
        yield Mutant("unicode minus", f"\u2212{gold[1:]}")


def _integers(gold: str) -> Iterator[Mutant]:
    if not _INTEGER.fullmatch(gold) or (len(gold.lstrip("-")) > 1 and gold.lstrip("-").startswith("0")):
        return
    yield Mutant("trailing zero", f"{gold}.0")
    if len(gold.lstrip("-")) > 3:
        yield Mutant("thousands comma", f"{int(gold):,}")
        yield Mutant("thousands brace", f"{int(gold):,}".replace(",", "{,}"))


def _grouped(gold: str) -> Iterator[Mutant]:
    if _GROUPED.fullmatch(gold):
        yield Mutant("no thousands comma", re.sub(r"[^0-9-]", "", gold))


def _decimals(gold: str) -> Iterator[Mutant]:
    if _DECIMAL.fullmatch(gold):
        yield Mutant("trailing zero", f"{gold}0")
        value = Fraction(gold)
        sign = "-" if value < 0 else ""
        yield Mutant("fraction", f"{sign}\\frac{{{abs(value.numerator)}}}{{{value.denominator}}}")


def _fractions(gold: str) -> Iterator[Mutant]:
    match = _FRACTION.fullmatch(gold)
    if match is None or not int(match[3]):
        return
    sign, top, bottom = match[1], int(match[2]), int(match[3])
    yield Mutant("slash", f"{sign}{top}/{bottom}")
    yield Mutant("unreduced", f"{sign}\\frac{{{3 * top}}}{{{3 * bottom}}}")
    decimal = terminating(Fraction(top, bottom))
    if decimal is not None:
        yield Mutant("decimal", f"{sign}{decimal}")


def terminating(value: Fraction) -> str | None:
    """Return the finite decimal of a non-negative number, None when it has none within some digits."""
    scaled = value * 10**_MAX_DECIMALS
    if scaled.denominator != 1:
        return None
    digits = f"{scaled.numerator:0{_MAX_DECIMALS + 1}d}"
    return f"{digits[:-_MAX_DECIMALS]}.{digits[-_MAX_DECIMALS:]}".rstrip("0").rstrip(".")


def _mixed(gold: str) -> Iterator[Mutant]:
    if (match := _MIXED.fullmatch(gold)) and int(match[3]):
        whole, top, bottom = (int(part) for part in match.groups())
        yield Mutant("improper fraction", f"\\frac{{{whole * bottom + top}}}{{{bottom}}}")


def _without_unit(gold: str) -> Iterator[Mutant]:
    for kind, pattern in (("unit dropped", _UNIT), ("degree dropped", _DEGREES), ("currency dropped", _MONEY)):
        if match := pattern.fullmatch(gold):
            yield Mutant(kind, match["number"])


def _lists(gold: str) -> Iterator[Mutant]:
    found = elements(gold)
    if found is None or not is_safe_list(gold):
        return
    opening, parts, closing = found
    yield Mutant("list spacing", f"{opening}{', '.join(parts)}{closing}")
    if opening in ("(", "[") and closing in (")", "]"):
        yield Mutant("left right", f"\\left{opening}{','.join(parts)}\\right{closing}")
    backwards = ", ".join(reversed(parts))
    is_unordered = opening in ("", r"\{", r"\left\{") and not any(sign in gold for sign in "=<>")
    if is_unordered and is_safe_list(backwards) and not _is_sequence(parts):
        yield Mutant("list order", f"{opening}{backwards}{closing}")


def _is_sequence(parts: list[str]) -> bool:
    return any("dots" in part for part in parts)


def _words(gold: str) -> Iterator[Mutant]:
    if match := _WORD.fullmatch(gold):
        yield Mutant("bare word", match[1])
        yield Mutant("letter case", f"\\text{{{match[1].swapcase()}}}")


def _choices(gold: str) -> Iterator[Mutant]:
    if match := _CHOICE.fullmatch(gold):
        letter = match[1] or match[2] or match[3]
        yield Mutant("choice", f"\\text{{({letter})}}")
        yield Mutant("choice", f"({letter})")


_RULES: tuple[Callable[[str], Iterator[Mutant]], ...] = (
    _anything, _numbers, _integers, _grouped, _decimals, _fractions, _mixed, _without_unit, _lists, _words, _choices,
)  # fmt: skip
