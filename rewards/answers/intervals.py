r"""Sets of real numbers: intervals, unions, inequalities in one variable, complements, brought to one form.

`x > 2`, `2 < x`, `x \in (2, \infty)` and `(2, \infty)` are one set; `\mathbb{R} \setminus \{0\}` is
`(-\infty, 0) \cup (0, \infty)`; `2x > 4` is solved because it is linear. Ends that hold variables are compared in the
order written.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from reasoning_grpo.rewards.answers.evaluate import NotRationalError, OverBudgetError, UndefinedError, exact_value
from reasoning_grpo.rewards.answers.expressions import difference, is_infinite, real_value, same_expression
from reasoning_grpo.rewards.answers.relations import is_inequality
from reasoning_grpo.rewards.answers.values import (
    Bracketed,
    Combined,
    Listing,
    Node,
    NumberSet,
    Op,
    Quantity,
    Relation,
    Value,
    negate,
    number,
    symbols_of,
)

_MAX_SPANS = 50
_PLUS, _MINUS = Node(Op.INFINITY), Node(Op.NEG, (Node(Op.INFINITY),))
_FLIPPED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "!=": "!="}


@dataclass(frozen=True, slots=True)
class Span:
    """The numbers between two ends, as written: `[-\\infty, 0]` is not `(-\\infty, 0]`."""

    low: Node
    high: Node
    has_low: bool
    has_high: bool


@dataclass(frozen=True, slots=True)
class RealSet:
    """A union of spans; `variable` is "" where none is named."""

    spans: tuple[Span, ...]
    variable: str = ""


_REALS = RealSet((Span(_MINUS, _PLUS, False, False),))


def as_real_set(value: Value) -> RealSet | None:
    """Read a value as a set of real numbers, None if it is none."""
    try:
        found = _READ[type(value)](value) if type(value) in _READ else None  # type: ignore[operator]
        return None if found is None or len(found.spans) > _MAX_SPANS else _canonical(found)
    except (NotRationalError, UndefinedError):
        return None


def same_real_set(gold: RealSet, answer: RealSet) -> bool | None:
    """Compare two sets span by span; differently named variables make them different."""
    if gold.variable and answer.variable and gold.variable != answer.variable:
        return False
    if len(gold.spans) != len(answer.spans):
        return False
    findings = [_same_span(g, a) for g, a in zip(gold.spans, answer.spans, strict=True)]
    if False in findings:
        return False
    return None if None in findings else True


def _same_span(gold: Span, answer: Span) -> bool | None:
    if (gold.has_low, gold.has_high) != (answer.has_low, answer.has_high):
        return False
    ends = [same_expression(gold.low, answer.low), same_expression(gold.high, answer.high)]
    if False in ends:
        return False
    return None if None in ends else True


def _from_bracketed(value: Bracketed) -> RealSet | None:
    if len(value.items) != 2:
        return None
    low, high = value.items
    if not isinstance(low, Quantity) or not isinstance(high, Quantity):
        return None
    return RealSet((Span(low.node, high.node, value.opening == "[", value.closing == "]"),))


def _from_number_set(value: NumberSet) -> RealSet | None:
    return _REALS if value.name == "R" else None


def _from_listing(value: Listing) -> RealSet | None:
    """Points, or inequalities joined by words: `or` and a comma unite, `and` intersects."""
    if value.items and all(isinstance(item, Relation) for item in value.items):
        return _joined(value)
    points = []
    for item in value.items:
        if not isinstance(item, Quantity):
            return None
        points.append(Span(item.node, item.node, True, True))
    return RealSet(tuple(points))


def _joined(value: Listing) -> RealSet | None:
    sets = [as_real_set(item) for item in value.items]
    known = [each for each in sets if each is not None]
    if len(known) != len(sets) or len({each.variable for each in known}) > 1:
        return None
    result = known[0]
    for each in known[1:]:
        both = _intersection(result, each)
        if value.joiner == "and" or (value.joiner == "," and both.spans):
            result = both
        else:
            result = RealSet(result.spans + each.spans, result.variable)
    return result


def _from_combined(value: Combined) -> RealSet | None:
    result: RealSet | None = None
    for operator, item in zip(("cup", *value.operators), value.items, strict=True):
        each = as_real_set(item)
        if each is None:
            return None
        result = each if result is None else _apply(operator, result, each)
    return result


def _apply(operator: str, left: RealSet, right: RealSet) -> RealSet:
    if operator == "cup":
        return RealSet(left.spans + right.spans, left.variable or right.variable)
    right = _canonical(right)
    return _intersection(left, right if operator == "cap" else _complement(right))


def _from_relation(value: Relation) -> RealSet | None:
    if value.operators == ("in",):
        found, name = as_real_set(value.sides[1]), _variable(value.sides[0])
        return None if found is None or name is None else RealSet(found.spans, name)
    if not is_inequality(value):
        return None
    result: RealSet | None = None
    for index, operator in enumerate(value.operators):
        each = _from_comparison(value.sides[index], operator, value.sides[index + 1])
        if each is None or (result is not None and each.variable != result.variable):
            return None
        result = each if result is None else _intersection(result, each)
    return result


def _from_comparison(left: Value, operator: str, right: Value) -> RealSet | None:
    if not isinstance(left, Quantity) or not isinstance(right, Quantity) or operator not in _FLIPPED:
        return None
    if left.node.op is Op.ABS and not symbols_of(right.node):
        return _from_distance(left.node.args[0], operator, right.node)
    if right.node.op is Op.ABS and not symbols_of(left.node):
        return _from_distance(right.node.args[0], _FLIPPED[operator], left.node)
    name = _variable(left)
    if name is not None and name not in symbols_of(right.node):
        return _ray(name, operator, right.node)
    name = _variable(right)
    if name is not None and name not in symbols_of(left.node):
        return _ray(name, _FLIPPED[operator], left.node)
    return _solved(difference(left.node, right.node), operator)


def _from_distance(inside: Node, operator: str, bound: Node) -> RealSet | None:
    """`|x - 1| < 2` is -2 < x - 1 < 2; with `>` the inside lies on either side."""
    above = _from_comparison(Quantity(inside), operator, Quantity(bound))
    below = _from_comparison(Quantity(inside), _FLIPPED[operator], Quantity(negate(bound)))
    if above is None or below is None or operator == "!=":
        return None
    if operator.startswith("<"):
        return _intersection(above, below)
    return RealSet(above.spans + below.spans, above.variable)


def _solved(node: Node, operator: str) -> RealSet | None:
    """Solve a x + b < 0 for rational a and b."""
    names = symbols_of(node)
    if len(names) != 1:
        return None
    (name,) = names
    at_0, at_1 = (exact_value(node, {name: Fraction(x)}) for x in (0, 1))
    slope = at_1 - at_0
    others = (Fraction(7), Fraction(-5), Fraction(13, 3))
    if slope == 0 or any(exact_value(node, {name: x}) != at_0 + x * slope for x in others):
        return None
    return _ray(name, operator if slope > 0 else _FLIPPED[operator], number(-at_0 / slope))


def _ray(name: str, operator: str, end: Node) -> RealSet:
    if operator == "!=":
        return RealSet((Span(_MINUS, end, False, False), Span(end, _PLUS, False, False)), name)
    is_closed = operator.endswith("=") and not is_infinite(end)
    if operator.startswith("<"):
        return RealSet((Span(_MINUS, end, False, is_closed),), name)
    return RealSet((Span(end, _PLUS, is_closed, False),), name)


def _variable(value: Value) -> str | None:
    is_symbol = isinstance(value, Quantity) and value.node.op in (Op.SYMBOL, Op.APPLY)
    return str(value.node.value) if is_symbol and isinstance(value, Quantity) else None


def _canonical(real_set: RealSet) -> RealSet:
    """Sort the spans, drop empty ones and merge those that meet; ends that cannot be ordered stay as written."""
    if len(real_set.spans) <= 1 and not any(span.has_low for span in real_set.spans):
        return real_set
    try:
        keyed = sorted(((_key(span), span) for span in real_set.spans), key=lambda pair: pair[0])
    except (NotRationalError, OverBudgetError, TypeError):
        return real_set
    merged: list[Span] = []
    for _, span in keyed:
        if not _is_empty(span):
            _merge(merged, span)
    return RealSet(tuple(merged), real_set.variable)


def _merge(merged: list[Span], span: Span) -> None:
    if not merged:
        merged.append(span)
        return
    last = merged[-1]
    end, start = _end(last.high), _end(span.low)
    if start > end or (start == end and not (last.has_high or span.has_low)):
        merged.append(span)
        return
    new_end = _end(span.high)
    if new_end > end:
        merged[-1] = Span(last.low, span.high, last.has_low, span.has_high)
    elif new_end == end:
        merged[-1] = Span(last.low, last.high, last.has_low, last.has_high or span.has_high)


def _intersection(left: RealSet, right: RealSet) -> RealSet:
    spans = [_common(a, b) for a in left.spans for b in right.spans]
    kept = tuple(span for span in spans if not _is_empty(span))
    return RealSet(kept, left.variable or right.variable)


def _common(left: Span, right: Span) -> Span:
    low_left, low_right, high_left, high_right = map(_end, (left.low, right.low, left.high, right.high))
    low, has_low = (left.low, left.has_low) if low_left > low_right else (right.low, right.has_low)
    high, has_high = (left.high, left.has_high) if high_left < high_right else (right.high, right.has_high)
    if low_left == low_right:
        has_low = left.has_low and right.has_low
    if high_left == high_right:
        has_high = left.has_high and right.has_high
    return Span(low, high, has_low, has_high)


def _complement(real_set: RealSet) -> RealSet:
    spans: list[Span] = []
    low, has_low = _MINUS, False
    for span in real_set.spans:
        spans.append(Span(low, span.low, has_low, not span.has_low and not is_infinite(span.low)))
        low, has_low = span.high, not span.has_high and not is_infinite(span.high)
    spans.append(Span(low, _PLUS, has_low, False))
    return RealSet(tuple(span for span in spans if not _is_empty(span)), real_set.variable)


def _is_empty(span: Span) -> bool:
    try:
        low, high = _end(span.low), _end(span.high)
    except NotRationalError:
        return False
    return bool(low > high or (low == high and not (span.has_low and span.has_high)))


def _key(span: Span) -> tuple[Any, bool]:
    return _end(span.low), not span.has_low


def _end(node: Node) -> Any:
    if is_infinite(node):
        return float("inf") if node.op is Op.INFINITY else float("-inf")
    return real_value(node)


_READ = {
    Bracketed: _from_bracketed, NumberSet: _from_number_set, Listing: _from_listing, Combined: _from_combined,
    Relation: _from_relation,
}  # fmt: skip
