"""Numbers in words: `twenty-one`, `three hundred and fifty`, `one half`; which words are numbers or shares at all."""

import re
from fractions import Fraction

_SMALL_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_SMALL = {word: value for value, word in enumerate(_SMALL_WORDS.split())}
_TENS_WORDS = "twenty thirty forty fifty sixty seventy eighty ninety"
_TENS = {word: 10 * value for value, word in enumerate(_TENS_WORDS.split(), 2)}
_LARGE = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_ORDINAL_WORDS = (
    "third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth sixteenth "
    "seventeenth eighteenth nineteenth"
)
SHARES = {word: Fraction(1, value) for value, word in enumerate(_ORDINAL_WORDS.split(), 3)} | {
    "half": Fraction(1, 2), "twentieth": Fraction(1, 20), "thirtieth": Fraction(1, 30), "fortieth": Fraction(1, 40),
    "fiftieth": Fraction(1, 50), "hundredth": Fraction(1, 100), "thousandth": Fraction(1, 1000),
    "millionth": Fraction(1, 10**6), "billionth": Fraction(1, 10**9), "trillionth": Fraction(1, 10**12),
}  # fmt: skip
SCALES: dict[str, Fraction] = {
    "hundred": Fraction(100), "dozen": Fraction(12), "lakh": Fraction(10**5), "crore": Fraction(10**7),
} | {word: Fraction(value) for word, value in _LARGE.items()} | SHARES  # fmt: skip
NUMBER_WORDS = frozenset([*_SMALL, *_TENS, *SCALES, "quarter"])
_MAX_WORDS = 16
_SPACE = re.compile(r"[ -]+")


def scale_of(word: str) -> Fraction | None:
    """Return the factor a word after a number is: `million`, `dozen`, `tenths`, `halves`; None for other words."""
    return SCALES.get("half" if word == "halves" else word.removesuffix("s"))


def read_numeral(words: str) -> Fraction | None:
    """Return the number that lower-case words spell, None for any other words (`two one`, `twice`)."""
    tokens = [word for word in _SPACE.split(words.strip()) if word]
    if not 1 <= len(tokens) <= _MAX_WORDS:
        return None
    is_negative = tokens[0] in ("minus", "negative")
    tokens = tokens[is_negative:]
    value = _fraction(tokens) if tokens else None
    return -value if value is not None and is_negative else value


def _fraction(tokens: list[str]) -> Fraction | None:
    if not tokens:
        return None
    if tokens == ["half"] or tokens == ["a", "half"]:
        return Fraction(1, 2)
    if "and" in tokens[1:-1]:
        middle = len(tokens) - 1 - tokens[::-1].index("and")
        whole, rest = _whole(tokens[:middle]), _fraction(tokens[middle + 1 :])
        if whole is not None and rest is not None and 0 < rest < 1:
            return whole + rest
    share = Fraction(1, 4) if tokens[-1] in ("quarter", "quarters") else scale_of(tokens[-1])
    if share is None or share >= 1 or len(tokens) == 1:
        whole = _whole(tokens)
        return None if whole is None else Fraction(whole)
    count = _whole(tokens[:-1])
    is_plural = tokens[-1].endswith("s")
    return count * share if count is not None and is_plural == (count != 1) else None


def _whole(tokens: list[str]) -> int | None:
    """Read thousands group by group, each larger than the next."""
    total, group, last = 0, [], 10**15
    for token in tokens:
        if token not in _LARGE:
            group.append(token)
            continue
        below = _below_thousand(group)
        if not below or _LARGE[token] >= last:
            return None
        total, group, last = total + below * _LARGE[token], [], _LARGE[token]
    if not group:
        return total or None
    rest = _below_thousand(group[1:] if group[0] == "and" and total else group)
    return None if rest is None or (total and not rest) else total + rest


def _below_thousand(tokens: list[str]) -> int | None:
    if len(tokens) >= 2 and tokens[1] == "hundred":
        hundreds = _SMALL.get(tokens[0], 0)
        rest = tokens[3:] if tokens[2:3] == ["and"] else tokens[2:]
        below = 0 if len(tokens) == 2 else _below_hundred(rest)
        return None if not 1 <= hundreds <= 9 or below is None or (rest and not below) else 100 * hundreds + below
    return _below_hundred(tokens)


def _below_hundred(tokens: list[str]) -> int | None:
    if len(tokens) == 1:
        return _SMALL.get(tokens[0], _TENS.get(tokens[0]))
    if len(tokens) == 2 and tokens[0] in _TENS and 1 <= _SMALL.get(tokens[1], 0) <= 9:
        return _TENS[tokens[0]] + _SMALL[tokens[1]]
    return None
