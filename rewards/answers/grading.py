r"""(gold, answer) -> equal, different, or left to the symbolic stage: everything that is decided in this process.

    text        the same spelling, formatting aside
    number, expression, list, tuple, …   typed values compared exactly (reader.py, compare.py)
    kind        two values of different kinds, such as a number and a list
    undecided   both were read, but no method can evaluate them
    unread      an answer that is no mathematics and no words of the gold's kind
    budget      an answer too large to compute on any machine
    size        an answer too long to be one

Pure, bounded by operation counts, cached: the answers of a group repeat.
"""

import re
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache

from reasoning_grpo.rewards.answers.compare import same_quantity, same_value, stage_of
from reasoning_grpo.rewards.answers.evaluate import NotRationalError, OverBudgetError, UndefinedError
from reasoning_grpo.rewards.answers.expressions import is_near
from reasoning_grpo.rewards.answers.latex import clean
from reasoning_grpo.rewards.answers.reader import read
from reasoning_grpo.rewards.answers.values import Op, Quantity, Value

MAX_ANSWER_CHARS = 2_000  # the longest MATH gold has 159; beyond this only an identical spelling passes

_INTEGER = re.compile(r"[+-]?[0-9]{1,300}", re.ASCII)
_SPACING = re.compile(
    r"\\[,;:!> ]|\\(?:left|right|displaystyle|[bB]igg?[lrm]?|quad|qquad)(?![A-Za-z])|[\s$~]|\\[()\[\]]"
)
_BETWEEN_DIGITS = re.compile(r"(?<=[0-9])[ ~]{1,64}(?=[0-9])")
_SHORT_MODULUS = re.compile(r"\\pmod\{([0-9a-z])\}")
_FRACTION = re.compile(r"\\[dtc]frac")
_FONT = re.compile(r"\\(?:text(?:bf|it|rm|normal)?|math(?:rm|bf|it)|mbox|hbox)(?=\{)")
_OPERATORS = re.compile(
    r"\\(?:sum|prod|int|iint|oint|lim|gcd|lcm|det|max|min|sup|inf|bmod|pmod|mod|operatorname)(?![A-Za-z])"
    r"|(?<![A-Za-z])(?:lcm|gcd|mod|det|max|min)(?![A-Za-z])|\\begin\{(?:vmatrix|cases)\}"
)
_TEXT = re.compile(r"\\(?:text(?:bf|it|rm|normal|sf)?|math(?:rm|bf|it|sf)|mbox|hbox) ?\{[^{}]*\}")
_RELATIONS = re.compile(
    r"[<>=≠≈±?%$€£¥¢]|\\(?:le|ge|leq|geq|ne|neq|approx|equiv|sim|pm|mp|l?dots|in|to|cong|propto|mid)(?![A-Za-z])"
)
_DIGITS = re.compile(r"[0-9]+")
_INDEX = re.compile(r"_ ?\{[^{}]*\}")  # the `k=1` below a sum
_LONG_WORD = re.compile(r"(?<![A-Za-z\\])[A-Za-z]{4,}")
_WORD = re.compile(r"[A-Za-z]+")


class Finding(Enum):
    """What became of a comparison."""

    EQUAL = auto()
    DIFFERENT = auto()
    OVER_BUDGET = auto()
    OPEN = auto()  # the symbolic stage may know
    UNREADABLE_GOLD = auto()


@dataclass(frozen=True, slots=True)
class Decision:
    """A finding, the stage that came to it, and for a person why."""

    finding: Finding
    stage: str
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Where people differ; the defaults are the label policy. correctness.py describes each."""

    relative_tolerance: float = 0.0
    percent: str = "loose"
    units: str = "optional"
    literal: bool = False

    def __post_init__(self) -> None:
        if self.percent not in ("loose", "exact"):
            raise ValueError(f"`percent` is 'loose' or 'exact', not {self.percent!r}")
        if self.units not in ("optional", "required"):
            raise ValueError(f"`units` is 'optional' or 'required', not {self.units!r}")
        if not 0.0 <= self.relative_tolerance < 1.0:
            raise ValueError(f"`relative_tolerance` lies in [0, 1), not {self.relative_tolerance!r}")


DEFAULT = Policy()
_EQUAL_TEXT = Decision(Finding.EQUAL, "text", "the same spelling")


@lru_cache(maxsize=65_536)
def decide(gold: str, answer: str, policy: Policy = DEFAULT) -> Decision:
    """Compare an answer with a gold, both without surrounding decoration."""
    if gold == answer:
        return _EQUAL_TEXT
    if _INTEGER.fullmatch(gold) and _INTEGER.fullmatch(answer):
        return _of(int(gold) == int(answer), "number", gold, answer)
    if max(len(gold), len(answer)) > MAX_ANSWER_CHARS:
        return _too_long(gold, answer)
    if spelling(gold) == spelling(answer):
        return _EQUAL_TEXT
    golds, answers = read(gold), read(answer)
    if golds and answers:
        decision = _compare(golds, answers, gold, answer)
        return decision if policy is DEFAULT else _under_policy(decision, golds, answers, policy)
    return _decide_unread(golds, gold, answer)


def spelling(text: str) -> str:
    """Return the text without blanks and commands that only place things on a page."""
    spaced = _BETWEEN_DIGITS.sub(",", clean(text))  # `1 5` is not 15
    written = _FONT.sub(r"\\text", _FRACTION.sub(r"\\frac", _SPACING.sub("", spaced)))
    written = _SHORT_MODULUS.sub(r"\\pmod\1", written) if "\\pmod" in written else written
    return written if written.endswith("..") else written.removesuffix(".")  # `0.25...` is not `0.25`


def _compare(golds: tuple[Value, ...], answers: tuple[Value, ...], gold: str, answer: str) -> Decision:
    """Equal when some readings are; what cannot be shown to be equal is not, on any machine and in any company.

    The symbolic stage is not asked: its verdict on such pairs would depend on how long it may think.
    """
    is_open, over = False, ""
    for gold_value in golds:
        for answer_value in answers:
            try:
                is_equal = same_value(gold_value, answer_value)
            except OverBudgetError as error:
                over = str(error)
                continue
            except (NotRationalError, UndefinedError):
                is_equal = None
            if is_equal:
                return Decision(Finding.EQUAL, stage_of(gold_value, answer_value), "the same value")
            is_open |= is_equal is None
    if over:
        return Decision(Finding.OVER_BUDGET, "budget", f"{over} beyond the budget of operations")
    if is_open:
        return Decision(Finding.DIFFERENT, "undecided", f"{answer[:60]!r} cannot be shown to be {gold[:60]!r}")
    return _of(False, stage_of(golds[0], answers[0]), gold, answer)


def _under_policy(decision: Decision, golds: tuple[Value, ...], answers: tuple[Value, ...], policy: Policy) -> Decision:
    """Change a decision about two quantities where the policy differs from the default."""
    gold, answer = golds[0], answers[0]
    if not isinstance(gold, Quantity) or not isinstance(answer, Quantity):
        return decision
    if decision.finding is Finding.EQUAL:
        objection = _objection(gold, answer, policy)
        return decision if objection is None else Decision(Finding.DIFFERENT, "policy", objection)
    if policy.relative_tolerance and is_near(gold.node, answer.node, policy.relative_tolerance):
        return Decision(Finding.EQUAL, "tolerance", f"within {policy.relative_tolerance:g} of the gold")
    return decision


def _objection(gold: Quantity, answer: Quantity, policy: Policy) -> str | None:
    if policy.percent == "exact" and gold.is_percent != answer.is_percent and not same_quantity(gold, answer, True):
        return "a percent sign is a factor of 1/100"
    if policy.units == "required" and gold.unit and not answer.unit:
        return f"the unit {str(gold.unit)!r} is missing"
    if policy.literal and gold.node.op is Op.NUMBER and answer.node.op is not Op.NUMBER:
        return "a calculation where a number was asked for"
    return None


def _decide_unread(golds: tuple[Value, ...], gold: str, answer: str) -> Decision:
    """What cannot be read is not what can be; a gold that cannot be read is left open.

    The symbolic stage drops text, so it is asked only about an answer that says in words, units and relations what the
    gold says, with the same numbers if there are words, and that brings no operator of its own.
    """
    if golds or _claims(gold) != _claims(answer):
        return _of(False, "unread", gold, answer)
    if _OPERATORS.search(gold):
        return Decision(Finding.OPEN, "symbolic")
    if _OPERATORS.search(answer) or (_TEXT.search(gold) and _numbers(gold) != _numbers(answer)):
        return _of(False, "unread", gold, answer)
    return Decision(Finding.OPEN, "symbolic")


def _numbers(text: str) -> list[str]:
    return sorted(_DIGITS.findall(clean(text)))


def _claims(text: str) -> tuple[list[str], list[str]]:
    """Return the words and the relations of a text, in order: what a reader of formulas alone would drop."""
    cleaned = clean(text)
    words = [word.lower() for run in _TEXT.findall(cleaned) for word in _WORD.findall(run)]
    plain = _TEXT.sub(" ", cleaned)
    words += sorted(word.lower() for word in _LONG_WORD.findall(plain))
    return words, sorted(_RELATIONS.findall(_INDEX.sub(" ", plain)))


def _too_long(gold: str, answer: str) -> Decision:
    if len(gold) > MAX_ANSWER_CHARS:
        return Decision(Finding.UNREADABLE_GOLD, "size", f"the gold has more than {MAX_ANSWER_CHARS:,} characters")
    return Decision(Finding.DIFFERENT, "size", f"an answer of {len(answer):,} characters is no final answer")


def _of(is_equal: bool, stage: str, gold: str, answer: str) -> Decision:
    if is_equal:
        return Decision(Finding.EQUAL, stage, "the same value")
    return Decision(Finding.DIFFERENT, stage, f"{answer[:60]!r} is not {gold[:60]!r}")
