"""Units of measure and scale words: which spellings are one unit, and which words are no unit at all.

A unit is optional when one side has none, and a different unit is wrong (label policy 5). A word that changes the value
(`million`) is a factor; a word that changes the claim (`not`, `or`, `more than`) makes the text no quantity.
"""

import re

SCALES = {
    "hundred": 100,
    "thousand": 1_000,
    "million": 1_000_000,
    "billion": 1_000_000_000,
    "trillion": 1_000_000_000_000,
    "dozen": 12,
}

_SPELLINGS = {
    "metre": "m meter metre meters metres",
    "kilometre": "km kilometer kilometre kilometers kilometres",
    "centimetre": "cm centimeter centimetre centimeters centimetres",
    "millimetre": "mm millimeter millimetre millimeters millimetres",
    "foot": "ft foot feet",
    "inch": "in inch inches",
    "yard": "yd yard yards",
    "mile": "mi mile miles",
    "second": "s sec secs second seconds",
    "minute": "min mins minute minutes",
    "hour": "h hr hrs hour hours",
    "gram": "g gram grams",
    "kilogram": "kg kilogram kilograms kgs",
    "milligram": "mg milligram milligrams",
    "pound": "lb lbs pound pounds",
    "ounce": "oz ounce ounces",
    "litre": "l liter litre liters litres",
    "millilitre": "ml milliliter millilitre milliliters millilitres",
    "dollar": "dollar dollars usd $",
    "cent": "cent cents ¢",
    "euro": "euro euros eur €",
    "sterling": "gbp £",
    "yen": "yen jpy ¥",
    "degree": "degree degrees °",
    "mph": "mph",
    "kmh": "km/h kmh kph",
    "mole": "mol mole moles",
}
_CANONICAL = {spelling: unit for unit, spellings in _SPELLINGS.items() for spelling in spellings.split()}
_PHRASES = {"miles per hour": "mph", "kilometers per hour": "kmh", "kilometres per hour": "kmh"}
_POWERS = {"square": "2", "sq": "2", "squared": "2", "cubic": "3", "cubed": "3"}
_NO_UNIT_WORDS = (
    "a an and or not no is are was be isn isn't wrong right correct minus plus times more less than at least most "
    "about around approximately over under between to from if else either neither both twice half double triple "
    "quarter percent base mod of each other but nor without except pi e i x y z n k infinity inf nan none"
)
_NO_UNIT = frozenset(_NO_UNIT_WORDS.split()) | frozenset(SCALES)
_WORD = re.compile(r"[A-Za-z$€£¥¢°][A-Za-z'./$°]*")
_MAX_WORDS = 6


def canonical_unit(words: str, power: str = "") -> str | None:
    """Return one name for a unit however spelled, None when the words are no unit.

    A single letter is a unit only if it is a known one: `42x` is no quantity. `power` is the exponent after it.
    """
    tokens = [word.lower().rstrip(".") for word in words.split()]
    if not tokens or len(tokens) > _MAX_WORDS or not all(map(_WORD.fullmatch, tokens)):
        return None
    powers = [_POWERS[token] for token in tokens if token in _POWERS]
    names = [token for token in tokens if token not in _POWERS]
    if not names or any(_is_no_unit(name) for name in names) or len(powers) + bool(power) > 1:
        return None
    phrase = " ".join(names)
    unit = _PHRASES.get(phrase) or " ".join(_CANONICAL.get(name, name.removesuffix("s")) for name in names)
    return unit + "".join("^" + exponent for exponent in [*powers, power] if exponent)


def is_known_unit(word: str) -> bool:
    """True for a spelling of a unit of measure or a scale word; `apples` is none, yet may follow a number."""
    return word in _CANONICAL or word.removesuffix("s") in SCALES


def same_unit(gold: str, answer: str) -> bool:
    """True for one unit; `red apple` and `apple` are one, since a shorter name says less but nothing else."""
    if gold == answer:
        return True
    gold_words, answer_words = set(gold.split()), set(answer.split())
    return gold_words <= answer_words or answer_words <= gold_words


def _is_no_unit(name: str) -> bool:
    return name in _NO_UNIT or (len(name) == 1 and name not in _CANONICAL)
