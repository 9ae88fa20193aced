r"""Values of expressions with roots, logarithms and angles: high-precision numbers at fixed pseudo-random points.

Each value is computed at two precisions; where they disagree the cancellation is too strong and the precision grows, up
to `MAX_PRECISION` bits. The precision starts from the size of the numbers written, so that `\sqrt{10^{100}+1}` and
`10^{50}` differ. Arguments too large for a function are refused before it is called (`\sin(10^{10^{10}})`): operation
counts, not clocks, bound the work. mpmath is imported on the first use and only ever sees numbers made here; a lock
keeps threads apart, because its precision is state.
"""

import hashlib
import os
import threading
from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Any

from reasoning_grpo.rewards.answers.evaluate import (
    MAX_BITS,
    NotRationalError,
    OverBudgetError,
    UndefinedError,
    exact_value,
)
from reasoning_grpo.rewards.answers.values import Node, Op

MAX_PRECISION = 4_096
MAX_OPERATIONS = 3_000
_MAX_MAGNITUDE = 512  # of the binary exponent of what a transcendental function is called with


def precision_for(*nodes: Node) -> int:
    """Return the bits to compute with so that all digits written in the expressions matter."""
    bits = sum(_literal_bits(node) for node in nodes)
    precision = 192 + 4 * bits
    if precision > MAX_PRECISION:
        raise OverBudgetError("too many digits for an approximate comparison")
    return precision


def approximate(node: Node, point: Mapping[str, Fraction], precision: int, *, is_real: bool) -> Any:
    """Return the value as an mpmath number of `precision` bits.

    With `is_real` even roots and logarithms of negative numbers have no value, as for a reader of a formula in real
    variables; without, they are complex.
    """
    context = _context()
    try:
        with _lock:
            context.prec = precision
            return _Approximation(context, point, is_real).value(node)
    except (ValueError, ArithmeticError) as error:  # what mpmath raises where a function has no value
        raise UndefinedError(str(error)) from error


def is_same(left: Any, right: Any, precision: int) -> bool:
    """True when two values agree to within what `precision` bits can tell."""
    scale = max(abs(left), abs(right))
    tolerance = _context().ldexp(1, -(precision // 2))
    return bool(scale <= tolerance or abs(left - right) <= tolerance * scale)


def as_fraction(value: Any) -> Fraction:
    """Return a real mpmath number as a fraction; raise NotRationalError for a complex one."""
    if value.imag:
        raise NotRationalError("a complex number")
    sign, mantissa, exponent, _ = value.real._mpf_
    if not mantissa and exponent:
        raise UndefinedError("infinite")
    if abs(exponent) > MAX_BITS:
        raise OverBudgetError("too large")
    magnitude = Fraction(int(mantissa)) * (Fraction(2) ** int(exponent))
    return -magnitude if sign else magnitude


def sample(name: str, index: int, *, is_positive: bool) -> Fraction:
    """Return the value of a variable at point number `index`: a fraction between 1/2 and 4, perhaps negative."""
    digest = hashlib.blake2b(f"{index}:{name}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    number = int.from_bytes(digest, "big")
    value = Fraction(1, 2) + Fraction(number % 3_499, 1_000)
    return value if is_positive or number >> 63 else -value


_lock = threading.Lock()  # the context's precision is state, and the library's cached constants are not thread-safe


def _renew_lock() -> None:
    """After a fork: another thread of the parent may have held the lock."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


@lru_cache(maxsize=1)
def _context() -> Any:
    """A context of our own: the library's global one belongs to whoever else uses it."""
    import mpmath

    context = mpmath.MPContext()
    context.prec = 2 * MAX_PRECISION + 64
    for constant in (context.pi, context.e, context.ln2, context.ln10):
        context.mpf(constant)  # computed once to the most digits ever needed
    return context


def _literal_bits(node: Node) -> int:
    bits, pending = 0, [node]
    while pending:
        current = pending.pop()
        if isinstance(current.value, Fraction):
            bits += current.value.numerator.bit_length() + current.value.denominator.bit_length() - 1
        if current.op is Op.POW:
            bits += _power_bits(current)
        pending.extend(current.args)
    return bits


def _power_bits(node: Node) -> int:
    base, exponent = node.args[0].value, node.args[1].value
    if not isinstance(exponent, Fraction) or abs(exponent) <= 8:
        return 0
    size = base.numerator.bit_length() + base.denominator.bit_length() if isinstance(base, Fraction) else 2
    return int(abs(exponent) * size)


class _Approximation:
    def __init__(self, context: Any, point: Mapping[str, Fraction], is_real: bool) -> None:
        self.point = point
        self.context = context
        self.is_real = is_real
        self.num_left = MAX_OPERATIONS

    def value(self, node: Node) -> Any:
        self.num_left -= len(node.args) + 1
        if self.num_left < 0:
            raise OverBudgetError("too many operations")
        compute = _APPROXIMATE.get(node.op)
        if compute is None:
            raise NotRationalError(node.op.name)
        return compute(self, node)

    def rational(self, value: Fraction) -> Any:
        if max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_BITS:
            raise OverBudgetError("too many bits")
        return self.context.mpf(value.numerator) / value.denominator

    def number(self, node: Node) -> Any:
        return self.rational(node.value)  # type: ignore[arg-type]

    def symbol(self, node: Node) -> Any:
        return self.rational(self.point[node.value])  # type: ignore[index]

    def constant(self, node: Node) -> Any:
        if node.op is Op.I:
            return self.context.mpc(0, 1)
        return +self.context.pi if node.op is Op.PI else +self.context.e

    def add(self, node: Node) -> Any:
        return self.context.fsum([self.value(arg) for arg in node.args])

    def mul(self, node: Node) -> Any:
        product = self.context.mpf(1)
        for arg in node.args:
            product *= self.value(arg)
        return self.checked(product)

    def neg(self, node: Node) -> Any:
        return -self.value(node.args[0])

    def inverse(self, node: Node) -> Any:
        return 1 / self.nonzero(self.value(node.args[0]))

    def power(self, node: Node) -> Any:
        exponent_node = node.args[1]
        exponent = exponent_node.value if exponent_node.op is Op.NUMBER else None
        base = self.value(node.args[0])
        if isinstance(exponent, Fraction):
            return self.rational_power(base, exponent)
        return self.general_power(base, self.value(exponent_node))

    def rational_power(self, base: Any, exponent: Fraction) -> Any:
        if exponent < 0:
            base = self.nonzero(base)
        if exponent.denominator == 1:
            self.check_size(base, abs(exponent.numerator))
            return base**exponent.numerator
        if self.is_real and exponent.denominator % 2 and self.is_negative(base):
            sign = -1 if exponent.numerator % 2 else 1
            return sign * self.general_power(-base, self.rational(exponent))
        return self.general_power(base, self.rational(exponent))

    def general_power(self, base: Any, exponent: Any) -> Any:
        if not base:
            if self.context.re(exponent) > 0:
                return self.context.mpf(0)
            raise UndefinedError("0^0")
        if self.is_real and self.is_negative(base) and self.context.isint(exponent) is False:
            raise UndefinedError("a power of a negative number")
        self.check_size(base, abs(exponent))
        return self.checked(self.context.power(base, exponent))

    def root(self, node: Node) -> Any:
        degree = exact_value(node.args[1])
        if degree.denominator != 1 or not 1 <= degree <= 1_000:
            raise NotRationalError("an odd degree")
        base = self.value(node.args[0])
        is_odd = degree.numerator % 2 == 1
        if self.is_negative(base):
            if is_odd:  # the root of a formula is the real one
                return -self.context.root(-base, degree.numerator)
            if self.is_real:
                raise UndefinedError("an even root of a negative number")
        return self.context.sqrt(base) if degree == 2 else self.context.root(base, degree.numerator)

    def whole(self, node: Node) -> Any:
        """Factorials, binomials and roundings of exact numbers."""
        return self.rational(exact_value(node))

    def rounded(self, node: Node) -> Any:
        value = self.value(node.args[0])
        nearest = self.context.nint(value) if self.is_plain(value) else None
        if nearest is None or abs(value - nearest) < self.context.ldexp(1, -64):
            raise NotRationalError("rounding at a border")
        return self.context.floor(value) if node.op is Op.FLOOR else self.context.ceil(value)

    def absolute(self, node: Node) -> Any:
        return abs(self.value(node.args[0]))

    def log(self, node: Node) -> Any:
        argument, base = (self.nonzero(self.value(arg)) for arg in node.args)
        if self.is_real and (self.is_negative(argument) or self.is_negative(base)):
            raise UndefinedError("a logarithm of a negative number")
        below = self.nonzero(self.context.log(base))
        return self.context.log(argument) / below

    def function(self, node: Node) -> Any:
        argument = self.value(node.args[0])
        if self.context.mag(argument) > _MAX_MAGNITUDE or (node.value == "exp" and self.context.mag(argument) > 20):
            raise OverBudgetError("the argument of a function")
        name = {"arcsin": "asin", "arccos": "acos", "arctan": "atan"}.get(str(node.value), str(node.value))
        if name in ("asin", "acos") and self.is_real and abs(argument) > 1:
            raise UndefinedError("an inverse sine beyond 1")
        if name in _POLES:
            self.nonzero(getattr(self.context, _POLES[name])(argument))
        return getattr(self.context, name)(argument)

    def apply(self, node: Node) -> Any:
        argument = self.value(node.args[0])
        return self.rational(sample(f"{node.value}({self.context.nstr(argument, 20)})", 0, is_positive=True))

    def infinity(self, node: Node) -> Any:
        raise UndefinedError("arithmetic with infinity")

    # guards

    def is_plain(self, value: Any) -> bool:
        return isinstance(value, self.context.mpf)

    def is_negative(self, value: Any) -> bool:
        return self.is_plain(value) and value < 0

    def nonzero(self, value: Any) -> Any:
        if abs(value) <= self.context.ldexp(1, -(self.context.prec * 3 // 4)):
            raise UndefinedError("division by zero")
        return value

    def check_size(self, base: Any, exponent: Any) -> None:
        """Refuse powers whose binary exponent has more than 64 bits, and angles too large to reduce."""
        if self.context.mag(base) * exponent > 2**40 or (exponent and self.context.mag(exponent) > 64):
            raise OverBudgetError("a power")

    def checked(self, value: Any) -> Any:
        if self.context.mag(value) > 2**40 if value else False:
            raise OverBudgetError("too large")
        return value


_POLES = {"tan": "cos", "sec": "cos", "cot": "sin", "csc": "sin"}
_APPROXIMATE = {
    Op.NUMBER: _Approximation.number, Op.SYMBOL: _Approximation.symbol, Op.PI: _Approximation.constant,
    Op.E: _Approximation.constant, Op.I: _Approximation.constant, Op.ADD: _Approximation.add,
    Op.MUL: _Approximation.mul, Op.NEG: _Approximation.neg, Op.INVERSE: _Approximation.inverse,
    Op.POW: _Approximation.power, Op.ROOT: _Approximation.root, Op.FACTORIAL: _Approximation.whole,
    Op.DOUBLE_FACTORIAL: _Approximation.whole, Op.BINOMIAL: _Approximation.whole, Op.FLOOR: _Approximation.rounded,
    Op.CEIL: _Approximation.rounded, Op.ABS: _Approximation.absolute, Op.LOG: _Approximation.log,
    Op.FUNCTION: _Approximation.function, Op.APPLY: _Approximation.apply, Op.INFINITY: _Approximation.infinity,
}  # fmt: skip
