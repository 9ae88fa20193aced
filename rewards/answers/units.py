r"""Units of an answer: what follows the number -> one `Unit`, and whether two units are the same.

    unit    := product (("/" | "per" | "a" | "an") product)*          meters per second, km/h, eggs a day
    product := ("square" | "cubic")? word ("^" exponent | "squared")?  …   cm^2, N m, kg\cdot m^2, man hours
             | noun phrase ("of" noun phrase)?                              red apples, cups of flour

A word of unit_table.py counts with its dimensions and size, so `5 km/h` is `5 kph` and no `5 km`; 1 km is not 1000 m,
because a different unit is wrong (label policy 5), except for cents and dollars, which one sign writes. Any other word
is a noun and its own dimension: its last word must be the same, the words before it may be missing on one side
(`red apples`, `apples`). Text that makes a claim of its own is no unit (nouns.py).
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from reasoning_grpo.rewards.answers.nouns import ALONE, MORE, TRAILING, is_claim, is_counted
from reasoning_grpo.rewards.answers.unit_table import (
    MONEY,
    NOTHING,
    PHRASES,
    Measure,
    combined,
    known_measure,
    measure,
)

_MAX_WORDS = 12
_MAX_POWER = 6
_POWERS = {"square": 2, "sq": 2, "cubic": 3, "cu": 3}
_POWERS_AFTER = {"squared": 2, "cubed": 3}
_PER = frozenset(["/", "per", "a", "an"])
_ARTICLES = frozenset(["the", "some", "any"])
_OF = frozenset(["of", "in", "on", "for", "with"])
_SIGNS = (
    (re.compile(r"\\[dt]?frac ?\{([^{}]*)\} ?\{([^{}]*)\}"), r" \1 / \2 "),
    (re.compile(r"([kMGm]?) ?\\Omega ?|([kMGm]?)Ω"), r" \1\2Ω "),
    (re.compile(r"(?:\\mu ?|µ|\\text(?:mu|micro) ?) ?(?=[A-Za-z])"), "μ"),
    (re.compile(r"\^ ?(?:\{ ?\\(?:circ|degree) ?\}|\\(?:circ|degree)(?![A-Za-z]))|\\degree(?![A-Za-z])"), " ° "),
    (re.compile(r"\^ ?\{ ?(-? ?[0-9]) ?\}"), r"^\1"),
    (re.compile(r"\\(?:cdot|times)(?![A-Za-z])|[*·.{}]|-(?=[A-Za-z])"), " "),
)
_TOKEN = re.compile(r"\^ ?-? ?[0-9]|[A-Za-zμΩÅ]+(?:'[A-Za-z]+)?|°[CF]?|[$€£¥¢₹₩/()]|\S")
_POWER = re.compile(r"\^-?[0-9]", re.ASCII)
_WORD = re.compile(r"[A-Za-zμΩÅ]+(?:'[A-Za-z]+)?|°[CF]?|[$€£¥¢₹₩]")


@dataclass(frozen=True, slots=True)
class Unit:
    """What is measured or counted.

    `modifiers` say which (`red`, `flour`). `is_counted` when a number without a unit may stand for it,
    `is_singular` when only one of it, or a part of one, may. `is_letter` for a bare `N`, which may be a variable as
    well: it is a unit only where the other side has that unit.
    """

    text: str
    measure: Measure
    modifiers: frozenset[str]
    is_counted: bool
    is_singular: bool = False
    is_letter: bool = False

    def __str__(self) -> str:
        return self.text


@lru_cache(maxsize=8_192)
def parse_unit(text: str) -> Unit | None:
    """Return the unit a text is, None for one that is no unit. Its words count, not their spelling."""
    for pattern, replacement in _SIGNS:
        text = pattern.sub(replacement, text)
    tokens = [token.replace(" ", "") for token in _TOKEN.findall(text)]
    if not tokens or len(tokens) > 2 * _MAX_WORDS:
        return None
    products = _split(tokens)
    if products is None or products == [[]]:
        return None
    parts = [_Product(words).read() for words in products]
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    total = known[0].measure
    for part in known[1:]:
        total = combined(total, part.measure, -1)
    modifiers = frozenset().union(*(part.modifiers for part in known))
    are_counted = known[0].is_counted and all(part.is_counted or part.is_singular for part in known[1:])
    return Unit(" ".join(tokens), total, modifiers, are_counted, known[0].is_singular)


def is_measure(word: str) -> bool:
    """True for a spelling of a unit of measure; `apples` is none, yet may follow a number."""
    return known_measure(word) is not None


def times(left: Unit, right: Unit) -> Unit:
    """Return the product of two units: the dollars of `\\$5 per hour`."""
    text = f"{left.text} {right.text}"
    return Unit(text, combined(left.measure, right.measure), left.modifiers | right.modifiers, right.is_counted)


def same_unit(gold: Unit, answer: Unit) -> bool:
    """True for one unit of one size; a shorter description says less but nothing else."""
    is_one = gold.measure == answer.measure or _is_pound(gold, answer) or _is_pound(answer, gold)
    return is_one and (gold.modifiers <= answer.modifiers or answer.modifiers <= gold.modifiers)


def exchange(gold: Unit, answer: Unit) -> Fraction | None:
    """Return how many of the gold's unit one of the answer's is when both are sums of one currency, else None."""
    are_one = gold.measure.dimensions == answer.measure.dimensions
    is_money = len(gold.measure.dimensions) == 1 and gold.measure.dimensions[0][0] in MONEY
    return answer.measure.size / gold.measure.size if are_one and is_money else None


def _is_pound(sterling: Unit, word: Unit) -> bool:
    """A pound is money or a weight."""
    return sterling.measure == known_measure("£") and word.text.lower() in ("pound", "pounds")


def _split(tokens: list[str]) -> list[list[str]] | None:
    """Split at `per` and `/`; brackets may stand round what is below."""
    products: list[list[str]] = [[]]
    for token in tokens:
        if token.lower() in _PER and (token.lower() in ("/", "per") or products[-1]):
            products.append([])
        elif token not in "()":
            products[-1].append(token)
    return products if all(products[1:]) and len(products) <= 4 else None


@dataclass(frozen=True, slots=True)
class _Part:
    measure: Measure
    modifiers: frozenset[str]
    is_counted: bool
    is_singular: bool


class _Product:
    """Reads the words between two `per`: known units with powers, and one noun phrase."""

    def __init__(self, words: list[str]) -> None:
        kept = [word for word in words if word.lower() not in _ARTICLES]
        if len(kept) > 1 and kept[0].lower() in MORE:
            kept = kept[1:]
        self.has_article = any(word.lower() in ("any", "some") for word in words)
        self.words = _with_phrases(kept)
        self.measure = NOTHING
        self.modifiers: set[str] = set()
        self.is_counted = True
        self.is_singular = False
        self.power = 1
        self.nouns: list[str] = []
        self.last: Measure | None = None

    def read(self) -> _Part | None:
        if not self.words:  # the amount before `per day`
            return _Part(NOTHING, frozenset(), True, False)
        for index, word in enumerate(self.words):
            rest = self.words[index + 1 :]
            if word.lower() in _OF and index and rest and rest[0][0] != "^" and self.power == 1:
                if not self.qualify(rest):
                    return None
                break
            if not self.take(word):
                return None
        if not self.finish() or self.power != 1 or (self.measure == NOTHING and not self.is_alone()):
            return None
        return _Part(self.measure, frozenset(self.modifiers), self.is_counted, self.is_singular)

    def take(self, word: str) -> bool:
        lower = word.lower()
        if lower in _POWERS_AFTER or _POWER.fullmatch(word):
            return self.raise_last(_POWERS_AFTER.get(lower) or int(word[1:]))
        if lower in _POWERS and self.power == 1 and not self.nouns:
            self.power = _POWERS[lower]
            return True
        known = known_measure(word)
        if known is None and (not _WORD.fullmatch(word) or is_claim(lower)):
            return False
        if known is None:
            self.nouns.append(lower)
        else:
            self.take_known(known)
        return True

    def take_known(self, known: Measure) -> None:
        for noun in self.nouns:  # `man hours`: the words before a unit are part of it
            self.measure = combined(self.measure, measure({noun: 1}))
        self.nouns = []
        self.multiply(known, self.power)
        self.power = 1

    def is_alone(self) -> bool:
        return len(self.words) == 1 and self.words[0].lower() in ALONE

    def multiply(self, known: Measure, power: int) -> None:
        self.measure, self.last = combined(self.measure, known, power), known

    def raise_last(self, power: int) -> bool:
        """`cm^2`: the unit before counts once already."""
        if self.last is None or self.nouns or abs(power) > _MAX_POWER or not power:
            return False
        self.measure = combined(self.measure, self.last, power - 1)
        self.last = None
        return True

    def qualify(self, words: list[str]) -> bool:
        if not words or len(words) > _MAX_WORDS or any(is_claim(w.lower()) or not _WORD.fullmatch(w) for w in words):
            return False
        self.modifiers |= {_singular(word.lower()) for word in words if word.lower() not in _OF}
        return True

    def finish(self) -> bool:
        """Settle what the words that are no known units are."""
        while self.nouns and self.nouns[-1] in TRAILING and (len(self.nouns) > 1 or self.last or self.is_alone()):
            self.nouns.pop()
        if not self.nouns:
            return True
        *before, head = self.nouns
        is_plural = is_counted(head, may_be_singular=self.has_article)
        may_be_one = is_counted(head, may_be_singular=True)
        if self.measure != NOTHING:  # `5 dollars profit`
            self.modifiers |= {_singular(word) for word in self.nouns}
            return may_be_one
        self.modifiers |= set(before)
        self.multiply(measure({_singular(head): 1}), self.power)
        self.power = 1
        self.is_counted = is_plural
        self.is_singular = may_be_one and not is_plural
        return True


def _with_phrases(words: list[str]) -> list[str]:
    """Join the words of units of two words: `light years`."""
    joined: list[str] = []
    for word in words:
        phrase = f"{joined[-1]} {word}".lower() if joined else ""
        if phrase in PHRASES:
            joined[-1] = PHRASES[phrase]
        else:
            joined.append(word)
    return joined


_IRREGULAR = {
    "people": "person", "children": "child", "men": "man", "women": "woman", "teeth": "tooth", "mice": "mouse",
    "geese": "goose", "boxes": "box", "matches": "match", "dishes": "dish", "classes": "class", "buses": "bus",
    "glasses": "glass", "inches": "inch", "batches": "batch", "vertices": "vertex", "knives": "knife", "lives": "life",
    "loaves": "loaf", "leaves": "leaf", "halves": "half", "tomatoes": "tomato", "potatoes": "potato",
}  # fmt: skip


def _singular(noun: str) -> str:
    if noun in _IRREGULAR:
        return _IRREGULAR[noun]
    if noun.endswith("ies") and len(noun) > 4:
        return noun[:-3] + "y"
    return noun[:-1] if noun.endswith("s") and not noun.endswith("ss") else noun
