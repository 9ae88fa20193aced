r"""Are two expressions equal? Exactly where possible, else by exact evaluation at random points.

In this order: one spelling; rational numbers; values modulo primes (rational expressions in any variables); values to
hundreds of bits (roots, logarithms, angles, complex numbers). The points depend on nothing but the variables' names, so
a verdict is the same on every machine. True and False are proofs up to a probability below 1e-17; None means that none
of these can evaluate both sides. Left out: units, lists, relations (compare.py).
"""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from reasoning_grpo.rewards.approximate import approximate, as_fraction, is_same, precision_for, sample
from reasoning_grpo.rewards.evaluate import (
    PRIMES,
    NotRationalError,
    OverBudgetError,
    UndefinedError,
    exact_value,
    modular_value,
    residue,
)
from reasoning_grpo.rewards.values import Node, Op, add, contains, negate, symbols_of

_NUM_POINTS = 3
_MAX_TRIES = 24
_NUM_INTEGERS = 61  # a prime: the whole numbers at which rounding expressions are compared
_WHOLE_NUMBERS = frozenset("ijklmnpqN")
_COMPLEX = frozenset([Op.I])
_ROUNDING = frozenset([Op.FLOOR, Op.CEIL])


def same_expression(gold: Node, answer: Node) -> bool | None:
    """Return whether two expressions are equal where both are defined; raise OverBudgetError if that costs too much."""
    if gold.op is Op.NUMBER and answer.op is Op.NUMBER:
        return gold.value == answer.value
    if is_infinite(gold) or is_infinite(answer):
        return gold == answer
    budget: OverBudgetError | None = None
    for method in (_same_exactly, _same_at_integers, _same_modulo_primes, _same_approximately):
        try:
            return method(gold, answer)
        except NotRationalError:
            continue
        except UndefinedError:
            return False
        except OverBudgetError as error:
            budget = error
    if gold == answer:
        return True
    if budget is not None:
        raise budget
    return None


def is_infinite(node: Node) -> bool:
    """True for plus or minus infinity."""
    return node.op is Op.INFINITY or (node.op is Op.NEG and node.args[0].op is Op.INFINITY)


def proportional(left: Node, right: Node, *, needs_positive: bool = False) -> bool | None:
    """Return whether left = c * right for a constant c other than 0, for c > 0 with `needs_positive`."""
    first: tuple[Any, Any] | None = None
    num_points = 0
    for pair in _values_at_points(left, right):
        if first is None:
            first = pair
        if not pair[0] or not pair[1] or _differ(pair[0] * first[1], pair[1] * first[0]):
            return False
        if needs_positive and not isinstance(pair[0] / pair[1], complex) and pair[0] / pair[1] < 0:
            return False
        num_points += 1
    return True if num_points >= _NUM_POINTS else None


def real_value(node: Node) -> Fraction:
    """Return a constant, an irrational one to some 200 bits; raise NotRationalError if it is no real number."""
    try:
        return exact_value(node)
    except NotRationalError:
        if symbols_of(node):
            raise
        return as_fraction(approximate(node, {}, precision_for(node), is_real=True))


def is_near(exact: Node, rounded: Node, tolerance: float = 0.01) -> bool:
    """True when two constants differ by at most the relative tolerance of the first."""
    try:
        value, other = real_value(exact), real_value(rounded)
    except (NotRationalError, OverBudgetError, UndefinedError):
        return False
    return abs(value - other) <= abs(value) * Fraction(tolerance)


def difference(left: Node, right: Node) -> Node:
    """Return left - right."""
    return add([left, negate(right)])


def _same_exactly(gold: Node, answer: Node) -> bool:
    return exact_value(gold) == exact_value(answer)


def _same_at_integers(gold: Node, answer: Node) -> bool:
    """Compare expressions that round, where they do: n is a whole number, x has quarters too."""
    names = sorted(symbols_of(gold) | symbols_of(answer))
    if not names or not (contains(gold, _ROUNDING) or contains(answer, _ROUNDING)):
        raise NotRationalError("nothing is rounded")
    num_defined = 0
    for index in range(_NUM_INTEGERS):
        point = {name: _grid_point(name, index if len(names) == 1 else None, f"{index}:{name}") for name in names}
        try:
            left, right = _value_at(gold, point), _value_at(answer, point)
        except (UndefinedError, NotRationalError):
            continue
        if _differ(left, right):
            return False
        num_defined += 1
    if num_defined < _NUM_INTEGERS // 2:
        raise NotRationalError("not defined at whole numbers")
    return True


def _grid_point(name: str, index: int | None, seed: str) -> Fraction:
    number = residue(seed, _NUM_INTEGERS) if index is None else index
    return Fraction(number) if name in _WHOLE_NUMBERS else Fraction(number, 4)


def _same_modulo_primes(gold: Node, answer: Node) -> bool:
    names = symbols_of(gold) | symbols_of(answer)
    num_defined = 0
    for index in range(_MAX_TRIES if names else len(PRIMES)):
        prime = PRIMES[index % len(PRIMES)]
        point = {name: residue(f"{index}:{name}", prime) for name in names}
        try:
            if modular_value(gold, point, prime) != modular_value(answer, point, prime):
                return False
        except UndefinedError:
            continue
        num_defined += 1
        if num_defined == _NUM_POINTS:
            return True
    raise UndefinedError("nowhere defined")


def _same_approximately(gold: Node, answer: Node) -> bool:
    precision = precision_for(gold, answer)
    names = sorted(symbols_of(gold) | symbols_of(answer))
    if not names:
        return _same_constant(gold, answer, precision)
    is_real = not (contains(gold, _COMPLEX) or contains(answer, _COMPLEX))
    num_defined = 0
    for index in range(_MAX_TRIES):
        point = {name: sample(name, index, is_positive=not is_real or index % 2 == 0) for name in names}
        try:
            left = approximate(gold, point, precision, is_real=is_real)
            right = approximate(answer, point, precision, is_real=is_real)
        except UndefinedError:
            continue
        if not is_same(left, right, precision):
            return False
        num_defined += 1
        if num_defined == 2 * _NUM_POINTS:
            return True
    if num_defined < _NUM_POINTS:
        raise NotRationalError("nowhere defined")
    return True


def _same_constant(gold: Node, answer: Node, precision: int) -> bool:
    """Compare two constants at twice the precision as well, so that cancellation is noticed."""
    verdicts = []
    for bits in (precision, 2 * precision):
        left = approximate(gold, {}, bits, is_real=False)
        right = approximate(answer, {}, bits, is_real=False)
        verdicts.append(is_same(left, right, bits))
    return all(verdicts)


def _values_at_points(left: Node, right: Node) -> Iterator[tuple[Any, Any]]:
    """Yield the values of both expressions at points where both are defined."""
    names = symbols_of(left) | symbols_of(right)
    num_points = 0
    for index in range(_MAX_TRIES):
        point = {name: sample(name, index, is_positive=index % 2 == 0) for name in names}
        try:
            yield _value_at(left, point), _value_at(right, point)
        except UndefinedError:
            continue
        num_points += 1
        if num_points == 2 * _NUM_POINTS:
            return


def _value_at(node: Node, point: dict[str, Fraction]) -> Any:
    try:
        return exact_value(node, point)
    except NotRationalError:
        return approximate(node, point, precision_for(node), is_real=True)


def _differ(left: Any, right: Any) -> bool:
    if isinstance(left, Fraction) and isinstance(right, Fraction):
        return left != right
    if isinstance(left, Fraction) or isinstance(right, Fraction):
        context = (right if isinstance(left, Fraction) else left).context
        left, right = (_as_real(context, value) for value in (left, right))
    return not is_same(left, right, 128)


def _as_real(context: Any, value: Any) -> Any:
    return context.mpf(value.numerator) / value.denominator if isinstance(value, Fraction) else value
