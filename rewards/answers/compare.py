r"""Is the answer's value the gold's value? Typed comparison of what reader.py read.

    number, expression   equal values (expressions.py); a percent sign may be a factor of 100, a unit may be left out
    list, set, union     the same items in any order, none too many
    tuple, matrix        the same items in order, the same brackets (a matrix in any brackets)
    interval             `x > 2` is `(2, \infty)`; unions are merged before they are compared
    equation             `x = 5` is `5`; two equations are equal when one is a multiple of the other
    words, times, ratios, numbers with a base: part by part

True and False are decisions, None means that the symbolic stage may know. Values of different kinds are different.
"""

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from reasoning_grpo.rewards.answers.evaluate import NotRationalError, OverBudgetError, UndefinedError
from reasoning_grpo.rewards.answers.expressions import difference, proportional, same_expression
from reasoning_grpo.rewards.answers.intervals import as_real_set, same_real_set
from reasoning_grpo.rewards.answers.relations import assigned, is_inequality, plain_assigned
from reasoning_grpo.rewards.answers.units import Unit, exchange, same_unit
from reasoning_grpo.rewards.answers.values import (
    Based,
    Bracketed,
    Clock,
    Combined,
    Listing,
    Matrix,
    Node,
    NumberSet,
    Op,
    Quantity,
    Ratio,
    Relation,
    Text,
    Value,
    multiply,
    number,
    symbols_of,
)

_Comparison = Callable[[Any, Any], bool | None]  # of two values of one type

_CHOICES = frozenset("ABCDEFGHIJ")
_MAX_COMPARISONS = 400  # of items of two lists that are no plain numbers


def same_value(gold: Value, answer: Value) -> bool | None:
    """Return whether two readings mean the same."""
    gold, answer = _simplified(gold), _simplified(answer)
    if isinstance(gold, Relation) != isinstance(answer, Relation):
        return _same_across_relation(gold, answer)
    sets = _same_sets(gold, answer)
    if sets is not None:
        return sets
    if isinstance(gold, Bracketed) and isinstance(answer, Listing):
        answer = _coordinates(answer) or answer
    if isinstance(answer, Bracketed) and isinstance(gold, Listing):
        gold = _coordinates(gold) or gold
    if isinstance(answer, Listing) and not isinstance(gold, Listing):
        return _same_in_every_form(gold, answer)
    if type(gold) is not type(answer):
        return False
    compare: _Comparison = _COMPARE[type(gold)]
    return compare(gold, answer)


def stage_of(gold: Value, answer: Value) -> str:
    """Return the name under which a decision about two readings is reported."""
    if isinstance(gold, Quantity) and isinstance(answer, Quantity):
        are_numbers = gold.node.op is Op.NUMBER and answer.node.op is Op.NUMBER
        return "number" if are_numbers else "expression"
    return _STAGES[type(gold)] if type(gold) is type(answer) else "kind"


def _simplified(value: Value) -> Value:
    """A list of one item is that item; a list of `x = 1, x = 2` is `1, 2`."""
    if isinstance(value, Listing) and len(value.items) == 1 and not isinstance(value.items[0], Listing):
        return value.items[0]
    if isinstance(value, Listing) and value.items and isinstance(value.items[0], Relation):
        return _without_names(value)
    return value


def _coordinates(listing: Listing) -> Bracketed | None:
    """Read `x = 1, y = 2` as `(1, 2)`."""
    pairs = [assigned(item) if isinstance(item, Relation) else None for item in listing.items]
    known = [pair for pair in pairs if pair is not None]
    names = [name for name, _ in known]
    if len(known) < len(pairs) or len(known) < 2 or names != sorted(set(names)) or any("(" in name for name in names):
        return None
    return Bracketed("(", ")", tuple(value for _, value in known))


def _same_in_every_form(gold: Value, answer: Listing) -> bool | None:
    """`15\\frac{39}{40}` or `\\frac{639}{40}` is one value in two forms; `7\\%` or `700\\%` are two values."""
    if not 1 < len(answer.items) <= 3:
        return False
    are_one = _same_in_order(answer.items[:1] * (len(answer.items) - 1), answer.items[1:])
    return are_one and _same_in_order([gold] * len(answer.items), answer.items)


def _without_names(listing: Listing) -> Listing:
    """Drop the variable of `x = 1, x = 2` and of `x = 1, 2`; lists in several variables keep them."""
    pairs = [assigned(item) if isinstance(item, Relation) else None for item in listing.items]
    names = {pair[0] for pair in pairs if pair is not None}
    first = pairs[0]
    if first is None or len(names) != 1:
        return listing
    if any(pair is None and isinstance(item, Relation) for pair, item in zip(pairs, listing.items, strict=True)):
        return listing
    items: list[Value] = []
    for pair, item in zip(pairs, listing.items, strict=True):
        value = item if pair is None else pair[1]
        items.extend(value.items if isinstance(value, Listing) and value.joiner == "+-" else [value])
    return Listing(tuple(items), listing.joiner)


def _same_across_relation(gold: Value, answer: Value) -> bool | None:
    """Compare a relation with what is none: `x = 5` with `5`, `x > 2` with an interval."""
    relation, other = (gold, answer) if isinstance(gold, Relation) else (answer, gold)
    assert isinstance(relation, Relation)
    if is_inequality(relation) or isinstance(other, Combined | NumberSet):
        sets = _same_sets(gold, answer)
        return False if sets is None else sets
    value = plain_assigned(relation)
    if value is None or (relation is answer and _is_between_choices(relation)):
        return False
    return same_value(value, answer) if relation is gold else same_value(gold, value)


def _is_between_choices(relation: Relation) -> bool:
    """True for `A = B`, which names two choices."""
    nodes = [side.node for side in relation.sides if isinstance(side, Quantity)]
    return len(nodes) > 1 and all(node.op is Op.SYMBOL and str(node.value) in _CHOICES for node in nodes)


def _same_sets(gold: Value, answer: Value) -> bool | None:
    """Compare two sets of real numbers; None unless at least one is written as one and both can be read as one."""
    if not (_is_set(gold) or _is_set(answer)):
        return None
    gold_set, answer_set = as_real_set(gold), as_real_set(answer)
    if gold_set is None or answer_set is None:
        return None
    if not _agree_in_units(gold, answer):
        return False
    return same_real_set(gold_set, answer_set)


def _is_set(value: Value) -> bool:
    if isinstance(value, Listing):
        return any(isinstance(item, Relation) and is_inequality(item) for item in value.items)
    return isinstance(value, Combined | NumberSet) or (isinstance(value, Relation) and is_inequality(value))


def same_quantity(gold: Quantity, answer: Quantity, is_percent_exact: bool = False) -> bool | None:
    """Compare two expressions with units and percent signs; a lone percent sign may be a factor of 100 or nothing."""
    rate = _rate(gold.unit, answer)
    if rate is None or _is_percent_against_unit(gold, answer) or _is_percent_against_unit(answer, gold):
        return False
    if rate != 1:
        return same_expression(gold.node, multiply([answer.node, number(rate)]))
    is_equal = False if is_percent_exact else same_expression(gold.node, answer.node)
    if is_equal is not False or gold.is_percent == answer.is_percent:
        return is_equal
    gold_node = _hundredth(gold.node) if gold.is_percent else gold.node
    answer_node = _hundredth(answer.node) if answer.is_percent else answer.node
    return same_expression(gold_node, answer_node)


def _rate(gold: Unit | None, answer: Quantity) -> Fraction | None:
    """Return how many of the gold's unit the answer's unit is, None when the two cannot be compared.

    A gold without a unit takes the number of anything that can be measured or counted.
    """
    unit = answer.unit
    if gold is None or unit is None:
        is_letter = any(each is not None and each.is_letter for each in (gold, unit))
        is_fine = unit is None or unit.is_counted or (unit.is_singular and _is_at_most_one(answer.node))
        return Fraction(1) if is_fine and not is_letter else None
    return Fraction(1) if same_unit(gold, unit) else exchange(gold, unit)


def _agree_in_units(gold: Value, answer: Value) -> bool:
    """True when no unit in the answer contradicts one in the gold; what is compared without them needs this."""
    gold_units, answer_units = _units_of(gold), _units_of(answer)
    if not gold_units:
        return all(unit.is_counted for unit in answer_units)
    return all(same_unit(one, other) for one in gold_units for other in answer_units)


def _units_of(value: Value) -> list[Unit]:
    if isinstance(value, Quantity):
        return [value.unit] if value.unit else []
    parts = value.sides if isinstance(value, Relation) else getattr(value, "items", ())
    return [unit for part in parts for unit in _units_of(part)]


def _is_percent_against_unit(one: Quantity, other: Quantity) -> bool:
    """A percent sign is a unit, too, where the other side has one of its own."""
    return one.is_percent and one.unit is None and other.unit is not None and not other.is_percent


def _is_at_most_one(node: Node) -> bool:
    return node.op is Op.NUMBER and isinstance(node.value, Fraction) and abs(node.value) <= 1


def _hundredth(node: Node) -> Node:
    return multiply([node, number(Fraction(1, 100))])


def _same_text(gold: Text, answer: Text) -> bool:
    return gold.words == answer.words


def _same_clock(gold: Clock, answer: Clock) -> bool:
    return gold.parts == answer.parts and len({gold.half, answer.half} - {""}) < 2


def _same_based(gold: Based, answer: Based) -> bool:
    return gold == answer


def _same_ratio(gold: Ratio, answer: Ratio) -> bool | None:
    if len(gold.parts) != len(answer.parts):
        return False
    return all_same([same_expression(g, a) for g, a in zip(gold.parts, answer.parts, strict=True)])


def _same_bracketed(gold: Bracketed, answer: Bracketed) -> bool | None:
    if (gold.opening, gold.closing, len(gold.items)) != (answer.opening, answer.closing, len(answer.items)):
        return False
    return _same_in_order(gold.items, answer.items)


def _same_matrix(gold: Matrix, answer: Matrix) -> bool | None:
    if [len(row) for row in gold.rows] != [len(row) for row in answer.rows]:
        return False
    if gold.is_determinant != answer.is_determinant:
        return False
    return all_same([_same_in_order(g, a) for g, a in zip(gold.rows, answer.rows, strict=True)])


def _same_in_order(gold: Sequence[Value], answer: Sequence[Value]) -> bool | None:
    findings: list[bool | None] = []
    for gold_item, answer_item in zip(gold, answer, strict=True):
        findings.append(same_value(gold_item, answer_item))
        if findings[-1] is False:
            return False
    return all_same(findings)


def all_same(findings: Sequence[bool | None]) -> bool | None:
    """Return the conjunction of findings of which some are unknown."""
    if False in findings:
        return False
    return None if None in findings else True


def _same_listing(gold: Listing, answer: Listing) -> bool | None:
    """Match the items one to one: plain numbers by value at once, the others pair by pair.

    Saying the same item twice adds nothing, unless the gold does so too.
    """
    if answer.joiner == "or" != gold.joiner and _num_names(answer) > 1:
        return False
    is_repeating = len(set(gold.items)) < len(gold.items)
    answer_items = answer.items if is_repeating else tuple(dict.fromkeys(answer.items))
    if len(gold.items) != len(answer_items):
        return False
    gold_numbers, gold_rest = _plain_numbers(gold.items)
    answer_numbers, answer_rest = _plain_numbers(answer_items)
    gold_rest += [
        item for value, items in (gold_numbers).items() for item in items[len(answer_numbers.get(value, [])) :]
    ]
    answer_rest += [
        item for value, items in answer_numbers.items() for item in items[len(gold_numbers.get(value, [])) :]
    ]
    if len(gold_rest) * len(answer_rest) > _MAX_COMPARISONS:
        raise OverBudgetError("a long list of expressions")
    return _matched(gold_rest, answer_rest)


def _num_names(listing: Listing) -> int:
    """Count the variables that a list gives values to: `x = 1 or y = 2` claims less than `x = 1, y = 2`."""
    pairs = [assigned(item) for item in listing.items if isinstance(item, Relation)]
    return len({pair[0] for pair in pairs if pair is not None})


def _plain_numbers(items: Sequence[Value]) -> tuple[dict[Fraction, list[Value]], list[Value]]:
    numbers: dict[Fraction, list[Value]] = {}
    rest: list[Value] = []
    for item in items:
        if isinstance(item, Quantity) and not item.unit and not item.is_percent and item.node.op is Op.NUMBER:
            assert isinstance(item.node.value, Fraction)
            numbers.setdefault(item.node.value, []).append(item)
        else:
            rest.append(item)
    return numbers, rest


def _matched(gold: Sequence[Value], answer: list[Value]) -> bool | None:
    left, is_open = list(answer), False
    for item in gold:
        findings = [_same_item(item, other) for other in left]
        if True in findings:
            left.pop(findings.index(True))
        elif None in findings:
            is_open = True
        else:
            return False
    return None if is_open else not left


def _same_item(gold: Value, answer: Value) -> bool | None:
    """A set inside a set is no item of it: `{1, {2}}` is not `{1, 2}`."""
    return False if isinstance(gold, Listing) != isinstance(answer, Listing) else same_value(gold, answer)


def _same_combined(gold: Combined, answer: Combined) -> bool | None:
    """Compare combinations of sets that are no sets of real numbers part by part."""
    if gold.operators != answer.operators:
        return False
    if set(gold.operators) == {"cup"} or set(gold.operators) == {"cap"}:
        return _matched(gold.items, list(answer.items))
    return _same_in_order(gold.items, answer.items)


def _same_number_set(gold: NumberSet, answer: NumberSet) -> bool:
    return gold == answer


def _same_relation(gold: Relation, answer: Relation) -> bool | None:
    if is_inequality(gold) or is_inequality(answer):
        return _same_chain(gold, answer)
    gold_pair, answer_pair = assigned(gold), assigned(answer)
    are_named_alike = gold_pair and answer_pair and _are_alike(gold_pair[0], answer_pair[0])
    if are_named_alike and gold_pair and answer_pair and same_value(gold_pair[1], answer_pair[1]):
        return True
    if gold.operators == answer.operators and set(gold.operators) != {"="}:
        return _same_in_order(gold.sides, answer.sides)
    gold_node, answer_node = _as_difference(gold), _as_difference(answer)
    if gold_node is None or answer_node is None or not _agree_in_units(gold, answer):
        return False
    if not symbols_of(gold_node) or not symbols_of(answer_node):
        return gold.operators == answer.operators and _same_in_order(gold.sides, answer.sides)
    return _decided(gold_node, answer_node, needs_positive=False)


def _are_alike(gold: str, answer: str) -> bool:
    """`y = 2x` and `f(x) = 2x` define one function; `x = 5` and `y = 5` are two claims."""
    return gold == answer or gold.endswith("()") or answer.endswith("()")


def _same_chain(gold: Relation, answer: Relation) -> bool | None:
    """Compare inequalities in several variables: the same chain in either direction, or one a positive multiple."""
    gold, answer = _ascending(gold), _ascending(answer)
    if gold.operators != answer.operators:
        return False
    if _same_in_order(gold.sides, answer.sides):
        return True
    gold_node, answer_node = _as_difference(gold), _as_difference(answer)
    if gold_node is None or answer_node is None:
        return False
    return _decided(gold_node, answer_node, needs_positive=gold.operators != ("!=",))


def _decided(gold: Node, answer: Node, *, needs_positive: bool) -> bool | None:
    try:
        return proportional(gold, answer, needs_positive=needs_positive)
    except (NotRationalError, UndefinedError):
        return None


def _ascending(relation: Relation) -> Relation:
    if not set(relation.operators) <= {">", ">="}:
        return relation
    operators = tuple(operator.replace(">", "<") for operator in relation.operators)
    return Relation(operators[::-1], relation.sides[::-1])


def _as_difference(relation: Relation) -> Node | None:
    """Return left - right of a relation with two sides that are expressions."""
    if len(relation.sides) != 2:
        return None
    left, right = relation.sides
    if not isinstance(left, Quantity) or not isinstance(right, Quantity):
        return None
    return difference(left.node, right.node)


_COMPARE: dict[type, _Comparison] = {
    Quantity: same_quantity, Text: _same_text, Clock: _same_clock, Based: _same_based, Ratio: _same_ratio,
    Bracketed: _same_bracketed, Matrix: _same_matrix, Listing: _same_listing, Combined: _same_combined,
    NumberSet: _same_number_set, Relation: _same_relation,
}  # fmt: skip
_STAGES = {
    Quantity: "expression", Text: "words", Clock: "clock", Based: "base", Ratio: "ratio", Bracketed: "tuple",
    Matrix: "matrix", Listing: "list", Combined: "set", NumberSet: "set", Relation: "relation",
}  # fmt: skip
