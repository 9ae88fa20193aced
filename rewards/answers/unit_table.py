r"""The table of units of measure: spelling -> what it measures, and how much of it.

A unit is a product of base dimensions with a size: `km/h` is m·s⁻¹ of size 1000/3600. The dimensions are the SI's
(mass in kilograms), angle, one per temperature scale (20 °C is not 20 K), one per currency and `bit`. Symbols are
case-sensitive (`mN` is not `MN`), names are not. SI symbols and names take the prefixes in use.

Sizes: NIST SP 811, appendix B.8; imperial volumes are the US customary ones.
"""

from fractions import Fraction
from typing import NamedTuple


class Measure(NamedTuple):
    """A unit: exponents of its dimensions, sorted by name, and its size in them."""

    dimensions: tuple[tuple[str, int], ...]
    size: Fraction


def measure(dimensions: dict[str, int], size: Fraction | int = 1) -> Measure:
    """Return a measure; dimensions with exponent 0 are left out."""
    return Measure(tuple(sorted((name, power) for name, power in dimensions.items() if power)), Fraction(size))


NOTHING = measure({})


def combined(left: Measure, right: Measure, power: int = 1) -> Measure:
    """Return left · right^power."""
    exponents = dict(left.dimensions)
    for name, exponent in right.dimensions:
        exponents[name] = exponents.get(name, 0) + exponent * power
    return measure(exponents, left.size * right.size**power)


_FORCE = {"kg": 1, "m": 1, "s": -2}
_ENERGY = {"kg": 1, "m": 2, "s": -2}
_POWER = {"kg": 1, "m": 2, "s": -3}
_VOLT = {**_POWER, "A": -1}
_VOLUME = {"m": 3}

# symbols, names (a plural `s` is understood), dimensions, size
_Row = tuple[str, str, dict[str, int], Fraction | int]
_PREFIXED: tuple[_Row, ...] = (
    ("m", "meter metre", {"m": 1}, 1),
    ("g", "gram gramme", {"kg": 1}, Fraction(1, 1000)),
    ("s", "second", {"s": 1}, 1),
    ("A", "ampere amp", {"A": 1}, 1),
    ("K", "kelvin", {"kelvin": 1}, 1),
    ("mol", "mole", {"mol": 1}, 1),
    ("N", "newton", _FORCE, 1),
    ("J", "joule", _ENERGY, 1),
    ("W", "watt", _POWER, 1),
    ("Wh", "", _ENERGY, 3600),
    ("V", "volt", _VOLT, 1),
    ("Hz", "hertz", {"cycle": 1, "s": -1}, 1),
    ("Pa", "pascal", {"kg": 1, "m": -1, "s": -2}, 1),
    ("C", "coulomb", {"A": 1, "s": 1}, 1),
    ("F", "farad", {**_VOLT, "kg": -1, "m": -2, "s": 4, "A": 2}, 1),
    ("H", "henry henries", {"kg": 1, "m": 2, "s": -2, "A": -2}, 1),
    ("T", "tesla", {"kg": 1, "s": -2, "A": -1}, 1),
    ("Wb", "weber", {**_ENERGY, "A": -1}, 1),
    ("Ω", "ohm", {**_POWER, "A": -2}, 1),
    ("S", "siemens", {"kg": -1, "m": -2, "s": 3, "A": 2}, 1),
    ("l L", "liter litre", _VOLUME, Fraction(1, 1000)),
    ("eV", "electronvolt", {"electronvolt": 1}, 1),
    ("cal", "calorie", _ENERGY, Fraction("4.184")),
    ("bit", "bit", {"bit": 1}, 1),
    ("B", "byte", {"bit": 1}, 8),
    ("bar", "bar", {"kg": 1, "m": -1, "s": -2}, 100_000),
    ("lm", "lumen", {"lumen": 1}, 1),
    ("lx", "lux", {"lumen": 1, "m": -2}, 1),
    ("Bq", "becquerel", {"decay": 1, "s": -1}, 1),
    ("cd", "candela", {"candela": 1}, 1),
)
_INCH, _POUND, _GALLON = Fraction("0.0254"), Fraction("0.45359237"), Fraction("0.003785411784")
_GRAVITY = Fraction("9.80665")
_PLAIN: tuple[_Row, ...] = (
    ("in", "inch inches", {"m": 1}, _INCH),
    ("ft", "foot feet", {"m": 1}, 12 * _INCH),
    ("yd yds", "yard", {"m": 1}, 36 * _INCH),
    ("mi", "mile", {"m": 1}, 63360 * _INCH),
    ("nmi", "", {"m": 1}, 1852),
    ("ly", "lightyear", {"m": 1}, 9_460_730_472_580_800),
    ("au AU", "", {"m": 1}, 149_597_870_700),
    ("fur", "furlong", {"m": 1}, 7920 * _INCH),
    ("Å", "angstrom", {"m": 1}, Fraction(1, 10**10)),
    ("ac", "acre", {"m": 2}, 43560 * (12 * _INCH) ** 2),
    ("ha", "hectare", {"m": 2}, 10_000),
    ("lb lbs lbm", "pound", {"kg": 1}, _POUND),
    ("oz ozs", "ounce", {"kg": 1}, _POUND / 16),
    ("", "ton", {"kg": 1}, 2000 * _POUND),
    ("t", "tonne", {"kg": 1}, 1000),
    ("lbf", "poundforce", _FORCE, _POUND * _GRAVITY),
    ("psi", "", {"kg": 1, "m": -1, "s": -2}, _POUND * _GRAVITY / _INCH**2),
    ("atm", "atmosphere", {"kg": 1, "m": -1, "s": -2}, 101_325),
    ("hp", "horsepower", _POWER, 550 * 12 * _INCH * _POUND * _GRAVITY),
    ("dyn", "dyne", _FORCE, Fraction(1, 10**5)),
    ("erg", "erg", _ENERGY, Fraction(1, 10**7)),
    ("Cal", "", _ENERGY, 4184),
    ("BTU btu Btu", "", _ENERGY, Fraction("1055.06")),
    ("cc ccm", "", _VOLUME, Fraction(1, 10**6)),
    ("gal gals", "gallon", _VOLUME, _GALLON),
    ("qt qts", "quart", _VOLUME, _GALLON / 4),
    ("pt pts", "pint", _VOLUME, _GALLON / 8),
    ("", "cup", _VOLUME, _GALLON / 16),
    ("floz", "fluidounce", _VOLUME, _GALLON / 128),
    ("tbsp Tbsp tbs", "tablespoon", _VOLUME, _GALLON / 256),
    ("tsp", "teaspoon", _VOLUME, _GALLON / 768),
    ("bu", "bushel", _VOLUME, Fraction("0.03523907016688")),
    ("sec secs", "", {"s": 1}, 1),
    ("min mins", "minute", {"s": 1}, 60),
    ("h hr hrs", "hour", {"s": 1}, 3600),
    ("d", "day", {"s": 1}, 86_400),
    ("wk wks", "week", {"s": 1}, 604_800),
    ("mo mos", "month", {"month": 1}, 1),
    ("yr yrs", "year", {"month": 1}, 12),
    ("", "decade", {"month": 1}, 120),
    ("", "century centuries", {"month": 1}, 1200),
    ("mph", "", {"m": 1, "s": -1}, 63360 * _INCH / 3600),
    ("kph kmph kmh kmhr", "", {"m": 1, "s": -1}, Fraction(1000, 3600)),
    ("mps", "", {"m": 1, "s": -1}, 1),
    ("fps", "", {"m": 1, "s": -1}, 12 * _INCH),
    ("kn kt kts", "knot", {"m": 1, "s": -1}, Fraction(1852, 3600)),
    ("mpg", "", {"m": -2}, 63360 * _INCH / _GALLON),
    ("bpm", "", {"beat": 1, "s": -1}, Fraction(1, 60)),
    ("rpm", "", {"revolution": 1, "s": -1}, Fraction(1, 60)),
    ("rev revs", "revolution", {"revolution": 1}, 1),
    ("rad rads", "radian", {"rad": 1}, 1),
    ("sr", "steradian", {"rad": 2}, 1),
    ("deg degs °", "degree", {"degree": 1}, 1),
    ("arcmin", "arcminute", {"degree": 1}, Fraction(1, 60)),
    ("arcsec", "arcsecond", {"degree": 1}, Fraction(1, 3600)),
    ("°C degC", "celsius centigrade", {"celsius": 1}, 1),
    ("°F degF", "fahrenheit", {"fahrenheit": 1}, 1),
    ("dB", "decibel", {"decibel": 1}, 1),
    ("ppm", "", {"ppm": 1}, 1),
    ("", "molar", {"mol": 1, "m": -3}, 1000),
    ("$ USD US$", "dollar buck", {"dollar": 1}, 1),
    ("¢", "cent", {"dollar": 1}, Fraction(1, 100)),
    ("€ EUR", "euro", {"euro": 1}, 1),
    ("£ GBP", "", {"sterling": 1}, 1),
    ("", "pence", {"sterling": 1}, Fraction(1, 100)),
    ("¥ JPY", "yen", {"yen": 1}, 1),
    ("₹ INR", "rupee", {"rupee": 1}, 1),
    ("RMB CNY", "yuan", {"yuan": 1}, 1),
    ("₩ KRW", "won", {"won": 1}, 1),
    ("", "peso", {"peso": 1}, 1),
    ("", "unit", {"unit": 1}, 1),
)
MONEY = frozenset(["dollar", "euro", "sterling", "yen", "rupee", "yuan", "won", "peso"])
_SYMBOL_PREFIXES = {
    "T": 12, "G": 9, "M": 6, "k": 3, "h": 2, "d": -1, "c": -2, "m": -3, "μ": -6, "u": -6, "n": -9, "p": -12,
}  # fmt: skip
_NAME_PREFIXES = {
    "tera": 12, "giga": 9, "mega": 6, "kilo": 3, "hecto": 2, "deci": -1, "centi": -2, "milli": -3, "micro": -6,
    "nano": -9, "pico": -12,
}  # fmt: skip
_UNSAID = frozenset(["B", "pm", "us"])  # five billion to many, a time of day, a word


def _table() -> dict[str, Measure]:
    """Return every spelling's measure; a spelling without a prefix wins over one with (`Pa`, `min`)."""
    table: dict[str, Measure] = {}
    for row in (*_PLAIN, *_PREFIXED):
        for spelling in _spellings(row):
            table.setdefault(spelling, measure(row[2], row[3]))
    for symbols, names, dimensions, size in _PREFIXED:
        for words, prefixes in ((symbols, _SYMBOL_PREFIXES), (names, _NAME_PREFIXES)):
            for spelling in _spellings((words, "", {}, 1) if words is symbols else ("", words, {}, 1)):
                for prefix, power in prefixes.items():
                    table.setdefault(prefix + spelling, measure(dimensions, size * Fraction(10) ** power))
    return {spelling: found for spelling, found in table.items() if spelling not in _UNSAID}


def _spellings(row: _Row) -> list[str]:
    symbols, names, _, _ = row
    plurals = [name + "s" for name in names.split() if not name.endswith(("s", "z", "x", "feet"))]
    return [*symbols.split(), *names.split(), *plurals]


_TABLE = _table()
_ANY_CASE = frozenset(["cm", "mm", "km", "kg", "mg", "ml", "oz", "lb", "ft", "yd", "mi", "hr", "in"])
_LOWER = {
    spelling.lower(): found
    for spelling, found in reversed(_TABLE.items())
    if len(spelling) > 2 or spelling in _ANY_CASE  # `dt` is no decitesla
}
PHRASES = {
    "light years": "ly", "light year": "ly", "fluid ounces": "floz", "fluid ounce": "floz", "fl oz": "floz",
    "nautical miles": "nmi", "nautical mile": "nmi", "degrees celsius": "°C", "degree celsius": "°C",
    "degrees fahrenheit": "°F", "degree fahrenheit": "°F", "degrees centigrade": "°C", "° c": "°C", "° f": "°F",
    "degrees c": "°C", "degrees f": "°F", "deg c": "°C", "deg f": "°F", "metric tons": "tonnes", "metric ton": "tonne",
    "° celsius": "°C", "° fahrenheit": "°F", "us dollars": "dollars", "us $": "$",
}  # fmt: skip


def known_measure(word: str) -> Measure | None:
    """Return what a spelling measures, None for a word that is no unit of measure.

    The case of symbols counts where it tells two units apart, names may have any.
    """
    return _TABLE.get(word) or (_LOWER.get(word.lower()) if len(word) > 1 else None)
