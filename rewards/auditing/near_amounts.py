r"""Near misses of an amount: what a tolerance takes for the gold, a factor of 100, a scale word, another unit.

Numbers are exact and a unit is optional but never another one (label policy 3 to 5). A decimal gold may be rounded, and
a longer decimal that rounds to it is contested, so of a decimal only the last digit is changed. `\$5` may be so much
per hour where the question says so, so money gets no rate.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from reasoning_grpo.rewards.auditing.mutants import Mutant, number, terminating

_DECIMAL = re.compile(r"-?[0-9]{0,20}\.([0-9]{1,20})")
_INTEGER = re.compile(r"-?[0-9]{1,30}")
_PERCENT = re.compile(r"(?P<number>-?[0-9.]{1,20}) ?\\?%")
_MEASURED = re.compile(
    r"(?P<number>(?:\\\$)? ?-?[0-9.]{1,20}|-?\\[dt]?frac\{[0-9]{1,20}\}\{[0-9]{1,20}\}) ?(?:\\,)? ?"
    r"\\(?:text|mbox|mathrm)\{\s?(?P<word>(?:square|cubic)\s)?(?P<unit>[A-Za-z]{1,20})\s?\}(?:\^\{?(?P<power>[23])\}?)?"
)
_DEGREES = re.compile(r"(?P<number>-?[0-9.]{1,20}) ?\^\{?\\circ\}?")
_MONEY = re.compile(r"\\\$ ?(?P<number>[0-9]{1,20}(?:\.[0-9]{1,4})?)")
_SCALE_WORDS = ("hundred", "thousand", "million", "dozen", "halves")
_PREFIXABLE = frozenset(
    ["m", "g", "N", "J", "W", "V", "A", "K", "Hz", "Pa", "L", "l", "meters", "metres", "grams", "watts"]
)
_WORDS_OF_POWER = {2: "square", 3: "cubic"}
_OTHER_SIZE = {
    "cm": "mm", "mm": "cm", "km": "m", "kg": "g", "inches": "feet", "feet": "inches", "foot": "inches", "ft": "inches",
    "yards": "inches", "miles": "feet", "mile": "feet", "seconds": "minutes", "minutes": "hours", "min": "hours",
    "hours": "minutes", "hour": "minutes", "days": "weeks", "weeks": "days", "months": "years", "years": "months",
    "dollars": "cents", "cents": "dollars", "pounds": "ounces", "ounces": "pounds", "gallons": "quarts",
    "liters": "milliliters", "degrees": "radians",
}  # fmt: skip


def close_values(gold: str) -> Iterator[Mutant]:
    """Write values that an absolute or a relative tolerance takes for the gold, its unit or percent sign kept."""
    spelled, rest = _number_and_rest(gold)
    value = number(spelled)
    if value is None:
        return
    if match := _DECIMAL.fullmatch(spelled):
        last = Fraction(1, 10 ** len(match[1]))
        yield Mutant("last digit", _decimal(value + (last if value >= 0 else -last), len(match[1])) + rest)
        return
    yield Mutant("off by 0.001", _written(value + Fraction(1, 1000)) + rest)
    if value:
        yield Mutant("off by 1e-4 of it", _written(value * Fraction(10**4 + 1, 10**4)) + rest)
        yield Mutant("off by 1e-6 of it", _written(value * Fraction(10**6 + 1, 10**6)) + rest)


def _number_and_rest(gold: str) -> tuple[str, str]:
    """Split the number of a percentage or of a measured gold from its sign or unit; of any other gold nothing."""
    match = _PERCENT.fullmatch(gold) or _MEASURED.fullmatch(gold) or _DEGREES.fullmatch(gold)
    return (match["number"].strip(), gold[match.end("number") :]) if match else (gold, "")


def hundredfold(gold: str) -> Iterator[Mutant]:
    """Write a hundred times and a hundredth of a number or of a percentage, the percent sign kept."""
    match = _PERCENT.fullmatch(gold)
    value, sign = (number(match["number"]), r"\%") if match else (number(gold), "")
    if value:
        yield Mutant("hundred times", _written(value * 100) + sign)
        yield Mutant("hundredth", _written(value / 100) + sign)


def scale_words(gold: str) -> Iterator[Mutant]:
    r"""Write a word of scale after an integer or a sum of money, as it is and in `\text`."""
    money = _MONEY.fullmatch(gold)
    spelled = money["number"] if money else gold
    if _INTEGER.fullmatch(spelled) and int(spelled):
        for word in _SCALE_WORDS:
            yield Mutant(f"scale word {word}", f"{gold} {word}")
            yield Mutant(f"scale word {word}", f"{gold}\\text{{ {word}}}")


def other_units(gold: str) -> Iterator[Mutant]:
    """Write the number of a measured gold with a unit of another kind, size or power, or with more than its unit."""
    if match := _DEGREES.fullmatch(gold):
        yield Mutant("other unit", f"{match['number']}\\text{{ kg}}")
        yield Mutant("other size", f"{match['number']}\\text{{ radians}}")
    if match := _MONEY.fullmatch(gold):
        yield Mutant("other unit", f"{match['number']}\\text{{ euros}}")
        yield Mutant("other size", f"{match['number']}\\text{{ cents}}")
    if measured := _measured(gold):
        yield from _of_another_kind(measured)
        yield from _of_another_power(measured)


@dataclass(frozen=True, slots=True)
class _Measured:
    """A gold such as `15\text{ cm}^2`: its number as spelled, its unit, the unit's power."""

    number: str
    unit: str
    power: int

    def written(self, unit: str, power: int = 1) -> str:
        return f"{self.number}\\text{{ {unit}}}" + (f"^{power}" if power > 1 else "")


def _measured(gold: str) -> _Measured | None:
    match = _MEASURED.fullmatch(gold)
    if match is None or (match["word"] and match["power"]):
        return None
    in_words = next((power for power, word in _WORDS_OF_POWER.items() if (match["word"] or "").strip() == word), 1)
    return _Measured(match["number"], match["unit"], int(match["power"] or in_words))


def _of_another_kind(gold: _Measured) -> Iterator[Mutant]:
    is_weight = any(name in gold.unit for name in ("kg", "gram", "pound"))
    yield Mutant("other unit", gold.written("hours" if is_weight else "kg"))
    yield Mutant("other unit", gold.written("m" if gold.unit == "kN" else "kN"))
    yield Mutant("unit in a product", gold.written(f"kN {gold.unit}"))
    short, long = ("min", "minute") if gold.unit in ("s", "sec", "second", "seconds") else ("s", "second")
    yield Mutant("unit as a rate", gold.written(f"{gold.unit}/{short}"))
    yield Mutant("unit as a rate", gold.written(f"{gold.unit} per {long}"))
    other = f"k{gold.unit}" if gold.unit in _PREFIXABLE else _OTHER_SIZE.get(gold.unit)
    if other:
        yield Mutant("other size", gold.written(other, gold.power))


def _of_another_power(gold: _Measured) -> Iterator[Mutant]:
    other = 2 if gold.power != 2 else 3
    yield Mutant("other power", gold.written(gold.unit, other))
    yield Mutant("other power", gold.written(f"{_WORDS_OF_POWER[other]} {gold.unit}"))
    if gold.power > 1:
        yield Mutant("power dropped", gold.written(gold.unit))


def _written(value: Fraction) -> str:
    """Return a decimal where it ends within some digits, else a fraction."""
    sign = "-" if value < 0 else ""
    decimal = terminating(abs(value))
    return sign + (decimal or f"\\frac{{{abs(value.numerator)}}}{{{value.denominator}}}")


def _decimal(value: Fraction, num_decimals: int) -> str:
    """Return a value with so many decimals, which must be enough for it."""
    digits = f"{abs(value.numerator) * 10**num_decimals // value.denominator:0{num_decimals + 1}d}"
    return f"{'-' if value < 0 else ''}{digits[:-num_decimals]}.{digits[-num_decimals:]}"
