r"""Plain numbers, exactly: text -> Fraction with an optional unit or percent sign.

Reads integers, decimals, grouping commas, `\frac{a}{b}`, `a/b`, mixed numbers, `a\times10^{n}`, currency, percent,
units and scale words. No float and no eval: `0.1` is 1/10, and `1.6e-19` is not `5e-20`. Anything else (surds, π,
variables) is None: other stages decide. Sizes are capped before anything is computed.
"""

import re
from dataclasses import dataclass
from fractions import Fraction

from reasoning_grpo.rewards.normal import normalise, without_text
from reasoning_grpo.rewards.units import SCALES, canonical_unit, same_unit

MAX_NUMBER_CHARS = 2_000  # int() of n digits costs n², and Python itself refuses 4,300
MAX_EXPONENT = 1_000  # of a power of ten

_NUMBER = r"(?:[0-9]{1,3}(?:(?:,|\{,\}| )[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]*)?|\.[0-9]+"
_QUANTITY = re.compile(
    r"(?P<sign>[+-]?)(?P<money>(?:\\?\$|€|£|¥)?)(?P<sign2>[+-]?)"
    r"(?:(?P<whole>[0-9]+)(?: ?(?=\\frac)| (?=[0-9]+/)))?"
    rf"(?:\\frac\{{(?P<top>-?(?:{_NUMBER}))\}}\{{(?P<bottom>-?(?:{_NUMBER}))\}}"
    rf"|(?P<number>{_NUMBER})(?:/(?P<over>{_NUMBER}))?"
    r"(?:(?:\\times|\\cdot|\*|x) ?10\^(?:\{(?P<power>[+-]?[0-9]+)\}|(?P<digit>[0-9]+))|[eE](?P<exp>[+-]?[0-9]+))?"
    r")(?P<percent> ?(?:\\?%|percent(?![A-Za-z])))?(?P<degree> ?\^\{?\\circ\}?)?(?P<unit>.{0,80})",
    re.DOTALL,
)
_POWER_OF_TEN = re.compile(r"(?P<sign>[+-]?)10\^(?:\{(?P<power>[+-]?[0-9]+)\}|(?P<digit>[0-9]+))")
_UNIT = re.compile(r"(?P<words>[A-Za-z $€£¥¢./'-]*?)(?:\^\{?(?P<exponent>[23])\}?)?")
_MONEY = {"$": "$", r"\$": "$", "€": "€", "£": "£", "¥": "¥"}


@dataclass(frozen=True, slots=True)
class Quantity:
    """An exact number as written: `50\\%` has the value 50. `unit` is the canonical unit, "" without one."""

    value: Fraction
    is_percent: bool
    unit: str


def same_number(gold: str, answer: str) -> bool | None:
    r"""Compare two plain quantities exactly; None when either is not one.

    A percent sign on one side only may stand for a factor of 100 (`50\%` = `50` = `0.5`); without any sign a factor of
    100 is wrong. A unit on one side only is ignored; two different units differ.
    """
    gold_quantity, answer_quantity = parse_quantity(gold), parse_quantity(answer)
    if gold_quantity is None or answer_quantity is None:
        return None
    if gold_quantity.unit and answer_quantity.unit and not same_unit(gold_quantity.unit, answer_quantity.unit):
        return False
    return _same_value(gold_quantity, answer_quantity)


def parse_quantity(text: str) -> Quantity | None:
    """Read one plain number with its sign, percent sign, unit or scale word; None for anything else."""
    if len(text) > MAX_NUMBER_CHARS:
        return None
    plain = without_text(normalise(text))
    power = _POWER_OF_TEN.fullmatch(plain)
    if power:
        ten = _power_of_ten(power["power"] or power["digit"])
        return None if ten is None else Quantity(-ten if power["sign"] == "-" else ten, False, "")
    match = _QUANTITY.fullmatch(plain)
    return None if match is None else _quantity(match)


def _quantity(match: re.Match[str]) -> Quantity | None:
    value = _magnitude(match)
    unit = _unit(match)
    if value is None or unit is None:
        return None
    scale, name = unit
    negative = (match["sign"] == "-") != (match["sign2"] == "-")
    return Quantity((-value if negative else value) * scale, match["percent"] is not None, name)


def _magnitude(match: re.Match[str]) -> Fraction | None:
    top, bottom = match["top"] or match["number"], match["bottom"] or match["over"]
    if bottom is not None and _number(bottom) == 0:
        return None
    value = _number(top) / (_number(bottom) if bottom is not None else 1)
    if match["whole"] is not None:
        if value < 0 or "." in top:  # 3\frac{-1}{2} is a product, not a mixed number
            return None
        value += _number(match["whole"])
    ten = _power_of_ten(match["power"] or match["digit"] or match["exp"] or "0")
    return None if ten is None else value * ten


def _number(digits: str) -> Fraction:
    plain = re.sub(r"[{}, ]", "", digits)
    whole, _, decimals = plain.partition(".")
    sign = -1 if whole.startswith("-") else 1
    number = int((whole.lstrip("-") + decimals) or "0")
    return sign * Fraction(number, 10 ** len(decimals))


def _power_of_ten(exponent: str) -> Fraction | None:
    if len(exponent) > 6 or abs(int(exponent)) > MAX_EXPONENT:
        return None
    return Fraction(10) ** int(exponent)


def _unit(match: re.Match[str]) -> tuple[int, str] | None:
    """Return the scale factor and the canonical unit of what stands round the number, None if it is no unit."""
    parts = _UNIT.fullmatch(match["unit"])
    if parts is None:
        return None
    words = parts["words"].split()
    scale = 1
    if words and words[0].lower().removesuffix("s") in SCALES:
        scale = SCALES[words.pop(0).lower().removesuffix("s")]
    if match["money"]:
        words.append(_MONEY[match["money"]])
    if match["degree"]:
        words.append("°")
    if not words:
        return None if parts["exponent"] else (scale, "")
    if _is_glued_letter(match):
        return None
    unit = canonical_unit(" ".join(dict.fromkeys(words)), parts["exponent"] or "")
    return None if unit is None else (scale, unit)


def _is_glued_letter(match: re.Match[str]) -> bool:
    """`4t` and `42x` are a number times a variable, `4 m` is a length."""
    unit = match["unit"]
    return len(unit.strip()) == 1 and unit[:1].isalpha()


def _same_value(gold: Quantity, answer: Quantity) -> bool:
    if gold.value == answer.value:
        return True
    if gold.is_percent == answer.is_percent:
        return False
    percent, other = (gold, answer) if gold.is_percent else (answer, gold)
    return percent.value / 100 == other.value
