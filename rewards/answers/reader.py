r"""The text of one answer -> its possible readings as typed values.

Most texts have one reading. `1,234` has two (a number, a list), `5 m` too (metres, a variable), so `read` returns a
list, most likely first, and two answers are equal when some readings are. A text that is neither mathematics nor words
has none. Reading is pure and cached, a group of completions repeats its answers.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import NoReturn

from reasoning_grpo.rewards.answers.expressions import is_near
from reasoning_grpo.rewards.answers.latex import Commas, Kind, Tokens, UnreadableError, clean, tokenize
from reasoning_grpo.rewards.answers.parser import parse_expression
from reasoning_grpo.rewards.answers.quantity import read_quantity, source
from reasoning_grpo.rewards.answers.relations import last_of_worked
from reasoning_grpo.rewards.answers.specials import other_readings, plain_text, prepared, read_special
from reasoning_grpo.rewards.answers.values import (
    Bracketed,
    Combined,
    Listing,
    Matrix,
    NumberSet,
    Quantity,
    Ratio,
    Relation,
    Text,
    Value,
    symbol,
)
from reasoning_grpo.rewards.answers.words import read_words

_Classifier = Callable[[int], str | None]  # names the separator at an index, None for other tokens

MAX_ITEMS = 200  # of one list; a longer one is no final answer
_MAX_READINGS = 4

_BARE_COMMA = re.compile(r"[0-9],[0-9]{3}(?![0-9])")
_SPACED_COMMA = re.compile(r", ")
_NAMES = re.compile(r"[A-Za-z][A-Za-z '.-]*(?:,|\band\b)[A-Za-z ,'.-]*", re.ASCII)
_BETWEEN_NAMES = re.compile(r" ?,(?: and\b)? ?| and ")
_RELATIONS = {
    "=": "=", "<": "<", ">": ">", "le": "<=", "ge": ">=", "<=": "<=", ">=": ">=", "ne": "!=", "!=": "!=", "in": "in",
}  # fmt: skip
_UNREADABLE_SIGNS = frozenset(
    ["equiv", "sim", "cong", "to", "mapsto", "implies", "iff", "mid", "rightarrow", "Rightarrow", "propto"]
)
_SET_OPERATORS = {"cup": "cup", "cap": "cap", "setminus": "setminus"}
_JOINERS = {"and": "and", "or": "or", ",": ",", ";": ",", "&": ","}
_TEXT_JOINERS = {"and": "and", "or": "or", "or,": "or", "and,": "and", ", and": "and", ", or": "or", "or else": "or"}
_MATRICES = frozenset(["pmatrix", "bmatrix", "Bmatrix", "vmatrix", "matrix", "array", "smallmatrix"])


@lru_cache(maxsize=16_384)
def read(text: str) -> tuple[Value, ...]:
    """Return the readings of an answer, at most `_MAX_READINGS`, none for what cannot be read."""
    cleaned = prepared(clean(text).strip())
    plain = plain_text(cleaned)
    special = read_special(plain)
    if special is not None:
        return (special,)
    readings: list[Value] = []
    for commas in _ways_to_read_commas(cleaned):
        for units in (False, True):
            value = _try_read(cleaned, commas, units)
            if value is not None and value not in readings:
                readings.append(value)
    words = read_words(cleaned, plain, has_mathematics=bool(readings))
    if words is not None:
        readings = [Text(words.text)] if words.is_certain else [*readings, Text(words.text)]
    return (*readings[:_MAX_READINGS], *other_readings(plain), *_named(plain))


def _named(plain: str) -> list[Value]:
    """Read `Alice and Bob` as the list it may be as well."""
    parts = _BETWEEN_NAMES.split(plain) if _NAMES.fullmatch(plain) else []
    firsts = [read(part)[:1] for part in parts] if 1 < len(parts) <= MAX_ITEMS else []
    return [Listing(tuple(first[0] for first in firsts), "and")] if firsts and all(firsts) else []


def _ways_to_read_commas(cleaned: str) -> list[Commas]:
    if not _BARE_COMMA.search(cleaned):
        return [Commas.GROUP_OUTSIDE]
    ways = [Commas.GROUP_OUTSIDE, Commas.SPLIT]
    return [*ways, Commas.GROUP] if _SPACED_COMMA.search(cleaned) else ways


def _try_read(cleaned: str, commas: Commas, units: bool) -> Value | None:
    try:
        tokens = tokenize(cleaned, commas)
        reader = _Reader(tokens, reads_letters_as_units=units)
        return reader.statement(0, len(tokens.tokens))
    except UnreadableError:
        return None


class _Reader:
    """Reads slices `[start, stop)` of the tokens; brackets are jumped over by their partners, so it takes linear time
    per level of brackets."""

    def __init__(self, tokens: Tokens, *, reads_letters_as_units: bool) -> None:
        self.all = tokens
        self.tokens = tokens.tokens
        self.partner = tokens.partner
        self.reads_letters_as_units = reads_letters_as_units

    def statement(self, start: int, stop: int) -> Value:
        """Read a list of items, or the only item."""
        start, stop = self.trimmed(start, stop)
        pieces, joiners = self.split(start, stop, self.joiner_at)
        if _is_dangling(pieces, joiners):
            raise UnreadableError("a word that joins nothing")
        pieces = [piece for piece in pieces if piece[0] < piece[1]]
        if not pieces:
            raise UnreadableError("nothing to read")
        if len(pieces) > MAX_ITEMS:
            raise UnreadableError("too many items")
        if len(pieces) == 1:
            return self.item(*pieces[0])
        items = [self.item(*piece) for piece in pieces]
        return Listing(_flattened(items), _common_joiner(joiners))

    def trimmed(self, start: int, stop: int) -> tuple[int, int]:
        """Drop outer braces, a leading `=` and punctuation at the end."""
        while start < stop:
            first, last = self.tokens[start], self.tokens[stop - 1]
            if first.text == "{" and self.partner[start] == stop - 1 and first.kind is Kind.OPEN:
                start, stop = start + 1, stop - 1
            elif first.text in ("=", "approx") and first.kind in (Kind.SIGN, Kind.COMMAND):
                start += 1
            elif last.kind is Kind.SIGN and last.text in (",", ";", ".", ":"):
                stop -= 1
            else:
                break
        return start, stop

    def split(self, start: int, stop: int, classify: _Classifier) -> tuple[list[tuple[int, int]], list[str]]:
        """Split a slice at the tokens that `classify` names, brackets untouched."""
        pieces, names = [], []
        index = piece_start = start
        while index < stop:
            if self.partner[index] > index:
                index = self.partner[index] + 1
                continue
            name = classify(index)
            if name is not None:
                pieces.append((piece_start, index))
                names.append(name)
                piece_start = index + 1
            index += 1
        pieces.append((piece_start, stop))
        return pieces, names

    def joiner_at(self, index: int) -> str | None:
        token = self.tokens[index]
        if token.kind is Kind.TEXT:
            return _TEXT_JOINERS.get(token.text.lower())
        if token.kind in (Kind.SIGN, Kind.WORD, Kind.COMMAND):
            return _JOINERS.get(token.text)
        return None

    def relation_at(self, index: int) -> str | None:
        token = self.tokens[index]
        if token.kind is Kind.COMMAND and token.text in _UNREADABLE_SIGNS:
            raise UnreadableError(f"the relation \\{token.text}")
        return _RELATIONS.get(token.text) if token.kind in (Kind.SIGN, Kind.COMMAND) else None

    def approximation_at(self, index: int) -> str | None:
        token = self.tokens[index]
        return "approx" if token.kind is Kind.COMMAND and token.text == "approx" else None

    def set_operator_at(self, index: int) -> str | None:
        token = self.tokens[index]
        if token.kind is Kind.WORD and token.text == "U" and token.spaced:
            return "cup"
        return _SET_OPERATORS.get(token.text) if token.kind is Kind.COMMAND else None

    def colon_at(self, index: int) -> str | None:
        token = self.tokens[index]
        is_word = token.kind in (Kind.TEXT, Kind.WORD) and token.text.lower() == "to"  # "3 to 5"
        return ":" if is_word or (token.kind is Kind.SIGN and token.text == ":") else None

    def item(self, start: int, stop: int) -> Value:
        """Read one item of a list."""
        start, stop = self.trimmed(start, stop)
        if start >= stop:
            raise UnreadableError("an empty item")
        pieces, operators = self.split(start, stop, self.approximation_at)
        if operators:
            return self.approximated(pieces)
        pieces, operators = self.split(start, stop, self.relation_at)
        if operators:
            return self.relation(pieces, operators)
        pieces, operators = self.split(start, stop, self.set_operator_at)
        if operators:
            return Combined(tuple(operators), tuple(self.item(*piece) for piece in pieces))
        pieces, operators = self.split(start, stop, self.colon_at)
        if operators:
            return Ratio(tuple(parse_expression(self.all, *piece) for piece in pieces))
        return self.bracketed(start, stop) or self.special(start, stop) or self.quantity(start, stop)

    def approximated(self, pieces: list[tuple[int, int]]) -> Value:
        """`\\frac{\\sqrt{3}}{3} \\approx 0.577` is its exact side, provided that the decimals are near it."""
        if len(pieces) != 2:
            raise UnreadableError("several approximations")
        left, right = (self.item(*piece) for piece in pieces)
        exact = left.sides[-1] if isinstance(left, Relation) else left
        if not (isinstance(exact, Quantity) and isinstance(right, Quantity) and is_near(exact.node, right.node)):
            raise UnreadableError("an approximation that is none")
        return left

    def quantity(self, start: int, stop: int) -> Value:
        return read_quantity(self.all, start, stop, reads_letters_as_units=self.reads_letters_as_units)

    def relation(self, pieces: list[tuple[int, int]], operators: list[str]) -> Value:
        sides = tuple(self.side(*piece) for piece in pieces)
        is_worked = set(operators) == {"="} and len({source(self.all, *piece) for piece in pieces}) > 1
        return (last_of_worked(sides) if is_worked else None) or Relation(tuple(operators), sides)

    def side(self, start: int, stop: int) -> Value:
        """Read one side of a relation; `\\text{Area}` and `|A \\cup B|` may stand for a variable."""
        start, stop = self.trimmed(start, stop)
        if stop - start == 1 and self.tokens[start].kind is Kind.TEXT:
            return Quantity(symbol("text " + self.tokens[start].text.lower()))
        if self.is_size_of_set(start, stop):
            return Quantity(symbol("size " + source(self.all, start, stop)))
        return self.item(start, stop)

    def is_size_of_set(self, start: int, stop: int) -> bool:
        r"""True for `|A \cup B|` and `P(A \cap B)`."""
        is_between_bars = stop - start > 3 and self.tokens[start].text == self.tokens[stop - 1].text == "|"
        is_call = stop - start > 3 and self.tokens[start].kind is Kind.WORD and self.partner[start + 1] == stop - 1
        is_measured = is_between_bars or is_call
        return is_measured and any(self.set_operator_at(index) for index in range(start + 1, stop - 1))

    def bracketed(self, start: int, stop: int) -> Value | None:
        """Read a slice that is one pair of brackets round several items, or a set."""
        if self.partner[start] != stop - 1:
            return None
        first, last = self.tokens[start], self.tokens[stop - 1]
        if first.kind is Kind.BEGIN:
            return self.environment(first.text, start + 1, stop - 1)
        if first.text == r"\{":
            return self.braced(start + 1, stop - 1)
        inner = self.trimmed(start + 1, stop - 1)
        if first.text in "([" and self.is_environment(*inner):
            return self.environment("matrix", inner[0] + 1, inner[1] - 1)
        pieces, joiners = self.split(start + 1, stop - 1, self.joiner_at)
        if not joiners:
            return None if first.text + last.text in ("()", "[]", "{}") else _refuse("a half-open single value")
        if len(pieces) > MAX_ITEMS or set(joiners) - {","}:
            raise UnreadableError("no coordinates")
        return Bracketed(first.text, last.text, tuple(self.item(*piece) for piece in pieces))

    def is_environment(self, start: int, stop: int) -> bool:
        """True for one matrix without brackets of its own."""
        first = self.tokens[start]
        return first.kind is Kind.BEGIN and self.partner[start] == stop - 1 and first.text in ("array", "matrix")

    def braced(self, start: int, stop: int) -> Value:
        if start == stop:
            return Listing(())
        bar = next((i for i in range(start, stop) if self.tokens[i].text in ("|", "mid", ":")), None)
        if (bar is not None and self.tokens[bar].text != "|") or (bar is not None and self.is_set_builder(start, bar)):
            return self.statement(bar + 1, stop)  # {x : x > 2}
        value = self.statement(start, stop)
        is_inner_set = self.tokens[start].text == r"\{" and self.partner[start] == stop - 1
        return value if isinstance(value, Listing) and value.items and not is_inner_set else Listing((value,))

    def is_set_builder(self, start: int, bar: int) -> bool:
        return bar - start == 1 and self.tokens[start].kind is Kind.WORD

    def environment(self, name: str, start: int, stop: int) -> Value:
        if name not in _MATRICES:
            raise UnreadableError(f"the environment {name[:20]}")
        rows, _ = self.split(start, stop, lambda i: "row" if self.tokens[i].text in (r"\\", "cr") else None)
        if rows[-1][0] == rows[-1][1]:
            rows.pop()
        if not rows or len(rows) > MAX_ITEMS:
            raise UnreadableError("a matrix without rows")
        cells = tuple(tuple(self.item(*cell) for cell in self.split(*row, self.cell_at)[0]) for row in rows)
        return Matrix(cells, is_determinant=name == "vmatrix")

    def cell_at(self, index: int) -> str | None:
        token = self.tokens[index]
        return "cell" if token.text == "&" and token.kind is Kind.SIGN else None

    def special(self, start: int, stop: int) -> Value | None:
        """Read the empty set, a number set, a number with a base, or words inside a list."""
        text = source(self.all, start, stop)
        if stop - start == 1 and self.tokens[start].text == "emptyset":
            return Listing(())
        if stop - start == 4 and self.tokens[start].text in ("mathbb", "Bbb"):
            return NumberSet(self.tokens[start + 2].text)
        if stop - start == 2 and self.tokens[start].text in ("mathbb", "Bbb"):
            return NumberSet(self.tokens[start + 1].text)
        if start == 0 and stop == len(self.tokens):
            return None  # read as a whole already
        plain = plain_text(text)
        words = read_words(text, plain, has_mathematics=True)
        return read_special(plain) or (Text(words.text) if words is not None and words.is_certain else None)


def _is_dangling(pieces: list[tuple[int, int]], joiners: list[str]) -> bool:
    """True for `7 or` and `and 7`: half of a list, or of a doubt."""
    (first, second), (start, stop) = pieces[0], pieces[-1]
    return bool(joiners) and ((first == second and joiners[0] != ",") or (start == stop and joiners[-1] != ","))


def _refuse(what: str) -> NoReturn:
    raise UnreadableError(what)


def _flattened(items: list[Value]) -> tuple[Value, ...]:
    """A plus-minus inside a list is two items of it."""
    flat: list[Value] = []
    for item in items:
        flat.extend(item.items if isinstance(item, Listing) and item.joiner == "+-" else [item])
    return tuple(flat)


def _common_joiner(joiners: list[str]) -> str:
    for joiner in ("or", "and"):
        if joiner in joiners:
            return joiner
    return ","
