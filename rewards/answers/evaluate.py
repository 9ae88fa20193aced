r"""Values of expressions, exactly: as a rational number, or modulo a prime at a point.

`exact_value` computes with Fractions under a budget of bits: `a^b` of more than `MAX_BITS` bits is refused before it is
computed, whatever the machine. `modular_value` computes modulo a prime of 61 bits with the variables replaced by
residues: two rational expressions that agree at random points are equal (Schwartz 1980, Zippel 1979; with three points
a false agreement has a probability below (degree / 2^61)^3), and powers far beyond the budget cost nothing there.
"""

import hashlib
import math
from collections.abc import Mapping
from fractions import Fraction
from types import MappingProxyType

from reasoning_grpo.rewards.answers.values import Node, Op

MAX_BITS = 100_000  # of any intermediate number
MAX_OPERATIONS = 5_000  # per expression
PRIMES = (2305843009213693951, 2305843009213693921, 2305843009213693907)  # the three largest below 2^61


class UndefinedError(Exception):
    """The expression has no value there: division by zero, infinity in a sum."""


class NotRationalError(Exception):
    """The expression is not of the kind this evaluation handles."""


class OverBudgetError(Exception):
    """Computing it would need more bits or operations than allowed, on any machine."""


def exact_value(node: Node, point: Mapping[str, Fraction] = MappingProxyType({})) -> Fraction:
    """Return the rational value of an expression, its variables as `point` says; raise one of the exceptions above."""
    return _Exact(point).value(node)


def modular_value(node: Node, point: Mapping[str, int], prime: int) -> int:
    """Return the value modulo `prime` where each variable has the residue `point` gives it."""
    return _Modular(point, prime).value(node)


def residue(seed: str, prime: int) -> int:
    """Return a residue that looks random and is the same on every machine."""
    digest = hashlib.blake2b(seed.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    return int.from_bytes(digest, "big") % (prime - 2) + 2


class _Exact:
    def __init__(self, point: Mapping[str, Fraction]) -> None:
        self.point = point
        self.num_left = MAX_OPERATIONS

    def value(self, node: Node) -> Fraction:
        op = node.op
        if op is Op.NUMBER:
            return node.value  # type: ignore[return-value]
        self.num_left -= len(node.args) + 1
        if self.num_left < 0:
            raise OverBudgetError("too many operations")
        compute = _EXACT.get(op)
        if compute is None:
            raise NotRationalError(op.name)
        return compute(self, node)

    def add(self, node: Node) -> Fraction:
        total = Fraction(0)
        for arg in node.args:
            total = _checked(total + self.value(arg))
        return total

    def mul(self, node: Node) -> Fraction:
        product = Fraction(1)
        for arg in node.args:
            product = _checked(product * self.value(arg))
        return product

    def neg(self, node: Node) -> Fraction:
        return -self.value(node.args[0])

    def inverse(self, node: Node) -> Fraction:
        value = self.value(node.args[0])
        if value == 0:
            raise UndefinedError("division by zero")
        return 1 / value

    def power(self, node: Node) -> Fraction:
        base, exponent = self.value(node.args[0]), self.value(node.args[1])
        if exponent.denominator == 1:
            return _integer_power(base, exponent.numerator)
        root = exact_root(base, exponent.denominator)
        return _integer_power(root, exponent.numerator)

    def root(self, node: Node) -> Fraction:
        degree = self.value(node.args[1])
        if degree.denominator != 1 or not 1 <= degree <= 1_000:
            raise NotRationalError("an odd degree")
        return exact_root(self.value(node.args[0]), degree.numerator)

    def factorial(self, node: Node) -> Fraction:
        step = 2 if node.op is Op.DOUBLE_FACTORIAL else 1
        number = _natural(self.value(node.args[0]))
        if number * max(1, number.bit_length() - 1) > MAX_BITS * step:
            raise OverBudgetError("a factorial")
        return Fraction(math.factorial(number) if step == 1 else math.prod(range(number, 0, -2)))

    def binomial(self, node: Node) -> Fraction:
        n, k = _natural(self.value(node.args[0])), _natural(self.value(node.args[1]))
        if min(k, max(0, n - k)) * max(1, n.bit_length()) > MAX_BITS:
            raise OverBudgetError("a binomial")
        return Fraction(math.comb(n, k))

    def absolute(self, node: Node) -> Fraction:
        return abs(self.value(node.args[0]))

    def floor(self, node: Node) -> Fraction:
        return Fraction(math.floor(self.value(node.args[0])))

    def ceil(self, node: Node) -> Fraction:
        return Fraction(math.ceil(self.value(node.args[0])))

    def symbol(self, node: Node) -> Fraction:
        if node.value not in self.point:
            raise NotRationalError("a variable")
        return self.point[str(node.value)]

    def infinity(self, node: Node) -> Fraction:
        raise UndefinedError("arithmetic with infinity")


_EXACT = {
    Op.ADD: _Exact.add, Op.MUL: _Exact.mul, Op.NEG: _Exact.neg, Op.INVERSE: _Exact.inverse, Op.POW: _Exact.power,
    Op.ROOT: _Exact.root, Op.FACTORIAL: _Exact.factorial, Op.DOUBLE_FACTORIAL: _Exact.factorial,
    Op.BINOMIAL: _Exact.binomial, Op.ABS: _Exact.absolute, Op.FLOOR: _Exact.floor, Op.CEIL: _Exact.ceil,
    Op.INFINITY: _Exact.infinity, Op.SYMBOL: _Exact.symbol,
}  # fmt: skip


class _Modular:
    """Computes in a prime field; exponents are exact integers, taken modulo prime - 1."""

    def __init__(self, point: Mapping[str, int], prime: int) -> None:
        self.point = point
        self.prime = prime
        self.exact = _Exact({})

    def value(self, node: Node) -> int:
        op = node.op
        if op is Op.NUMBER:
            value: Fraction = node.value  # type: ignore[assignment]
            return value.numerator * self.inverted(value.denominator) % self.prime
        if op is Op.SYMBOL:
            return self.point[node.value]  # type: ignore[index]
        compute = _MODULAR.get(op)
        if compute is None:
            raise NotRationalError(op.name)
        return compute(self, node)

    def inverted(self, value: int) -> int:
        if value == 1:
            return 1
        value %= self.prime
        if value == 0:
            raise UndefinedError("division by zero")
        return pow(value, -1, self.prime)

    def add(self, node: Node) -> int:
        return sum(map(self.value, node.args)) % self.prime

    def mul(self, node: Node) -> int:
        product = 1
        for arg in node.args:
            product = product * self.value(arg) % self.prime
        return product

    def neg(self, node: Node) -> int:
        return -self.value(node.args[0]) % self.prime

    def inverse(self, node: Node) -> int:
        return self.inverted(self.value(node.args[0]))

    def power(self, node: Node) -> int:
        exponent = self.exact.value(node.args[1])
        if exponent.denominator != 1:
            raise NotRationalError("a root")
        base = self.value(node.args[0])
        if base == 0 and exponent <= 0:
            raise UndefinedError("0^0")
        return pow(base, exponent.numerator % (self.prime - 1), self.prime)

    def constant(self, node: Node) -> int:
        value = self.exact.value(node)
        return value.numerator * self.inverted(value.denominator) % self.prime

    def apply(self, node: Node) -> int:
        return residue(f"{node.value}({self.value(node.args[0])})", self.prime)


_MODULAR = {
    Op.ADD: _Modular.add, Op.MUL: _Modular.mul, Op.NEG: _Modular.neg, Op.INVERSE: _Modular.inverse,
    Op.POW: _Modular.power, Op.FACTORIAL: _Modular.constant, Op.DOUBLE_FACTORIAL: _Modular.constant,
    Op.BINOMIAL: _Modular.constant, Op.ROOT: _Modular.constant, Op.ABS: _Modular.constant,
    Op.FLOOR: _Modular.constant, Op.CEIL: _Modular.constant, Op.APPLY: _Modular.apply,
}  # fmt: skip


def exact_root(base: Fraction, degree: int) -> Fraction:
    """Return the real root if it is rational; raise NotRationalError otherwise."""
    if base < 0:
        raise NotRationalError("a root of a negative number")
    return Fraction(_integer_root(base.numerator, degree), _integer_root(base.denominator, degree))


def _integer_root(number: int, degree: int) -> int:
    if number < 2 or degree == 1:
        return number
    if degree == 2:
        root = math.isqrt(number)
    elif number.bit_length() > 4_096 or degree > number.bit_length():
        raise NotRationalError("a root")
    else:
        root = _newton_root(number, degree)
    if root**degree != number:
        raise NotRationalError("an irrational root")
    return root


def _newton_root(number: int, degree: int) -> int:
    root = 1 << -(-number.bit_length() // degree)
    while True:
        smaller = ((degree - 1) * root + number // root ** (degree - 1)) // degree
        if smaller >= root:
            return root
        root = smaller


def _integer_power(base: Fraction, exponent: int) -> Fraction:
    if base == 0 and exponent <= 0:
        raise UndefinedError("0^0 or division by zero")
    if abs(base) == 1:
        return base if exponent % 2 else Fraction(1)
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    if bits * abs(exponent) > MAX_BITS:
        raise OverBudgetError("a power")
    return base**exponent


def _natural(value: Fraction) -> int:
    if value.denominator != 1 or value < 0:
        raise NotRationalError("a factorial of what is no natural number")
    return value.numerator


def _checked(value: Fraction) -> Fraction:
    if value.numerator.bit_length() + value.denominator.bit_length() > 2 * MAX_BITS:
        raise OverBudgetError("too many bits")
    return value
