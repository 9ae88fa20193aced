r"""The value an equation gives: `x = 5` gives 5, `m + n = 7` gives 7, `40 + 2 = 42` 42, `24 = 42` none."""

from fractions import Fraction

from reasoning_grpo.rewards.answers.evaluate import NotRationalError, OverBudgetError, UndefinedError
from reasoning_grpo.rewards.answers.expressions import same_expression
from reasoning_grpo.rewards.answers.units import same_unit
from reasoning_grpo.rewards.answers.values import (
    Bracketed,
    Node,
    Op,
    Quantity,
    Relation,
    Value,
    multiply,
    number,
    symbols_of,
)

_ORDER = frozenset(["<", ">", "<=", ">=", "!="])
_NAME_OPS = frozenset([Op.SYMBOL, Op.ADD, Op.MUL, Op.NEG, Op.INVERSE, Op.ABS, Op.FUNCTION, Op.E, Op.I])


def is_inequality(relation: Relation) -> bool:
    """True when some operator is an order."""
    return not _ORDER.isdisjoint(relation.operators)


def assigned(relation: Relation) -> tuple[str, Value] | None:
    """Return the variable and its value for `x = 5`, `5 = x`, `f(x) = 2x`, `(x, y) = (1, 2)`, `x \\in S`."""
    if set(relation.operators) - {"=", "in"} or not _agree(relation.sides[1:]):
        return None
    name = _name(relation.sides[0])
    if name is not None:
        return name, relation.sides[-1]
    name = _name(relation.sides[-1])
    return None if name is None or len(relation.sides) != 2 or "in" in relation.operators else (name, relation.sides[0])


def plain_assigned(relation: Relation) -> Value | None:
    """Return the value a relation gives to anything: a variable, a sum of variables, a calculation."""
    pair = assigned(relation)
    if pair is not None:
        return pair[1]
    first = relation.sides[0]
    if set(relation.operators) != {"="} or not isinstance(first, Quantity) or not _agree(relation.sides[1:]):
        return None
    if first.node.op is not Op.NEG and _is_made_of_names(first.node):
        return None if _is_open(relation.sides[-1]) else relation.sides[-1]
    sides = [side for side in relation.sides if isinstance(side, Quantity)]
    is_calculation = any(side.node.op is not Op.NUMBER for side in sides) and not symbols_of(first.node)
    return relation.sides[-1] if is_calculation and _agree(relation.sides) else None


def last_of_worked(sides: tuple[Value, ...]) -> Value | None:
    r"""Return the last side of `\frac{28}{2} = 14`, two spellings of one number; None for anything else."""
    are_numbers = all(isinstance(side, Quantity) and side.node.op is Op.NUMBER for side in sides)
    return sides[-1] if are_numbers and _agree(sides) else None


def _name(value: Value) -> str | None:
    if isinstance(value, Quantity):
        if value.node.op is Op.SYMBOL:
            return str(value.node.value)
        return f"{value.node.value}()" if value.node.op is Op.APPLY else None
    if isinstance(value, Bracketed):
        names = [_name(item) for item in value.items]
        return None if None in names else ",".join(map(str, names))
    return None


def _agree(sides: tuple[Value, ...]) -> bool:
    """True when all sides are equal expressions in one unit, or there is only one; 50% is 0.5 as well as 50."""
    if len(sides) == 1:
        return True
    known = [side for side in sides if isinstance(side, Quantity)]
    units = [side.unit for side in known if side.unit]
    if len(known) < len(sides) or any(not same_unit(units[0], unit) for unit in units[1:]):
        return False
    nodes = [side.node for side in known]
    shares = [multiply([side.node, number(Fraction(1, 100))]) if side.is_percent else side.node for side in known]
    return _are_equal(nodes) or (len({side.is_percent for side in known}) > 1 and _are_equal(shares))


def _are_equal(nodes: list[Node]) -> bool:
    try:
        return all(same_expression(nodes[0], node) for node in nodes[1:])
    except (OverBudgetError, NotRationalError, UndefinedError):
        return False


def _is_made_of_names(node: Node) -> bool:
    """True for `m + n`, `AB`, `\\angle ABC`, `f(2)`: no number stands in it, and a variable does."""
    pending = [node]
    while pending:
        current = pending.pop()
        if current.op is Op.APPLY:
            continue
        if current.op not in _NAME_OPS:
            return False
        pending.extend(current.args)
    return bool(symbols_of(node))


def _is_open(value: Value) -> bool:
    return not isinstance(value, Quantity) or bool(symbols_of(value.node))
