r"""Qwen2.5-Math's evaluation, from its behaviour: what most published results of the Qwen family were graded with.

Reads the whole text, thoughts included: the last `boxed`, else "answer is", else the last number. Two numbers are one
within a relative 1e-4, and so are x, x/100 and 100x. What is left to symbols goes to our own grader here, where the
original evaluates the model's text with sympy (and 23 of 81 code probes ran).

An answer or gold of more than `_MAX_CHARS` characters is compared as it is spelled, and tuples within tuples are opened
`_MAX_DEPTH` deep, so that no text takes long.
"""

import math
import re

from reasoning_grpo.rewards.conventions.constants import constant
from reasoning_grpo.rewards.conventions.hendrycks import (
    braced,
    full_roots,
    leading_zeros,
    short_fracs,
    slash_frac,
    without_short_name,
)
from reasoning_grpo.rewards.correctness import verify
from reasoning_grpo.rewards.registry import verifier
from reasoning_grpo.schema import Completion, Outcome, Problem, Verdict

_MAX_CHARS = 2_000  # the longest of 23,000 stored answers has 1,516
_MAX_DEPTH = 8
_NUMBER = re.compile(r"-?\d*\.?\d+")
_KEEPS_UNITS = frozenset({"carp_en", "minerva_math"})
_UNIT_WORDS = (
    "acre apple coin cube day deg degree dollar foot gallon gal gram hectare hour inch kmh kmph liter litre meter "
    "metre mile min minute month monkey mph mtr ohm ounce people percent pm point rupee sec second sq square unit week "
    "yard year feet inches men women man woman toy more less no way s a ab"  # `s` of a genitive too
)
_UNITS = tuple(dict.fromkeys(_UNIT_WORDS.split()))
_UNIT = re.compile(rf"(^|\W)(?:{'|'.join(re.escape(word) + 's?' for word in _UNITS)})($|\W)")
_WHOLE = re.compile(r"(?<!\d)(\d+)\.0*(\D|\Z)")
_TEXT = re.compile(r"\\text\{([^{}]*)\}")
_MBOX = re.compile(r"\\mbox\{[^{}]*\}")
_ARRAY = re.compile(r"\\begin\{array\}\{[^{}]*\}")
_SAME = {
    r"\!": "", "tfrac": "frac", "dfrac": "frac", r"\neq": r"\ne", r"\leq": r"\le", r"\geq": r"\ge", r"\left": "",
    r"\right": "", r"\{": "{", r"\}": "}", "bmatrix": "pmatrix", r"\end{array}": r"\end{pmatrix}",
}  # fmt: skip
_DROPPED = (r"^{\circ}", r"^\circ", r"\$", "$", r"\(", r"\)", "x=", "y=", "z=", r"x\in", r"y\in", r"z\in", r"\%", "%")
_COMMAND = re.compile(r"\\[A-Za-z]+")
_I = re.compile(r"\\[A-Za-z]+|i")
_FUNCTION = re.compile(r"(?<![A-Za-z\\])([A-Za-z])(?:_(?:\{(\w{1,9})\}|(\w)))?\(")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3})")
_E_NUMBER = re.compile(r"-?[0-9.]+e-?[0-9]+")
_INNER = re.compile(r"[{}()]")
_TUPLE = re.compile(r"[(\[].+[)\]]", re.DOTALL)


@verifier("qwen")
def qwen(completion: Completion, problem: Problem) -> Verdict:
    """Grade as Qwen2.5-Math's evaluation does: lenient extraction, 1e-4 relative tolerance, percent either way."""
    keeps_units = problem.source in _KEEPS_UNITS
    answer = extract(completion.text, keeps_units=keeps_units)
    if not answer:
        return Verdict(score=0.0, outcome=Outcome.NO_ANSWER, detail="no box, no marker, no number")
    is_equal = equal(answer, strip_string(problem.answer, keeps_units=keeps_units))
    return Verdict(score=float(is_equal), outcome=Outcome.PASS if is_equal else Outcome.FAIL, extracted=answer)


def extract(text: str, *, keeps_units: bool = False) -> str:
    """Return the normalised answer, "" without any."""
    answer = re.sub(r"\n\s*", "", _raw_answer(text)).removeprefix(":")
    return strip_string(answer.removesuffix(".").removesuffix("/"), keeps_units=keeps_units)


def strip_string(text: str, *, keeps_units: bool = False) -> str:
    """Return the one spelling the grader compares; a text too long for that only without blanks at its ends."""
    if len(text) > _MAX_CHARS:
        return text.strip()
    text = _ARRAY.sub(r"\\begin{pmatrix}", text.strip().replace("\n", "").rstrip("."))
    for old, new in _SAME.items():
        text = text.replace(old, new)
    text = _without_trailing_text(text)
    if not keeps_units:
        for _ in range(2):
            text = _UNIT.sub(r"\1\2", text) or text
    text = _TEXT.sub(r"\1", text)
    for dropped in _DROPPED:
        text = text.replace(dropped, "")
    text = leading_zeros(text.replace(r"\emptyset", "{}").replace(r"(-\infty,\infty)", r"\mathbb{R}"))
    if len(text) > 2 and text[0] + text[-1] in ("{}", "()", "[]") and text[1:-1].isalnum():
        text = text[1:-1]
    text = _MBOX.sub("", text.replace("infinity", r"\infty").replace("and", "").replace(r"\mathbf", ""))
    text = _WHOLE.sub(r"\1\2", text.replace("'", ""))
    text = full_roots(without_short_name(leading_zeros(text))).replace(" ", "")
    return slash_frac(short_fracs(text))


def _without_trailing_text(text: str) -> str:
    r"""Cut `\text{…}` and all that follows, where a brace ends it and something stands before."""
    before, mark, _ = text.partition(r"\text{")
    return (before.strip() if mark and text.endswith("}") else "") or text


def equal(answer: str, gold: str, depth: int = 0) -> bool:
    """Compare two normalised answers as the original does, its last stage replaced by our grader."""
    if answer.strip().lower() == gold.strip().lower():
        return True
    if max(len(answer), len(gold)) > _MAX_CHARS or depth > _MAX_DEPTH:
        return False
    numbers = _digits(answer), _digits(gold)
    if numbers[0] is not None and numbers[1] is not None:
        return any(math.isclose(numbers[0], numbers[1] * factor, rel_tol=1e-4) for factor in (0.01, 1.0, 100.0))
    if _same_without_brackets(answer, gold):
        return True
    if _TUPLE.fullmatch(answer) and _TUPLE.fullmatch(gold):
        pairs = answer[1:-1].split(","), gold[1:-1].split(",")
        if len(pairs[0]) == len(pairs[1]) and all(equal(*pair, depth + 1) for pair in zip(*pairs, strict=True)):
            return True
    return _by_symbols(answer, gold, depth + 1)


def _raw_answer(text: str) -> str:
    if "final answer is $" in text and "$. I hope" in text:
        return text.split("final answer is $", 1)[1].split("$. I hope", 1)[0].strip()
    if "boxed" in text:
        rest = text.rpartition("boxed")[2]
        if rest.startswith("{"):
            return braced(rest) or rest[1:]  # an unclosed box counts
        return rest.partition("$")[0].strip()
    for marker in ("he answer is", "final answer is"):
        if marker in text:
            return text.rpartition(marker)[2].strip()
    numbers = _NUMBER.findall(text.replace(",", ""))
    return numbers[-1] if numbers else ""


def _digits(text: str) -> float | None:
    plain = text.replace(",", "")
    is_percent = plain.endswith("%")
    try:
        number = float(plain.removesuffix("%").removesuffix("\\"))
    except ValueError:
        return None
    return number / 100 if is_percent else number


def _same_without_brackets(answer: str, gold: str) -> bool:
    """Outer brackets go from both when only the answer's are of another kind; inner ones go always."""
    if (_is_in(answer, "[]") and not gold.startswith("(")) or (_is_in(answer, "()") and not gold.startswith("[")):
        answer, gold = answer.strip("[]()"), gold.strip("[]()")
    return _INNER.sub("", answer).lower() == _INNER.sub("", gold).lower()


def _is_in(text: str, brackets: str) -> bool:
    return text[:1] == brackets[0] and text[-1:] == brackets[1]


def _by_symbols(answer: str, gold: str, depth: int) -> bool:
    r"""Stand in for the original's sympy stage with what can be told of it from outside.

    An equation against none is compared by its right side when its left is at most two characters, else refused. Of a
    list only the first element is read, a comma before three digits being a thousands separator, so tuples are compared
    by their elements or not at all. `e` in a number is Euler's. Constants are close at a relative 1e-4. A formula is
    what sympy's LaTeX parser makes of it: `2:3` is a quotient, `i` a letter like any other, `r(1+x)` a function of 1+x,
    and `\dot{x}_0` no formula.
    """
    answer, gold = answer.replace(":", "/"), gold.replace(":", "/")
    if answer.count("=") + gold.count("=") == 1:
        sides = [text.split("=") for text in (answer, gold)]
        is_named = all(len(side) == 1 or len(side[0].strip()) <= 2 for side in sides)
        return is_named and equal(sides[0][-1], sides[1][-1], depth)
    if _E_NUMBER.fullmatch(gold) or _letters(answer) != _letters(gold):
        return False
    first, first_gold = _first_element(answer), _first_element(gold)
    if "," in first.replace(r"\,", "") or "," in first_gold.replace(r"\,", ""):
        return False
    if first.count("=") != first_gold.count("="):
        return False
    if (first, first_gold) != (answer, gold):
        return equal(first, first_gold, depth)
    values = constant(answer), constant(gold)
    if values[0] is not None and values[1] is not None:
        return math.isclose(values[0], values[1], rel_tol=1e-4)
    if _functions(answer) != _functions(gold) or "}_" in answer + gold:
        return False
    letter = next((char for char in "uvwpqsk" if char not in answer + gold), "i")
    return verify(_renamed(gold, letter), f"\\boxed{{{_renamed(answer, letter)}}}").passed


def _letters(text: str) -> set[str]:
    return {char for char in _COMMAND.sub("", text) if char.isalpha()}


def _functions(text: str) -> set[str]:
    return {"".join(name) for name in _FUNCTION.findall(text)}


def _renamed(text: str, letter: str) -> str:
    """Write another letter for `i`, which our grader would take for the imaginary unit."""
    return _I.sub(lambda match: letter if match[0] == "i" else match[0], text)


def _first_element(text: str) -> str:
    text = _THOUSANDS.sub("", text)
    depth = 0
    for index, char in enumerate(text):
        depth += {"{": 1, "(": 1, "[": 1, "}": -1, ")": -1, "]": -1}.get(char, 0)
        if char == "," and depth == 0 and text[index - 1 : index] != "\\":
            return text[:index]
    return text
