r"""Quantities: an expression with its currency, scale word, percent sign, degree sign and unit.

`\$5`, `5\text{ cm}^2`, `90^\circ`, `2 million dollars`, `18 apples`. A plus-minus sign makes a list of the values it
stands for. Which words are units is known by units.py; words that are none make the text no quantity.
"""

import re
from dataclasses import replace
from fractions import Fraction
from typing import NoReturn

from reasoning_grpo.rewards.answers.latex import Kind, Token, Tokens, UnreadableError
from reasoning_grpo.rewards.answers.notation import FUNCTION_NAMES
from reasoning_grpo.rewards.answers.numerals import scale_of
from reasoning_grpo.rewards.answers.parser import parse_expression
from reasoning_grpo.rewards.answers.specials import plain_text
from reasoning_grpo.rewards.answers.units import Unit, is_measure, parse_unit, times
from reasoning_grpo.rewards.answers.values import Listing, Node, Op, Quantity, Value, multiply, number, symbols_of

_MAX_SIGNS = 3  # of independent plus-minus signs in one item: 8 values
_CURRENCIES = frozenset("$€£¥¢₹₩")
_CURRENCY_COMMANDS = {"euro": "€", "pounds": "£", "yen": "¥"}
_UNIT_LETTERS = frozenset("mgshlLJNWVAKCFT")
_TWO_LETTERS = "cm mm km kg mg ml oz lb ft yd mi hr in"
_PLAIN_UNITS = frozenset(_TWO_LETTERS.split())  # of two letters, even without a blank
_DEGREE_ENDINGS = (
    ["^", "{", "circ", "}"], ["^", "{", "degree", "}"], ["^", "circ"], ["^", "degree"], ["degree"],
)  # fmt: skip
_PLURAL = re.compile(r"(?:\\[a-z]+ ?\{)? ?[A-Za-z]+(?:s|ves)(?![A-Za-z])")
_FONTS = ("\\text", "\\mathrm", "\\rm")
_FONT = re.compile(r"\\(?:text|mathrm)")
_PERCENT_WORDS = frozenset(["percent", "per cent", "percentage"])
_NOT_UNITS = frozenset(
    ["sin", "cos", "tan", "log", "cot", "sec", "csc", "sqrt", "exp", "arcsin", "arccos", "arctan", "cis", "and", "mod",
     "abs", "floor", "ceil", "infinity", "inf", "arctg", "sinh", "cosh", "tanh"]
)  # fmt: skip


def read_quantity(tokens: Tokens, start: int, stop: int, *, reads_letters_as_units: bool) -> Value:
    """Return the quantity a slice of tokens is (a Listing with plus-minus); raise UnreadableError if it is none.

    With `reads_letters_as_units` the `m` of `5 m` and the `kN` of `5 kN` are units, else variables.
    """
    return _QuantityReader(tokens, reads_letters_as_units).read(start, stop)


class _QuantityReader:
    def __init__(self, tokens: Tokens, reads_letters_as_units: bool) -> None:
        self.all = tokens
        self.tokens = tokens.tokens
        self.reads_letters_as_units = reads_letters_as_units

    def read(self, start: int, stop: int) -> Value:
        start, currency, is_negative = self.currency(start, stop)
        body = self.unit_start(start, stop)
        if body == start:
            raise UnreadableError("a unit without a number")
        unit, scale, is_percent = self.unit(body, stop)
        end, is_percent, sign = self.signs(start, body, is_percent)
        node = parse_expression(self.all, start, end)
        if body < stop and self.tokens[body].kind is Kind.WORD and symbols_of(node):
            raise UnreadableError("a unit after a variable")
        if unit is not None and self.tokens[body].kind is Kind.WORD and _may_be_variables(self.tokens[body].text):
            unit = replace(unit, is_letter=True)
        if scale < 1 and node != number(1) and not _PLURAL.match(self.all.text, self.tokens[body].start):
            raise UnreadableError("a share in the singular")
        node = node if scale == 1 else multiply([node, number(scale)])
        node = Node(Op.NEG, (node,)) if is_negative else node
        return _spread(Quantity(node, _joined(currency or sign, unit), is_percent))

    def currency(self, start: int, stop: int) -> tuple[int, str, bool]:
        """Skip a currency sign in front, perhaps after a sign: `-\\$5`."""
        is_negative = False
        index = start
        if index + 1 < stop and self.tokens[index].text == "-" and self.currency_at(index + 1):
            index, is_negative = index + 1, True
        name = self.currency_at(index) if index < stop else ""
        return (index + 1, name, is_negative) if name else (start, "", False)

    def currency_at(self, index: int) -> str:
        token = self.tokens[index]
        if token.kind is Kind.SIGN and token.text in _CURRENCIES:
            return token.text
        if token.kind in (Kind.TEXT, Kind.WORD) and token.text.upper() in ("USD", "EUR", "GBP"):
            return token.text.upper()
        return _CURRENCY_COMMANDS.get(token.text, "") if token.kind is Kind.COMMAND else ""

    def unit_start(self, start: int, stop: int) -> int:
        """Return where the unit begins: at the first word outside of brackets; `stop` without one."""
        index = start
        while index < stop:
            if self.is_unit_word(index, start, stop):
                return index - 1 if self.tokens[index - 1].text == "/" and index - 1 > start else index
            index = max(index, self.all.partner[index]) + 1
        return stop

    def is_unit_word(self, index: int, start: int, stop: int) -> bool:
        token = self.tokens[index]
        if token.kind is Kind.TEXT:
            return True
        if token.kind is Kind.COMMAND and index > start:
            return self.is_unit_command(index, stop)
        if token.text == "^" and index > start:
            return self.is_scale_of_degrees(index, stop)
        if token.kind is Kind.OPEN and index > start:
            return self.is_unit_group(index, stop)
        return token.kind is Kind.WORD and index > start and self.ends_value(index - 1) and self.is_bare_unit(token)

    def is_bare_unit(self, token: Token) -> bool:
        """True for a word outside of fonts; short ones may be variables, so only one of the readings takes them."""
        if len(token.text) == 1:
            return token.spaced and self.reads_letters_as_units and token.text in _UNIT_LETTERS
        if len(token.text) == 2 and token.text.lower() not in _PLAIN_UNITS:
            return token.spaced and self.reads_letters_as_units and is_measure(token.text)
        if is_measure(token.text) or scale_of(token.text.lower()) is not None:
            return True
        return token.spaced and len(token.text) >= 3 and token.text not in _NOT_UNITS

    def is_unit_command(self, index: int, stop: int) -> bool:
        r"""True for `\Omega`, the `\mu` of `\mu\text{m}`, the fraction of `\frac{\text{m}}{\text{s}}`."""
        name = self.tokens[index].text
        if name == "Omega":
            return self.tokens[index - 1].kind is Kind.NUMBER and index + 1 == stop
        if name in ("mu", "degree") and index + 1 < stop:
            return self.starts_unit(index + 1) and (name == "degree" or self.tokens[index + 1].kind is Kind.TEXT)
        is_fraction = name == "frac" and index + 6 < stop and self.all.partner[index + 1] == index + 3
        return is_fraction and bool(_FONT.match(self.all.text, self.tokens[index + 1].end))

    def is_scale_of_degrees(self, index: int, stop: int) -> bool:
        r"""True for `^\\circ\\text{C}`, not for a degree sign alone."""
        signs = [token.text for token in self.tokens[index + 1 : min(index + 4, stop)]]
        if signs[:1] == ["circ"]:
            return index + 2 < stop and self.starts_unit(index + 2)
        return signs == ["{", "circ", "}"] and index + 4 < stop and self.starts_unit(index + 4)

    def is_unit_group(self, index: int, stop: int) -> bool:
        r"""True for the group of `5\\,\\mathrm{m\\,s^{-1}}`, whose font the tokens do not show."""
        if self.tokens[index].text != "{" or self.all.partner[index] != stop - 1 or index + 1 >= stop:
            return False
        first, end = self.tokens[index + 1], self.tokens[index].start
        written = self.all.text[max(0, end - 9) : end].rstrip()
        is_read = self.reads_letters_as_units or len(first.text) > 1
        return is_read and written.endswith(_FONTS) and first.kind is Kind.WORD and is_measure(first.text)

    def starts_unit(self, index: int) -> bool:
        token = self.tokens[index]
        return token.kind is Kind.TEXT or (token.kind is Kind.WORD and token.text in ("C", "F"))

    def ends_value(self, index: int) -> bool:
        token = self.tokens[index]
        return token.kind in (Kind.NUMBER, Kind.CLOSE, Kind.WORD) or token.text in ("pi", "%", "!", "circ")

    def unit(self, start: int, stop: int) -> tuple[Unit | None, Fraction, bool]:
        """Return the unit, the scale factor and whether it is a percent sign in words."""
        written = plain_text(source(self.all, start, stop)) if start < stop else ""
        if written.lower() in _PERCENT_WORDS:
            return None, Fraction(1), True
        first, _, rest = written.partition(" ")
        scale = scale_of(first.lower().rstrip(",")) or Fraction(1)
        words = written if scale == 1 else rest.removeprefix("of ")
        if not words:
            return None, scale, False
        unit = parse_unit(words)
        return (unit, scale, False) if unit is not None else _refuse("words that are no unit")

    def signs(self, start: int, stop: int, is_percent: bool) -> tuple[int, bool, str]:
        """Take one percent, degree or currency sign off the end of the expression."""
        takes_degrees = not any(token.text in FUNCTION_NAMES for token in self.tokens[start:stop])
        texts = [token.text for token in self.tokens[max(start, stop - 4) : stop]]
        if texts and texts[-1] == "%" and not is_percent:
            return stop - 1, True, ""
        if texts and texts[-1] in _CURRENCIES:
            return stop - 1, is_percent, texts[-1]
        if takes_degrees and texts:
            for ending in _DEGREE_ENDINGS:
                if texts[-len(ending) :] == ending:
                    return stop - len(ending), is_percent, "°"
        return stop, is_percent, ""


def _may_be_variables(word: str) -> bool:
    """True for `N` and `AB`; `USD` is the name of a unit."""
    return word.isupper() and (len(word) < 3 or not is_measure(word))


def _joined(sign: str, unit: Unit | None) -> Unit | None:
    """Return the unit of `\\$5\\text{ per hour}`, and one unit where sign and words say the same."""
    signed = parse_unit(sign) if sign else None
    if signed is None or unit is None:
        return signed or unit
    return unit if unit.measure.dimensions[:1] == signed.measure.dimensions else times(signed, unit)


def source(tokens: Tokens, start: int, stop: int) -> str:
    """Return the text that a slice of tokens was made from."""
    return tokens.text[tokens.tokens[start].start : tokens.tokens[stop - 1].end]


def _refuse(what: str) -> NoReturn:
    raise UnreadableError(what)


def _spread(value: Quantity) -> Value:
    """Make a list of the values of a quantity with plus-minus signs."""
    signs = _num_signs(value.node)
    if signs == 0:
        return value
    if signs > _MAX_SIGNS:
        raise UnreadableError("too many plus-minus signs")
    nodes = [_with_signs(value.node, f"{bits:0{signs}b}", [0]) for bits in range(2**signs)]
    return Listing(tuple(Quantity(node, value.unit, value.is_percent) for node in dict.fromkeys(nodes)), "+-")


def _num_signs(node: Node) -> int:
    return (node.op is Op.PLUS_MINUS) + sum(_num_signs(arg) for arg in node.args)


def _with_signs(node: Node, bits: str, counter: list[int]) -> Node:
    """Replace the k-th plus-minus by the sign that bit k chooses; `\\mp` is the opposite."""
    if node.op is Op.PLUS_MINUS:
        is_minus = (bits[counter[0]] == "1") != (node.value == "-+")
        counter[0] += 1
        term = _with_signs(node.args[0], bits, counter)
        return Node(Op.NEG, (term,)) if is_minus else term
    if not node.args:
        return node
    return Node(node.op, tuple(_with_signs(arg, bits, counter) for arg in node.args), node.value)
