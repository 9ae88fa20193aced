r"""Tokens -> one expression: a recursive-descent parser for the mathematics of final answers.

    sum     := ["+" | "-" | "\pm"] product (("+" | "-" | "\pm" | "\mp") product)*
    product := power (("\cdot" | "\times" | "*" | "/" | nothing) power)*
    power   := atom postfix* ["^" exponent]

An exponent of several digits needs no braces (`10^50`), `\frac12` takes single digits, `3\frac{1}{2}` and `3 1/2` are
mixed numbers, `f(2)` is an unknown function's value while `n(n+1)` is a product, and `\sin 2x` ends at the next
function or operator. Everything else raises UnreadableError. Depth is bounded by `latex.MAX_DEPTH` brackets plus
`_MAX_CHAIN` prefixes; time is linear in the tokens.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import NoReturn

from reasoning_grpo.rewards.answers.cursor import Cursor
from reasoning_grpo.rewards.answers.latex import Kind, Token, Tokens, UnreadableError
from reasoning_grpo.rewards.answers.notation import (
    ACCENTS,
    APPLIED,
    BARE_ACCENTS,
    CONSTANTS,
    FENCES,
    FUNCTION_NAMES,
    GREEK,
    LOGARITHMS,
    ROUNDINGS,
    TIMES,
    WORDS,
)
from reasoning_grpo.rewards.answers.values import Node, Op, add, multiply, negate, number, symbol

_MAX_CHAIN = 60  # of nested calls without a bracket: `--1`, `x^x^x`, `\sqrt\sqrt 2`
_MAX_PRODUCT = 4  # letters in a row that may be factors; more are a word
_MAX_DIGITS = 2_000  # int() of n digits costs n², and Python itself refuses 4,300


def parse_expression(tokens: Tokens, start: int, end: int) -> Node:
    """Return the expression that the tokens from `start` to `end` make; raise UnreadableError if they make none."""
    return _Parser(tokens, start, end).inside(start, end)


class _Parser(Cursor):
    """The grammar above, one method each; `chain` counts nested calls."""

    def __init__(self, tokens: Tokens, start: int, end: int) -> None:
        super().__init__(tokens, start, end)
        self.chain = 0
        self.in_bars = 0
        self.in_function = False

    # sums and products

    def sum(self) -> Node:
        self.chain += 1
        if self.chain > _MAX_CHAIN:
            raise UnreadableError("nested too deeply")
        terms = [self.signed_product()]
        while self.is_sign("+", "-", "pm", "mp"):
            terms.append(self.signed_product())
        self.chain -= 1
        return add(terms)

    def signed_product(self) -> Node:
        is_negative, spread = False, ""
        while self.is_sign("+", "-", "pm", "mp"):
            text = self.take().text
            if text in ("pm", "mp") and spread:
                raise UnreadableError("two plus-minus signs in a row")
            spread = {"pm": "+-", "mp": "-+"}.get(text, spread)
            is_negative ^= text == "-"
        node = self.product()
        node = negate(node) if is_negative else node
        return Node(Op.PLUS_MINUS, (node,), spread) if spread else node

    def product(self) -> Node:
        factors = [self.power()]
        while True:
            if self.skip(*TIMES):
                factors.append(self.signed_power())
            elif self.skip("/"):
                factors.append(Node(Op.INVERSE, (self.signed_power(),)))
            elif self.starts_factor():
                factors.append(self.power())
            else:
                return multiply(factors)

    def signed_power(self) -> Node:
        is_negative = False
        while self.is_sign("+", "-"):
            is_negative ^= self.take().text == "-"
        node = self.power()
        return negate(node) if is_negative else node

    def starts_factor(self) -> bool:
        token = self.peek()
        if token is None:
            return False
        if token.kind in (Kind.NUMBER, Kind.WORD):
            return True
        if token.kind is Kind.OPEN:
            return token.text in ("(", "{", "[")
        if token.kind is Kind.COMMAND:
            return token.text in _PREFIXES or token.text in GREEK
        return token.text == "|" and not self.in_bars

    # powers and atoms

    def power(self) -> Node:
        token = self.peek()
        base = self.mixed_or_atom()
        while True:
            if self.skip("!"):
                base = Node(Op.DOUBLE_FACTORIAL if self.skip("!") else Op.FACTORIAL, (base,))
            elif self.is_sign("^", "**"):
                base = self.raised(base)
            elif self.skip("degree"):
                base = self.degrees(base)
            elif self.is_sign("'") and token is not None and token.kind is Kind.WORD:
                self.take()
                base = symbol(f"{base.value}'") if base.op is Op.SYMBOL else _refuse("a prime")
            else:
                return base

    def raised(self, base: Node) -> Node:
        self.take()
        if self.skip("circ", "degree"):
            return self.degrees(base)
        token = self.peek()
        if token is not None and token.text == "{" and self.is_circ_group():
            self.position = self.partner[self.position] + 1
            return self.degrees(base)
        return Node(Op.POW, (base, self.exponent()))

    def is_circ_group(self) -> bool:
        inner = self.tokens[self.position + 1 : self.partner[self.position]]
        return not self.pending and [token.text for token in inner] in (["circ"], ["degree"])

    def degrees(self, base: Node) -> Node:
        """Inside a function an angle is in radians; elsewhere the degree sign is a unit, which reader.py handles."""
        if not self.in_function:
            raise UnreadableError("a degree sign inside an expression")
        return multiply([base, Node(Op.PI), number(Fraction(1, 180))])

    def exponent(self) -> Node:
        self.chain += 1
        if self.chain > _MAX_CHAIN:
            raise UnreadableError("nested too deeply")
        is_negative = False
        while self.is_sign("+", "-"):
            is_negative ^= self.take().text == "-"
        node = self.atom()
        while self.skip("!"):
            node = Node(Op.FACTORIAL, (node,))
        if self.is_sign("^", "**"):
            node = self.raised(node)
        self.chain -= 1
        return negate(node) if is_negative else node

    def mixed_or_atom(self) -> Node:
        """Read `3 1/2` and `3\\frac{1}{2}` as one number."""
        first = self.peek()
        node = self.atom()
        if first is None or first.kind is not Kind.NUMBER or not first.text.isdigit() or self.pending:
            return node
        if self.is_sign("frac") and self.position < self.end:
            return self.mixed_fraction(node)
        following = self.tokens[self.position : min(self.position + 3, self.end)]
        if len(following) == 3 and following[0].spaced and _is_plain_fraction(following):
            self.position += 3
            return number(node.value + Fraction(int(following[0].text), int(following[2].text)))  # type: ignore[operator]
        return node

    def mixed_fraction(self, whole: Node) -> Node:
        before = self.position
        fraction = self.atom()
        if not isinstance(fraction.value, Fraction) or fraction.value <= 0 or self.is_sign("^", "!"):
            self.position, self.pending = before, []
            return whole
        return number(whole.value + fraction.value)  # type: ignore[operator]

    def atom(self) -> Node:
        token = self.take()
        if token.kind is Kind.NUMBER:
            return self.number(token)
        if token.kind is Kind.WORD:
            return self.word(token)
        if token.kind is Kind.OPEN:
            return self.group(token)
        if token.kind is Kind.COMMAND:
            return self.command(token)
        if token.text == "|":
            return self.bars()
        raise UnreadableError(f"unexpected {token.text[:20]!r}")

    def number(self, token: Token) -> Node:
        mantissa, _, power = token.text.partition("e")
        whole, _, decimals = mantissa.partition(".")
        if len(token.text) > _MAX_DIGITS:
            raise UnreadableError("too many digits")
        if self.is_sign("overline", "bar", "dot") and "." in mantissa:
            return self.repeating(whole, decimals)
        exponent = int(power or "0") - len(decimals)
        digits = int((whole + decimals) or "0")
        return number(digits * 10**exponent if exponent >= 0 else Fraction(digits, 10**-exponent))

    def repeating(self, whole: str, decimals: str) -> Node:
        self.take()
        digits = "".join(token.text for token in self.group_tokens())
        if not digits.isdigit() or len(digits) > 200:
            raise UnreadableError("a bar over what are no digits")
        following = self.peek()
        if following is not None and following.kind is Kind.NUMBER:
            raise UnreadableError("digits after digits without an end")
        base = Fraction(int((whole + decimals) or "0"), 10 ** len(decimals))
        return number(base + Fraction(int(digits), (10 ** len(digits) - 1) * 10 ** len(decimals)))

    def group(self, token: Token) -> Node:
        if token.text == r"\{":
            raise UnreadableError("a set inside an expression")
        start, stop = self.position, self.partner[self.position - 1]
        if self.tokens[stop].text != {"(": ")", "[": "]", "{": "}"}[token.text]:
            raise UnreadableError("an interval inside an expression")
        self.position = stop + 1
        return self.inside(start, stop)

    def inside(self, start: int, stop: int) -> Node:
        index = start
        while index < stop:
            if self.tokens[index].kind is Kind.COMMAND and self.tokens[index].text in ("choose", "over"):
                return self.infix(start, index, stop)
            index = max(index, self.partner[index]) + 1  # brackets are jumped over
        inner = _Parser(self.source, start, stop)
        inner.chain, inner.in_function = self.chain, self.in_function
        node = inner.sum()
        if inner.peek() is not None:
            raise UnreadableError(f"unexpected {inner.text()[:20]!r}")
        return node

    def infix(self, start: int, middle: int, stop: int) -> Node:
        """Read `{n \\choose k}` and `{a \\over b}`."""
        top, bottom = self.inside(start, middle), self.inside(middle + 1, stop)
        if self.tokens[middle].text == "choose":
            return Node(Op.BINOMIAL, (top, bottom))
        return multiply([top, Node(Op.INVERSE, (bottom,))])

    def bars(self) -> Node:
        self.in_bars += 1
        node = self.sum()
        self.in_bars -= 1
        if not self.skip("|"):
            raise UnreadableError("unbalanced bars")
        return Node(Op.ABS, (node,))

    # words: function names and products of letters

    def word(self, token: Token) -> Node:
        if len(token.text) == 1:
            return self.letter(token)
        for name in WORDS:
            if token.text.startswith(name):
                self.push_rest(token, len(name))
                return self.named(name)
        if len(token.text) > _MAX_PRODUCT:
            raise UnreadableError(f"the word {token.text[:20]!r}")
        self.push_rest(token, 1)
        return self.letter(Token(Kind.WORD, token.text[0], token.start, token.start + 1, token.spaced))

    def letter(self, token: Token) -> Node:
        if self.is_sign("_"):
            return symbol(f"{token.text}_{self.subscript()}")
        following = self.peek()
        is_call = following is not None and following.text == "(" and not following.spaced and not self.pending
        if is_call and token.text == "C" and self.has_arguments():
            return self.combinations()
        if is_call and token.text in APPLIED:
            return self.applied(token.text)
        return {"e": Node(Op.E), "i": Node(Op.I)}.get(token.text) or symbol(token.text)

    def has_arguments(self) -> bool:
        inner = self.tokens[self.position + 1 : self.partner[self.position]]
        return sum(token.text == "," for token in inner) == 1

    def combinations(self) -> Node:
        """Read `C(10, 3)`."""
        start, stop = self.position + 1, self.partner[self.position]
        comma = next(index for index in range(start, stop) if self.tokens[index].text == ",")
        self.position = stop + 1
        return Node(Op.BINOMIAL, (self.inside(start, comma), self.inside(comma + 1, stop)))

    def applied(self, name: str) -> Node:
        start, stop = self.position + 1, self.partner[self.position]
        if any(self.tokens[index].text in (",", ";") for index in range(start, stop)):
            raise UnreadableError("a function of several arguments")
        self.position = stop + 1
        return Node(Op.APPLY, (self.inside(start, stop),), name)

    def subscript(self) -> str:
        self.take()
        return "".join(token.text for token in self.group_tokens())[:40]

    def named(self, name: str) -> Node:
        """Read what follows the name of a constant or function."""
        if name in CONSTANTS:
            return CONSTANTS[name]
        if name in ("sqrt", "cbrt"):
            return self.root() if name == "sqrt" else Node(Op.ROOT, (self.argument(), number(3)))
        if name in LOGARITHMS:
            return self.logarithm(name)
        if name in ROUNDINGS:
            return Node(ROUNDINGS[name], (self.argument(),))
        if name == "cis":
            angle = self.argument()
            return Node(Op.POW, (Node(Op.E), multiply([Node(Op.I), angle])))
        return self.function(FUNCTION_NAMES[name])

    def function(self, name: str) -> Node:
        exponent = self.function_exponent()
        argument = self.argument()
        if exponent == number(-1) and name in ("sin", "cos", "tan"):
            return Node(Op.FUNCTION, (argument,), "arc" + name)
        node = Node(Op.FUNCTION, (argument,), name)
        return node if exponent is None else Node(Op.POW, (node, exponent))

    def function_exponent(self) -> Node | None:
        if not self.is_sign("^", "**"):
            return None
        self.take()
        return self.exponent()

    def logarithm(self, name: str) -> Node:
        base = Node(Op.E) if name == "ln" else number(10)
        if self.skip("_"):
            base = self.exponent()
        exponent = self.function_exponent()
        node = Node(Op.LOG, (self.argument(), base))
        return node if exponent is None else Node(Op.POW, (node, exponent))

    def argument(self) -> Node:
        """A bracket, or the factors up to the next operator or function: `\\sin 2x \\cos y` is a product of two."""
        self.chain += 1
        if self.chain > _MAX_CHAIN:
            raise UnreadableError("nested too deeply")
        was_in_function, self.in_function = self.in_function, True
        token = self.peek()
        if token is not None and token.kind is Kind.OPEN:
            node = self.atom()
        else:
            factors = [self.signed_power()]
            while self.starts_factor() and not self.starts_function():
                factors.append(self.power())
            node = multiply(factors)
        self.in_function = was_in_function
        self.chain -= 1
        return node

    def starts_function(self) -> bool:
        text = self.text()
        return text in FUNCTION_NAMES or text in LOGARITHMS or text in ("(", "[") or text.startswith(("sin", "cos"))

    # commands

    def command(self, token: Token) -> Node:
        name = token.text
        if name in GREEK:
            return self.greek(name)
        if name in _COMMANDS:
            return _COMMANDS[name](self)
        if name in FENCES:
            return self.fence(*FENCES[name])
        if name in ACCENTS:
            return self.accented(name)
        if name in CONSTANTS or name in FUNCTION_NAMES or name in LOGARITHMS:
            return self.named(name)
        raise UnreadableError(f"unknown command \\{name[:20]}")

    def greek(self, name: str) -> Node:
        return symbol(f"\\{name}_{self.subscript()}" if self.is_sign("_") else f"\\{name}")

    def fraction(self) -> Node:
        top, bottom = self.short_argument(), self.short_argument()
        if isinstance(top.value, Fraction) and isinstance(bottom.value, Fraction) and bottom.value:
            return number(top.value / bottom.value)
        return multiply([top, Node(Op.INVERSE, (bottom,))])

    def binomial(self) -> Node:
        return Node(Op.BINOMIAL, (self.short_argument(), self.short_argument()))

    def root(self) -> Node:
        token = self.peek()
        degree = self.group(self.take()) if token is not None and token.text == "[" else number(2)
        token = self.peek()
        if token is not None and token.kind is Kind.WORD and len(token.text) > 1:
            return Node(Op.ROOT, (self.short_argument(), degree))
        return Node(Op.ROOT, (self.root_argument(), degree))

    def root_argument(self) -> Node:
        self.chain += 1
        if self.chain > _MAX_CHAIN:
            raise UnreadableError("nested too deeply")
        node = self.atom()
        self.chain -= 1
        return node

    def short_argument(self) -> Node:
        """A group, a command, one letter or one digit: `\\frac12` is a half."""
        token = self.peek()
        if token is not None and token.kind is Kind.NUMBER and len(token.text) > 1:
            self.take()
            self.pending.append(token._replace(text=token.text[1:], start=token.start + 1, spaced=False))
            return number(int(token.text[0]) if token.text[0].isdigit() else _refuse("a point"))
        if token is not None and token.kind is Kind.WORD and len(token.text) > 1:
            self.take()
            self.push_rest(token, 1)
            return self.letter(token._replace(text=token.text[0]))
        return self.root_argument()

    def fence(self, closing: str, op: Op) -> Node:
        node = self.sum()
        if not self.skip(closing):
            raise UnreadableError(f"no \\{closing}")
        return Node(op, (node,))

    def accented(self, name: str) -> Node:
        letters = "".join(token.text for token in self.group_tokens())
        if not letters.isalpha() or len(letters) > 8:
            raise UnreadableError(f"\\{name} over an expression")
        is_plain = name in BARE_ACCENTS and len(letters) == 1
        return symbol(letters if is_plain else f"\\{name}{{{letters}}}")

    def angle(self) -> Node:
        letters = "".join(token.text for token in self.group_tokens())
        return symbol("\\angle " + letters[:20])


_COMMANDS: dict[str, Callable[[_Parser], Node]] = {
    "frac": _Parser.fraction,
    "binom": _Parser.binomial,
    "sqrt": _Parser.root,
    "angle": _Parser.angle,
}
_PREFIXES = frozenset([*_COMMANDS, *FENCES, *ACCENTS, *CONSTANTS, *FUNCTION_NAMES, *LOGARITHMS])


def _refuse(what: str) -> NoReturn:
    raise UnreadableError(f"{what} is out of place")


def _is_plain_fraction(tokens: list[Token]) -> bool:
    top, slash, bottom = tokens
    are_digits = top.text.isdigit() and bottom.text.isdigit()
    return slash.text == "/" and are_digits and bottom.text.strip("0") != ""
