r"""Are two expressions equal? Exactly where possible, else by exact evaluation at random points.

In this order: one spelling; rational numbers; values modulo primes (rational expressions in any variables); values to
hundreds of bits (roots, logarithms, angles, complex numbers). The points depend on nothing but the variables' names, so
a verdict is the same on every machine. True and False are proofs up to a probability below 1e-17; None means that none
of these can evaluate both sides. Left out: units, lists, relations (compare.py).
"""

from collections.abc import Callable, Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Any

from reasoning_grpo.rewards.answers.approximate import approximate, as_fraction, is_same, precision_for, sample
from reasoning_grpo.rewards.answers.evaluate import (
    PRIMES,
    NotRationalError,
    OverBudgetError,
    UndefinedError,
    exact_value,
    modular_value,
    residue,
)
from reasoning_grpo.rewards.answers.values import Node, Op, add, contains, negate, symbols_of

_NUM_POINTS = 3
_MAX_TRIES = 24
_NUM_INTEGERS = 61  # a prime: the whole numbers at which rounding expressions are compared
_WHOLE_NUMBERS = frozenset("ijklmnpqN")
_COMPLEX = frozenset([Op.I])
_NEARLY = Fraction(1, 2**80)  # relative; approximate values have some 190 bits
_COUNTING = frozenset([Op.FACTORIAL, Op.DOUBLE_FACTORIAL, Op.BINOMIAL])
_ROUNDING = frozenset([Op.FLOOR, Op.CEIL]) | _COUNTING


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
    pairs = _values_at_points(left, right)
    for pair in pairs:
        if not pair[0] or not pair[1] or _differ(pair[0] * pairs[0][1], pair[1] * pairs[0][0]):
            return False
        if needs_positive and _is_negative(pair[0]) != _is_negative(pair[1]):
            return False
    return True if len(pairs) >= _NUM_POINTS else None


def real_value(node: Node, point: Mapping[str, Fraction] = MappingProxyType({})) -> Fraction:
    """Return a value, an irrational one to some 200 bits; raise NotRationalError if it is no real number."""
    try:
        return exact_value(node, point)
    except NotRationalError:
        if not symbols_of(node) <= point.keys():
            raise
        return as_fraction(approximate(node, point, precision_for(node), is_real=True))


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
    """Compare expressions that round or count where they do: n is a whole number, x has quarters too."""
    names = sorted(symbols_of(gold) | symbols_of(answer))
    if not names or not (contains(gold, _ROUNDING) or contains(answer, _ROUNDING)):
        raise NotRationalError("nothing is rounded")
    is_counting = contains(gold, _COUNTING) or contains(answer, _COUNTING)
    num_defined = 0
    for index in range(_NUM_INTEGERS):
        indices = {name: index if len(names) == 1 else residue(f"{index}:{name}", _NUM_INTEGERS) for name in names}
        point = {n: Fraction(i, 1 if is_counting or n in _WHOLE_NUMBERS else 4) for n, i in indices.items()}
        try:
            left, right = real_value(gold, point), real_value(answer, point)
        except (UndefinedError, NotRationalError):
            continue
        if abs(left - right) > abs(left) * _NEARLY:
            return False
        num_defined += 1
    if num_defined < _NUM_INTEGERS // 4:
        raise NotRationalError("not defined at whole numbers")
    return True


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


def _values_at_points(left: Node, right: Node) -> list[tuple[Any, Any]]:
    """Return the values of both expressions at points where both are defined: all fractions or all approximate."""
    try:
        return _values_by(exact_value, left, right)
    except NotRationalError:
        return _values_by(_real_approximation, left, right)


def _values_by(evaluate: Callable[[Node, dict[str, Fraction]], Any], left: Node, right: Node) -> list[tuple[Any, Any]]:
    names = symbols_of(left) | symbols_of(right)
    pairs: list[tuple[Any, Any]] = []
    for index in range(_MAX_TRIES):
        point = {name: sample(name, index, is_positive=index % 2 == 0) for name in names}
        try:
            pairs.append((evaluate(left, point), evaluate(right, point)))
        except UndefinedError:
            continue
        if len(pairs) == 2 * _NUM_POINTS:
            break
    return pairs


def _real_approximation(node: Node, point: dict[str, Fraction]) -> Any:
    return approximate(node, point, precision_for(node), is_real=True)


def _is_negative(value: Any) -> bool:
    if value.imag:
        raise NotRationalError("a complex number")
    return bool(value.real < 0)


def _differ(left: Any, right: Any) -> bool:
    if isinstance(left, Fraction) and isinstance(right, Fraction):
        return left != right
    return not is_same(left, right, 128)
