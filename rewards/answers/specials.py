r"""Notations that are no mathematics or that a preparation makes such.

Numbers with a base (`101_2`, `101 in base two`), clock times (`4:30 p.m.`), dates (`June 20th`), ordinals (`6th`),
repeating decimals in brackets (`0.1(6)`), words that name a set (`empty set`) or a number (`twenty-one`).
"""

import re
from fractions import Fraction
from itertools import pairwise

from reasoning_grpo.rewards.answers.numerals import read_numeral
from reasoning_grpo.rewards.answers.units import exchange, is_measure, parse_unit
from reasoning_grpo.rewards.answers.values import (
    Based,
    Bracketed,
    Clock,
    Listing,
    NumberSet,
    Quantity,
    Text,
    Value,
    add,
    multiply,
    number,
)

_BASE_NAMES = {
    "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10, "eleven": 11,
    "twelve": 12, "sixteen": 16,
}  # fmt: skip
_DIGITS = r"(?P<sign>-?)\(?(?P<digits>[0-9A-Fa-f]{1,200}(?:\.[0-9A-Fa-f]{1,200})?)\)?"
_BASE = r"(?P<base>[0-9]{1,2}|[a-z]{2,8})"
_BASED = re.compile(rf"{_DIGITS}_\{{?\(?{_BASE}\)?\}}?", re.ASCII)
_BASED_IN_WORDS = re.compile(rf"{_DIGITS} (?:in |\()?base[ -]?{_BASE}\)?", re.ASCII)
_CLOCK = re.compile(
    r"([0-9]{1,4}) ?: ?([0-9]{1,4})(?: ?: ?([0-9]{1,4}))? ?(?:([ap])\.? ?m\.?)?", re.IGNORECASE | re.ASCII
)
_HOUR = re.compile(r"([0-9]{1,2}) ?([ap])\.? ?m\.?", re.IGNORECASE | re.ASCII)
_MONTH_NAMES = "january february march april may june july august september october november december"
_MONTHS = (
    {name: name for name in _MONTH_NAMES.split()}
    | {name[:3]: name for name in _MONTH_NAMES.split()}
    | {"sept": "september"}
)
_MONTH_FIRST = re.compile(r"(?P<month>[a-z]{3,9})\.? (?P<day>[0-9]{1,2})(?:st|nd|rd|th)?(?:,? (?P<year>[0-9]{4}))?")
_DAY_FIRST = re.compile(
    r"(?:the )?(?P<day>[0-9]{1,2}) ?(?:st|nd|rd|th)?(?: of)? (?P<month>[a-z]{3,9})\.?(?:,? (?P<year>[0-9]{4}))?"
)
_RATIO = re.compile(r"[0-9]{1,4}(?: to [0-9]{1,4}){1,2}", re.ASCII)  # as `3:5`, which is read as a clock
_REMAINDER = re.compile(r"([0-9]{1,40}),? (?:[Rr]|with remainder|remainder) ?([0-9]{1,40})", re.ASCII)
_MIXED_PART = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?([A-Za-z]{1,20})", re.ASCII)
_MIXED = re.compile(rf"{_MIXED_PART.pattern}(?:,? (?:and )?{_MIXED_PART.pattern}){{1,3}}", re.ASCII)
_ORDINAL = re.compile(r"([0-9]{1,12}) ?(?:\^ ?\{? ?)?(st|nd|rd|th) ?\}?", re.ASCII)
_REPEATING = re.compile(
    r"(?P<sign>-?)(?P<whole>[0-9]{0,40})\.(?P<fixed>[0-9]{0,40})\((?P<cycle>[0-9]{1,40})\)", re.ASCII
)
_EMPTY_SETS = frozenset(["emptyset", "nullset", "nosolution", "nosolutions"])
_NUMBER_SETS = {"realnumbers": "R", "reals": "R", "integers": "Z", "naturalnumbers": "N", "rationalnumbers": "Q",
                "complexnumbers": "C"}  # fmt: skip
_FONT = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathit|mbox|rm|bf) ?\{([^{}]*)\}")
_SPACING = re.compile(r"\\[!,;: ]|~|\$|\\\(|\\\)")
_SOME_FONT = r"\\(?:text(?:bf|it|rm)?|math(?:rm|bf|it)|mbox) ?"
_LABEL = r"(?:[Tt]he )?(?:[Ff]inal |[Cc]orrect )?[Aa]nswer ?(?:is ?:?|:|=) ?"
# what must stand in the text, pattern, replacement
_PREPARATIONS = (
    ("\\", re.compile(rf"\A\$?{_SOME_FONT}\{{([^{{}}]*[0-9][^{{}}]*)\}}\$?\Z"), r"\1"),
    ("nswer", re.compile(rf"\A(?:{_SOME_FONT}\{{ ?{_LABEL}\}}|{_LABEL}) ?"), ""),
    (")", re.compile(r"\A\$?([A-Z])\)\$?\Z"), r"\1"),
    (")}", re.compile(rf"\A\$?{_SOME_FONT}\{{([A-Z])\)\}}\$?\Z"), r"\1"),
    ("x", re.compile(r"(?<=[0-9])(?: [xX] (?=[0-9])| ?[xX] ?(?=10 ?\^))"), r"\\times "),
    ("X", re.compile(r"(?<=[0-9]) ?X ?(?=10 ?\^)"), r"\\times "),
    ("{:}", re.compile(r"\{:\}"), ":"),
    ("\\colon", re.compile(r"\\colon(?![A-Za-z]) ?"), ":"),
    ("\\\\", re.compile(r"\\\\ ?\[ ?-?[0-9.]{1,8} ?(?:pt|em|ex|mm|cm|in) ?\]"), r"\\\\ "),
    ("\\big", re.compile(r"\\big(cup|cap)(?! ?(?:[_^A-Za-z]|\\(?:no)?limits))"), r"\\\1"),
    ("-", re.compile(r"(\\mathbb ?(?:\{[A-Z]\}|[A-Z])) ?- ?(?=\\\{)"), r"\1\\setminus "),
    ("{}", re.compile(r"(?<=[0-9])\{\}\Z"), ""),
    ("{.}", re.compile(r"(?<=[0-9])\{\.\}(?=[0-9])"), "."),
    (".\\", re.compile(r"(?<![0-9])\.(?=\\(?:overline|bar|dot)(?![A-Za-z]))"), "0."),
    ("$", re.compile(r"(?<![A-Za-z\\])(?:US|U\.S\.)[ ]?(?=\\?\$)"), ""),
    ("C", re.compile(r"(?:\{\}|(?<![\w}\])]))[ ]?_\{?([0-9]{1,4})\}?[ ]?C[ ]?_\{?([0-9]{1,4})\}?"), r"\\binom{\1}{\2}"),
)  # fmt: skip
_ENDLESS = re.compile(
    r"(?<![0-9.])(?P<whole>[0-9]{0,40})\.(?P<decimals>[0-9]{1,200}) ?(?:\.{3,8}|\\[lc]?dots(?![A-Za-z]))(?! ?[0-9])"
)
_ELLIPSIS = re.compile(r"\.{3,}")
_OUTWARD = re.compile(r"(?P<left>[\]\[])(?P<inner>[^\[\]()]{1,200},[^\[\]()]{1,200})(?P<right>[\]\[])")


def prepared(cleaned: str) -> str:
    r"""Rewrite notations that the tokens have no room for: `.\bar{5}`, `US\$5`, `{}_{10}C_3`, `]-3,3[`."""
    for needle, pattern, replacement in _PREPARATIONS:
        if needle in cleaned:
            cleaned = pattern.sub(replacement, cleaned)
    if "..." in cleaned or "dots" in cleaned:
        cleaned = _ELLIPSIS.sub(r"\\ldots ", _ENDLESS.sub(_with_cycle, cleaned))
    outward = _OUTWARD.fullmatch(cleaned) if cleaned[:1] in ("]", "[") else None
    if outward and outward["left"] + outward["right"] != "[]":
        opening, closing = "[" if outward["left"] == "[" else "(", "]" if outward["right"] == "]" else ")"
        return opening + outward["inner"] + closing
    return cleaned


def _with_cycle(endless: re.Match[str]) -> str:
    r"""Return `0.1\overline{6}` for `0.1666...`: the decimals must end with a block twice, one digit three times.

    Decimals without such an end, as in `1.414...`, name no number, so their dots stay.
    """
    decimals = endless["decimals"]
    for length in range(1, len(decimals) // 2 + 1):
        block = decimals[-length:]
        if decimals.endswith(block * (3 if length == 1 else 2)):
            return f"{endless['whole'] or '0'}.{_before(decimals, block)}\\overline{{{block}}}"
    return endless[0]


def _before(decimals: str, block: str) -> str:
    """Return the decimals before the blocks at their end."""
    while decimals.endswith(block):
        decimals = decimals.removesuffix(block)
    return decimals


def plain_text(cleaned: str) -> str:
    r"""Return the text with `\text{…}` unwrapped and spacing commands dropped."""
    return re.sub(r" {2,}", " ", _FONT.sub(r" \1 ", _SPACING.sub(" ", cleaned))).strip(" .,;")


def read_special(plain: str) -> Value | None:
    """Read what has a notation of its own and can be nothing else."""
    if "\\" in plain:
        return None
    based = _read_based(plain)
    if based is not None and not any(digit.islower() for digit in plain.partition("_")[0].partition(" ")[0]):
        return based
    clock = _CLOCK.fullmatch(plain) if ":" in plain else None
    if clock:
        return Clock(tuple(int(part) for part in clock.groups()[:3] if part), (clock[4] or "").lower())
    if plain.lower() == plain.upper():  # no letters
        return _read_repeating(plain, is_sure=True)
    hour = _HOUR.fullmatch(plain)
    if hour:
        return Clock((int(hour[1]), 0), hour[2].lower())
    remainder = _REMAINDER.fullmatch(plain)
    if remainder:
        return Text(f"{int(remainder[1])} remainder {int(remainder[2])}")
    return _read_mixed(plain) or _read_date(plain.lower()) or _read_ordinal(plain)


def other_readings(plain: str) -> list[Value]:
    """Return what a text may mean besides: hexadecimal digits in lower case, `0.1(6)`, words for numbers and sets."""
    if "\\" in plain or plain.isdigit():
        return []
    words = plain.lower()
    named = "".join(word for word in words.split() if word not in ("a", "an", "the", "all", "set", "of"))
    found: list[Value | None] = [_read_based(plain), _read_repeating(plain, is_sure=False)]
    if words.replace(" ", "").removeprefix("the") in _EMPTY_SETS:
        found.append(Listing(()))
    elif named in _NUMBER_SETS:
        found.append(NumberSet(_NUMBER_SETS[named]))
    if _RATIO.fullmatch(words):
        found.append(Clock(tuple(int(part) for part in words.split(" to ")), ""))
    if words[:1].isalpha() and len(words) < 120:
        found.append(_read_numeral(words))
    return [value for value in found if value is not None]


def _read_based(plain: str) -> Based | None:
    if "_" in plain:
        match = _BASED.fullmatch(plain.replace(" ", ""))
    else:
        match = _BASED_IN_WORDS.fullmatch(plain) if "base" in plain else None
    if match is None:
        return None
    base = int(match["base"]) if match["base"].isdigit() else _BASE_NAMES.get(match["base"], 0)
    digits = match["digits"]
    if any(digit.islower() for digit in digits) and not (digits[0].isdigit() and 10 < base <= 16):
        return None  # a_{16} is a term of a sequence
    digits = digits.rstrip("0").rstrip(".") if "." in digits else digits
    return Based(match["sign"] + (digits.upper().lstrip("0") or "0"), base)


def _read_date(words: str) -> Text | None:
    match = _MONTH_FIRST.fullmatch(words) or _DAY_FIRST.fullmatch(words)
    month = _MONTHS.get(match["month"]) if match else None
    if match is None or month is None or not 1 <= int(match["day"]) <= 31:
        return None
    return Text(f"{int(match['day'])} {month} {match['year'] or ''}")


def _read_numeral(words: str) -> Quantity | None:
    """Read `twenty-one` and `five apples`."""
    tokens = words.split()
    for length in range(len(tokens), 0, -1):
        value = read_numeral(" ".join(tokens[:length]))
        unit = parse_unit(" ".join(tokens[length:])) if value is not None and length < len(tokens) else None
        if value is not None and (unit is not None or length == len(tokens)):
            return Quantity(number(value), unit)
    return None


def _read_mixed(plain: str) -> Bracketed | Quantity | None:
    """Read `5 feet 6 inches` and `2 hours and 30 minutes`: amounts in ever smaller units, in order.

    Dollars and cents are one sum, since they are written as one.
    """
    if not _MIXED.fullmatch(plain):
        return None
    parts = [(number(Fraction(amount)), parse_unit(word)) for amount, word in _MIXED_PART.findall(plain)]
    units = [unit.measure for _, unit in parts if unit is not None and is_measure(unit.text)]
    are_one = len(units) == len(parts) and len({unit.dimensions for unit in units}) == 1
    if not are_one or any(left.size <= right.size for left, right in pairwise(units)):
        return None
    rate = exchange(parts[0][1], parts[-1][1]) if parts[0][1] and parts[-1][1] else None
    if rate is not None and len(parts) == 2:
        return Quantity(add([parts[0][0], multiply([parts[1][0], number(rate)])]), parts[0][1])
    return Bracketed("", "", tuple(Quantity(node, unit) for node, unit in parts))


def _read_ordinal(plain: str) -> Quantity | None:
    """`6th` is 6 and `sixth` is none: that may be a share."""
    match = _ORDINAL.fullmatch(plain)
    if match is None:
        return None
    is_teen = match[1][-2:] in ("11", "12", "13")
    ending = "th" if is_teen else {"1": "st", "2": "nd", "3": "rd"}.get(match[1][-1], "th")
    return Quantity(number(int(match[1]))) if match[2] == ending else None


def _read_repeating(plain: str, *, is_sure: bool) -> Quantity | None:
    """`0.(5)` repeats for sure, `0.1(6)` may be a product."""
    match = _REPEATING.fullmatch(plain) if plain.endswith(")") else None
    if match is None or is_sure == bool(match["fixed"]):
        return None
    shift = 10 ** len(match["fixed"])
    base = Fraction(int((match["whole"] + match["fixed"]) or "0"), shift)
    value = base + Fraction(int(match["cycle"]), (10 ** len(match["cycle"]) - 1) * shift)
    return Quantity(number(-value if match["sign"] else value))
