r"""The cheap stages of correctness: each looks at (gold, answer) and says True, False, or None for "not mine".

All are linear, in-process and free of arithmetic on unbounded sizes. `STAGES` is their order; the name of the stage
that decided goes into the verdict. What they leave open goes to the symbolic stage in a worker (symbolic.py).
"""

import re
from collections.abc import Callable

from reasoning_grpo.rewards.normal import normalise, without_text
from reasoning_grpo.rewards.numeric import parse_quantity, same_number

Stage = Callable[[str, str], bool | None]

_LETTER = re.compile(r"\(?([A-Z])\)?", re.ASCII)
_BASE = re.compile(r"\(?(?P<digits>[0-9A-F]{1,200})\)?_\{?(?P<base>[0-9]{1,2})\}?")
_CLOCK = re.compile(r"([0-9]{1,4}) ?: ?([0-9]{1,4}) ?(?:(?P<half>[ap])\.? ?m\.?)?", re.IGNORECASE | re.ASCII)
_RELATION = re.compile(r"[=<>]|\\(?:le|ge|ne|in|approx|equiv|cong|sim|to|mid)(?![A-Za-z])")
_COMMAND_OR_TEXT = re.compile(
    r"\\(?:text|mathrm|textbf|mathbf|mathbb|begin|end) ?\{[^{}]*\}|\\[A-Za-z]+|_\{?[A-Za-z0-9]+\}?"
)
_CONSTANTS = frozenset("eid")
_WORDS = re.compile(r"[A-Za-z][A-Za-z'-]*(?: [A-Za-z][A-Za-z'-]*){0,11}", re.ASCII)
_HAS_TEXT = re.compile(r"\\(?:text|mathrm|textbf|mathbf|textrm|mbox) ?\{[^{}]*[A-Za-z]{2}")
_KNOWN_WORDS = frozenset(["yes", "no", "odd", "true", "even"])
_MATH_WORDS = frozenset(["pi", "infinity", "sqrt", "sin", "cos", "tan", "log", "ln", "exp"])
_ARTICLES = frozenset({"a", "an", "the"})
_UNEVALUATED = re.compile(
    r"\\(?:sum|prod|int|iint|oint|lim|gcd|lcm|det|max|min|sup|inf|bmod|pmod|mod)(?![A-Za-z])"
    r"|(?<![A-Za-z])(?:lcm|gcd|mod|det|max|min)(?![A-Za-z])|\\begin\{(?:vmatrix|cases)\}"
)
_ALTERNATIVE = re.compile(
    r"(?<![A-Za-z\\])(?:or|either|alternatively|and)(?![A-Za-z])|\\(?:pm|mp|quad|ldots|dots)(?![A-Za-z])"
)
_NEGATION = re.compile(r"\\ne(?![A-Za-z])|!=|(?<![A-Za-z])(?:not|isn't|never|except|wrong|incorrect)(?![A-Za-z])")
_MODIFIER = re.compile(
    r"(?<![A-Za-z])(?:twice|double|half|thrice|more than|less than|at least|at most|about|minus|plus)(?![A-Za-z])"
)
_MANY = re.compile(r"[,;]|\\(?:pm|mp|cup|\{)|\\text ?\{ ?(?:and|or) ?\}|(?<![A-Za-z])(?:and|or)(?![A-Za-z])")


def same_text(gold: str, answer: str) -> bool | None:
    """True for one spelling; different spellings prove nothing."""
    return True if normalise(gold) == normalise(answer) or _bare(gold) == _bare(answer) != "" else None


def same_choice(gold: str, answer: str) -> bool | None:
    """Compare two capital letters, as in a multiple choice: `(B)` and `\\text{B}` are `B`."""
    gold_letter, answer_letter = _LETTER.fullmatch(_bare(gold)), _LETTER.fullmatch(_bare(answer))
    return gold_letter[1] == answer_letter[1] if gold_letter and answer_letter else None


def same_base(gold: str, answer: str) -> bool | None:
    """Compare two numbers with a base subscript digit by digit; the base must be the same."""
    gold_base, answer_base = _BASE.fullmatch(_bare(gold)), _BASE.fullmatch(_bare(answer))
    if not gold_base or not answer_base:
        return None
    return gold_base["base"] == answer_base["base"] and _digits(gold_base) == _digits(answer_base)


def same_words(gold: str, answer: str) -> bool | None:
    """Compare words, without case and articles. A word is no product of letters: `seat` is not `east`."""
    if not _is_worded(gold) and not _is_worded(answer):
        return None
    gold_words = _words(gold)
    return gold_words is not None and gold_words == _words(answer)


def same_clock(gold: str, answer: str) -> bool | None:
    """Compare two clock times or ratios `a:b`; am and pm differ, and one side may leave them out."""
    gold_clock, answer_clock = _CLOCK.fullmatch(_bare(gold)), _CLOCK.fullmatch(_bare(answer))
    if not gold_clock or not answer_clock:
        return None
    halves = {clock["half"].lower() for clock in (gold_clock, answer_clock) if clock["half"]}
    return len(halves) < 2 and gold_clock.group(1, 2) == answer_clock.group(1, 2)


def same_letters(gold: str, answer: str) -> bool | None:
    """False for two expressions in different variables (`4t` and `4s`); relations may name what they like."""
    if _RELATION.search(_bare(gold)) or _RELATION.search(_bare(answer)):
        return None
    gold_letters, answer_letters = _letters(gold), _letters(answer)
    if gold_letters is None or answer_letters is None or gold_letters == answer_letters:
        return None
    return False


def is_evasion(gold: str, answer: str) -> bool | None:
    r"""False for an answer that does not commit to a value of the gold's kind; None for all else.

    An operator left unevaluated (`\sum`, `\gcd`), alternatives for a single gold, a negation, a modifier, or an
    equation between numbers (`24=42`), unless the gold has one too.
    """
    gold_text, answer_text = _spaced(gold), _spaced(answer)
    for pattern in (_UNEVALUATED, _NEGATION, _MODIFIER):
        if pattern.search(answer_text) and not pattern.search(gold_text):
            return False
    if _ALTERNATIVE.search(answer_text) and not _MANY.search(gold_text):
        return False
    if "=" not in gold_text and _equates_numbers(answer_text):
        return False
    return None


STAGES: tuple[tuple[str, Stage], ...] = (
    ("text", same_text),
    ("number", same_number),
    ("choice", same_choice),
    ("base", same_base),
    ("clock", same_clock),
    ("words", same_words),
    ("evasion", is_evasion),
    ("letters", same_letters),
)


def _equates_numbers(answer: str) -> bool:
    """`24=42` and `x=70=71` claim what is false, `42=42` claims nothing; `40+2=42` and `x=42` are left open."""
    sides = [side.strip() for side in answer.split("=")]
    numbers = [number.value for side in sides if (number := parse_quantity(side)) is not None]
    return len(set(numbers)) > 1 or (len(sides) > 1 and len(numbers) == len(sides))


def _bare(answer: str) -> str:
    return without_text(normalise(answer))


def _spaced(answer: str) -> str:
    r"""The normal form with `\text{ or }24` as ` or 24`, so that a word keeps its borders."""
    return re.sub(r"\\(?:text|mathrm|textbf|mbox) ?\{([^{}]*)\}", r" \1 ", normalise(answer))


def _letters(answer: str) -> frozenset[str] | None:
    """The variables of an expression, None when a run of three letters makes it words or function names."""
    bare = _COMMAND_OR_TEXT.sub(" ", normalise(answer))
    if re.search(r"[A-Za-z]{3}", bare):
        return None
    return frozenset(char for char in bare if char.isalpha()) - _CONSTANTS


def _digits(match: re.Match[str]) -> str:
    return match["digits"].lstrip("0")


def _words(answer: str) -> str | None:
    """The letters of an answer without case, blanks and articles, None when it is more than words."""
    bare = _bare(answer)
    if not _WORDS.fullmatch(bare):
        return None
    return "".join(word for word in bare.lower().split() if word not in _ARTICLES)


def _is_worded(answer: str) -> bool:
    """True for words, False for mathematics, which may well be letters too (`ab`, `pi`)."""
    bare = _bare(answer)
    if not _WORDS.fullmatch(bare) or bare.lower() in _MATH_WORDS:
        return False
    has_word = max(map(len, bare.split())) >= 4 or bare.lower() in _KNOWN_WORDS
    return has_word or bool(_HAS_TEXT.search(normalise(answer)))
