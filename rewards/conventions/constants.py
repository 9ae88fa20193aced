r"""A float for a LaTeX constant such as `\frac{2016}{2017^{2}}`, for graders that compare constants by closeness.

Recursive descent over a bounded number of tokens; floats only, so nothing takes long and nothing is evaluated as code.
"""

import math
import re

_TOKEN = re.compile(r"\s*(?:(\d+(?:\.\d+)?)|\\(frac|sqrt|pi|cdot|times)(?![A-Za-z])|([-+*/^(){}]))")
_MAX_CHARS = 200
_MAX_BRACKETS = 40  # four calls each, far from the interpreter's limit


def constant(text: str) -> float | None:
    """Return the value of a formula of numbers, None for anything else."""
    tokens = _tokens(text) if len(text) <= _MAX_CHARS else None
    if not tokens or tokens.count("(") + tokens.count("{") > _MAX_BRACKETS:
        return None
    reader = _Reader(tokens)
    try:
        value = reader.sum()
    except (ValueError, ArithmeticError, IndexError, TypeError):
        return None
    return value if not reader.tokens and isinstance(value, float) and math.isfinite(value) else None


def _tokens(text: str) -> list[str] | None:
    tokens, end = [], 0
    while end < len(text):
        match = _TOKEN.match(text, end)
        if match is None:
            return None
        tokens.append(match[1] or match[2] or match[3])
        end = match.end()
    return tokens[::-1]  # the next one is last


class _Reader:
    """Reads a formula off the end of `tokens`; raises ValueError or IndexError where it stops being one."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens

    def sum(self) -> float:
        value = self._product()
        while self._next_is("+-"):
            value = value + self._product() if self.tokens.pop() == "+" else value - self._product()
        return value

    def _product(self) -> float:
        value = self._power()
        while self.tokens and self.tokens[-1] not in ("+", "-", ")", "}"):
            operator = self.tokens.pop() if self.tokens[-1] in ("*", "/", "cdot", "times") else "*"
            value = value / self._power() if operator == "/" else value * self._power()
        return value

    def _power(self) -> float:
        if self._next_is("-"):
            self.tokens.pop()
            return -self._power()
        base = self._atom()
        if not self._next_is("^"):
            return base
        self.tokens.pop()
        return float(base ** self._power())

    def _atom(self) -> float:
        token = self.tokens.pop()
        if token in ("(", "{"):
            value = self.sum()
            if self.tokens.pop() not in (")", "}"):
                raise ValueError
            return value
        if token == "frac":
            return self._atom() / self._atom()
        if token == "sqrt":
            return math.sqrt(self._atom())
        return math.pi if token == "pi" else float(token)

    def _next_is(self, signs: str) -> bool:
        return bool(self.tokens) and self.tokens[-1] in tuple(signs)
