r"""Quantities: an expression with its currency, scale word, percent sign, degree sign and unit.

`\$5`, `5\text{ cm}^2`, `90^\circ`, `2 million dollars`, `18 apples`. A plus-minus sign makes a list of the values it
stands for. Which words are units is known by units.py; words that are none make the text no quantity.
"""

from typing import NoReturn

from reasoning_grpo.rewards.answers.latex import Kind, Tokens, UnreadableError
from reasoning_grpo.rewards.answers.notation import FUNCTION_NAMES
from reasoning_grpo.rewards.answers.parser import parse_expression
from reasoning_grpo.rewards.answers.specials import plain_text
from reasoning_grpo.rewards.answers.units import SCALES, canonical_unit, is_known_unit
from reasoning_grpo.rewards.answers.values import Listing, Node, Op, Quantity, Value, multiply, number

_MAX_SIGNS = 3  # of independent plus-minus signs in one item: 8 values
_CURRENCIES = frozenset("$€£¥")
_CURRENCY_COMMANDS = {"euro": "€", "pounds": "£", "yen": "¥"}
_PERCENT_WORDS = frozenset(["percent", "per cent", "percentage"])
_NOT_UNITS = frozenset(
    ["sin", "cos", "tan", "log", "cot", "sec", "csc", "sqrt", "exp", "arcsin", "arccos", "arctan", "cis", "and", "mod",
     "abs", "floor", "ceil", "infinity", "inf", "arctg", "sinh", "cosh", "tanh"]
)  # fmt: skip


def read_quantity(tokens: Tokens, start: int, stop: int, *, reads_letters_as_units: bool) -> Value:
    """Return the quantity a slice of tokens is (a Listing with plus-minus); raise UnreadableError if it is none.

    With `reads_letters_as_units` the `m` of `5 m` is a unit, else a variable.
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
        body, is_percent, has_degree = self.signs(start, body, is_percent)
        node = parse_expression(self.all, start, body)
        node = node if scale == 1 else multiply([node, number(scale)])
        node = Node(Op.NEG, (node,)) if is_negative else node
        units = [name for name in ("degree" if has_degree else "", unit, currency) if name]
        value = Quantity(node, " ".join(dict.fromkeys(units)), is_percent)
        return _spread(value)

    def currency(self, start: int, stop: int) -> tuple[int, str, bool]:
        """Skip a currency sign in front, perhaps after a sign: `-\\$5`."""
        is_negative = False
        index = start
        if index + 1 < stop and self.tokens[index].text == "-" and self.currency_at(index + 1):
            index, is_negative = index + 1, True
        name = self.currency_at(index) if index < stop else ""
        if not name:
            return start, "", False
        return index + 1, canonical_unit(name) or name, is_negative

    def currency_at(self, index: int) -> str:
        token = self.tokens[index]
        if token.kind is Kind.SIGN and token.text in _CURRENCIES:
            return token.text
        if token.kind in (Kind.TEXT, Kind.WORD) and token.text.upper() in ("USD", "EUR", "GBP"):
            return token.text
        return _CURRENCY_COMMANDS.get(token.text, "") if token.kind is Kind.COMMAND else ""

    def unit_start(self, start: int, stop: int) -> int:
        """Return where the unit begins: the first word that only units and their powers follow; `stop` without one."""
        index = stop
        while index > start and self.is_unit_part(index - 1, start):
            index -= 1
        while index < stop and not self.is_unit_word(index, start):
            index += 1
        return index

    def is_unit_part(self, index: int, start: int) -> bool:
        token = self.tokens[index]
        if self.is_unit_word(index, start):
            return True
        if token.kind in (Kind.NUMBER, Kind.OPEN, Kind.CLOSE):
            return self.is_exponent(index)
        return token.text in ("^", "/", ".", "circ", "cdot", "%", "-", "$") and index > start

    def is_exponent(self, index: int) -> bool:
        """True for `2` of `cm^2` and each token of `{2}` in `cm^{2}`."""
        for back in (1, 2, 3):
            if index - back >= 1 and self.tokens[index - back].text == "^":
                return self.is_unit_word(index - back - 1, 0) and (
                    back > 1 or self.tokens[index].kind is not Kind.CLOSE
                )
        return False

    def is_unit_word(self, index: int, start: int) -> bool:
        token = self.tokens[index]
        if token.kind is Kind.TEXT:
            return True
        if token.kind is not Kind.WORD or index == start:
            return False
        if len(token.text) == 1:
            return token.spaced and self.reads_letters_as_units and is_known_unit(token.text)
        if is_known_unit(token.text.lower()):
            return token.spaced or len(token.text) > 1
        return token.spaced and len(token.text) >= 3 and token.text not in _NOT_UNITS

    def unit(self, start: int, stop: int) -> tuple[str, int, bool]:
        """Return the unit, the scale factor and whether it is a percent sign in words."""
        words = plain_text(source(self.all, start, stop)).lower() if start < stop else ""
        if words in _PERCENT_WORDS:
            return "", 1, True
        scale = 1
        first, _, rest = words.partition(" ")
        if first.removesuffix("s") in SCALES:
            scale, words = SCALES[first.removesuffix("s")], rest
        words, _, power = words.partition("^")
        if not words:
            return ("", scale, False) if not power else _refuse("an exponent")
        unit = canonical_unit(words.replace("\\cdot", " ").strip(), power.strip("{ }."))
        return (unit, scale, False) if unit is not None else _refuse("words that are no unit")

    def signs(self, start: int, stop: int, is_percent: bool) -> tuple[int, bool, bool]:
        """Take percent and degree signs off the end of the expression."""
        has_degree = False
        takes_degrees = not any(token.text in FUNCTION_NAMES for token in self.tokens[start:stop])
        while stop > start:
            texts = [token.text for token in self.tokens[max(start, stop - 4) : stop]]
            if texts[-1] == "%":
                stop, is_percent = stop - 1, True
            elif not takes_degrees:
                break
            elif texts[-1] == "degree" and texts[-2:-1] != ["^"]:
                stop, has_degree = stop - 1, True
            elif texts[-2:] in (["^", "circ"], ["^", "degree"]):
                stop, has_degree = stop - 2, True
            elif texts in (["^", "{", "circ", "}"], ["^", "{", "degree", "}"]):
                stop, has_degree = stop - 4, True
            elif texts[-1] in _CURRENCIES:
                stop -= 1
            else:
                break
        return stop, is_percent, has_degree


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
