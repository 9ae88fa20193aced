r"""What an answer can be, once read: expressions as trees, and the typed values built from them.

A `Node` is one vertex of an expression; sums and products are flat, so the depth of a tree is the depth of its
brackets. A `Value` is a whole answer. Equality of these types is equality of spelling; equality of meaning is
compare.py's business.
"""

from dataclasses import dataclass
from enum import Enum, auto
from fractions import Fraction
from typing import NamedTuple

from reasoning_grpo.rewards.answers.units import Unit


class Op(Enum):
    """What a node computes from its arguments."""

    NUMBER = auto()  # value: Fraction
    SYMBOL = auto()  # value: name
    PI = auto()
    E = auto()
    I = auto()  # noqa: E741 - the imaginary unit
    INFINITY = auto()
    ADD = auto()
    MUL = auto()
    NEG = auto()
    INVERSE = auto()
    POW = auto()
    ROOT = auto()  # args: radicand, degree
    FACTORIAL = auto()
    DOUBLE_FACTORIAL = auto()
    BINOMIAL = auto()
    ABS = auto()
    FLOOR = auto()
    CEIL = auto()
    LOG = auto()  # args: argument, base
    FUNCTION = auto()  # value: a name of FUNCTIONS
    APPLY = auto()  # value: the name of an unknown function, as f in f(2)
    PLUS_MINUS = auto()  # args: one term; value: "+-" or "-+"


FUNCTIONS = frozenset(
    ["sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "exp"]
)


class Node(NamedTuple):
    """One vertex of an expression."""

    op: Op
    args: tuple["Node", ...] = ()
    value: Fraction | str | None = None


@dataclass(frozen=True, slots=True)
class Quantity:
    r"""An expression with its unit; `50\%` is the number 50 with `is_percent`."""

    node: Node
    unit: Unit | None = None
    is_percent: bool = False


@dataclass(frozen=True, slots=True)
class Text:
    """Words, lower case, without articles and blanks; `letters` is False when there is more than words."""

    words: str


@dataclass(frozen=True, slots=True)
class Clock:
    """A time of day or a duration with colons; `half` is "a", "p" or "" when unsaid."""

    parts: tuple[int, ...]
    half: str


@dataclass(frozen=True, slots=True)
class Ratio:
    """`a:b` or `a:b:c` of expressions."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Based:
    """Digits with a base: `-101_2`; digits are upper case without leading zeros."""

    digits: str
    base: int


@dataclass(frozen=True, slots=True)
class Bracketed:
    """Two or more items in round or square brackets: a point, a vector or an interval."""

    opening: str
    closing: str
    items: tuple["Value", ...]


@dataclass(frozen=True, slots=True)
class Listing:
    """Items in any order: a list, a set, the two values of a plus-minus. No items: the empty set."""

    items: tuple["Value", ...]
    joiner: str = ","


@dataclass(frozen=True, slots=True)
class Combined:
    r"""Sets joined by `\\cup`, `\\cap` or `\\setminus`, from left to right."""

    operators: tuple[str, ...]
    items: tuple["Value", ...]


@dataclass(frozen=True, slots=True)
class NumberSet:
    """`\\mathbb{R}` and its kin, by letter."""

    name: str


@dataclass(frozen=True, slots=True)
class Relation:
    """A chain of comparisons: `a < b \\le c` has the operators `<` and `<=`."""

    operators: tuple[str, ...]
    sides: tuple["Value", ...]


@dataclass(frozen=True, slots=True)
class Matrix:
    """Rows of expressions; `is_determinant` for bars round it."""

    rows: tuple[tuple["Value", ...], ...]
    is_determinant: bool = False


Value = (
    Quantity | Text | Clock | Ratio | Based | Bracketed | Listing | Combined | NumberSet | Relation | Matrix
)  # fmt: skip


def number(value: Fraction | int) -> Node:
    """Return the node of a number."""
    return Node(Op.NUMBER, (), Fraction(value))


def symbol(name: str) -> Node:
    """Return the node of a variable."""
    return Node(Op.SYMBOL, (), name)


def add(terms: list[Node]) -> Node:
    """Return the sum of one or more terms."""
    return terms[0] if len(terms) == 1 else Node(Op.ADD, tuple(terms))


def multiply(factors: list[Node]) -> Node:
    """Return the product of one or more factors."""
    return factors[0] if len(factors) == 1 else Node(Op.MUL, tuple(factors))


def negate(node: Node) -> Node:
    """Return the negative; that of a number is a number, so that `-5` is one."""
    if node.op is Op.NUMBER and isinstance(node.value, Fraction):
        return Node(Op.NUMBER, (), -node.value)
    return Node(Op.NEG, (node,))


def symbols_of(node: Node) -> frozenset[str]:
    """Return the names of the variables and unknown functions in an expression."""
    found: set[str] = set()
    pending = [node]
    while pending:
        current = pending.pop()
        if current.op is Op.SYMBOL or current.op is Op.APPLY:
            found.add(str(current.value))
        pending.extend(current.args)
    return frozenset(found)


def contains(node: Node, ops: frozenset[Op]) -> bool:
    """True when a vertex of the expression is one of `ops`."""
    pending = [node]
    while pending:
        current = pending.pop()
        if current.op in ops:
            return True
        pending.extend(current.args)
    return False
