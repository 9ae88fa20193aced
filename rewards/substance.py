r"""Is there an answer of the model's own at all? What is empty, copied or enumerated earns no reward of shape.

A shaping term says how an answer was written; without this it would pay for a shell. Three ways to be hollow:

- *empty*: no answer can be read (nothing, blanks, an open thought, a truncated box) or it is the prompt's placeholder;
- *copied*: nearly all of the text stands in the question, in runs of five words;
- *enumerated*: the answer lists more values than the gold has, or several different answers are given.

The gold's value is never looked at, only how many values it has.
"""

import re
from collections.abc import Sequence
from enum import StrEnum
from itertools import pairwise

from reasoning_grpo.rewards.markers import has_content
from reasoning_grpo.rewards.tags import MAX_TEXT_CHARS, extract_answer, find_boxes, parse
from reasoning_grpo.schema import AnswerForm, AnswerFormat, Problem

COPIED_SHARE = 0.9  # of the text's words; an answer that restates the question and then works adds far more
_ADDED_WORDS = 6  # "…? So the answer is 42": an echo with a guess behind it
_NGRAM_WORDS = 5
_PLACEHOLDER_PHRASES = (
    "answer here|your answer|your answer here|final answer|final answer here|your final answer|your final answer here|"
    "reasoning here|your reasoning|your reasoning here|reasoning process here|thought|thoughts|your thoughts here|"
    "your thought process here|think|answer|reasoning|put your answer here|the final answer|the answer|the gold answer|"
    "correct|nothing|none|unknown|n/a|i don't know|i do not know"
)
_PLACEHOLDERS = frozenset(_PLACEHOLDER_PHRASES.split("|"))
_DECORATION = " \t\r\n.…[](){}<>*_\"'?!"
_WRAPPED = re.compile(r"\\(?:text|mathrm|textbf|mathbf|mbox) ?\{([^{}]{0,200})\}")
_NO_WORDS = re.compile(r"</?(?:think|answer)>|\\(?:f?boxed?|text\w{0,2}|math\w{2}|left|right|q?quad|dots)(?![A-Za-z])")
_WORD = re.compile(r"[^\W_]+")
_GROUPING = re.compile(r"(?<=\d)(?:\{,\}|,(?:\\! ?)?|\\,)(?=\d{3}(?!\d))")
_MATRIX = re.compile(r"\\begin\{([a-zA-Z]{0,8}matrix|array)\}.{0,5000}?\\end\{\1\}", re.DOTALL)
_SEPARATOR = re.compile(
    r"(?<!\\)[,;]|\\\\|\\q?quad(?![A-Za-z])|(?<![A-Za-z\\])(?:or|either|alternatively)(?![A-Za-z])|\\(?:pm|mp)(?![A-Za-z])",
    re.IGNORECASE,
)
_CHOICE = r"(?:[A-Z]|[A-Za-z]{2,12})"
_CHOICES = re.compile(rf"{_CHOICE}(?: ?/ ?{_CHOICE}){{1,12}}")
_AND = re.compile(r"(?<![A-Za-z\\])and(?![A-Za-z])", re.IGNORECASE)
_DOTS = re.compile(r"\\(?:l|c|v|d)?dots(?![A-Za-z])|\.\.\.|…")
_OPENERS, _CLOSERS = "([{", ")]}"
_MANY = 1_000
_MAX_ANSWER_CHARS = 5_000
_MAX_STATEMENTS = 3
_JOINS = re.compile(
    r"^[^A-Za-z]{0,20}(?:,|\\q?quad|\band\b|\bor\b)"
)  # joined boxes are one list: `num_values` counts it


class Hollow(StrEnum):
    """Why a completion earns no reward of shape."""

    EMPTY = "no answer can be read"
    COPIED = "the text is copied from the question"
    ENUMERATED = "several answers instead of one"


def hollowness(text: str, problem: Problem, answer_format: AnswerFormat) -> Hollow | None:
    """Return why `text` holds no answer of its own, None when it does."""
    answer = extract_answer(text, answer_format.form, think_prefilled=answer_format.think_prefilled).text
    if answer is None or not is_filled(answer):
        return Hollow.EMPTY
    if is_copied(text, problem.question) or is_echo(answer, problem.question):
        return Hollow.COPIED
    if num_values(answer) > max(1, num_values(problem.answer)) or has_rival_answers(text, answer_format):
        return Hollow.ENUMERATED
    return None


def is_filled(text: str) -> bool:
    """True for real content: more than blanks, punctuation, bare tags and commands, or the prompt's placeholder."""
    bare = _WRAPPED.sub(r" \1 ", text)
    words = " ".join(bare.strip(_DECORATION).lower().split()[:8])
    return any(char.isalnum() for char in _NO_WORDS.sub("", bare)) and words not in _PLACEHOLDERS


def is_copied(text: str, question: str) -> bool:
    """True when the words of `text` stand in runs of five that `question` has, all but a tenth or a few."""
    words, known = _words(text[:MAX_TEXT_CHARS]), set(_ngrams(_words(question)))
    copied_words: set[int] = set()
    for start, ngram in enumerate(_ngrams(words)):
        if ngram in known:
            copied_words.update(range(start, start + _NGRAM_WORDS))
    num_added = len(words) - len(copied_words)
    is_mostly_copied = num_added <= max(_ADDED_WORDS, (1 - COPIED_SHARE) * len(words))
    return is_mostly_copied and len(copied_words) > 2 * num_added


def is_echo(answer: str, question: str) -> bool:
    """True when the answer is the question: nearly all words of either stand in the other, in order.

    A formula out of the question may well be the answer; all of the question never is.
    """
    said, asked = _words(answer[:_MAX_ANSWER_CHARS]), _words(question[:_MAX_ANSWER_CHARS])
    if not asked or len(said) < COPIED_SHARE * len(asked):
        return False
    return said == asked or is_copied(answer, question)


def has_rival_answers(text: str, answer_format: AnswerFormat) -> bool:
    """True for different answers side by side where the answer counts, or for more than three anywhere.

    A corrected guess ("so 7. No, that forgets a case: 42") is no rival: there are words between the two.
    """
    parsed = parse(text[:MAX_TEXT_CHARS], think_prefilled=answer_format.think_prefilled)
    visible = parsed.answers[-1] if parsed.answers else parsed.visible
    boxes = [box for box in find_boxes(visible) if has_content(visible[box.inner_start : box.inner_end])]
    if boxes:
        rivals = [visible[box.inner_start : box.inner_end] for box in boxes]
        gaps = [visible[a.end : b.start] for a, b in pairwise(boxes)]
        return _num_statements(rivals, gaps) > _MAX_STATEMENTS or _has_neighbours(rivals, gaps)
    if answer_format.form is AnswerForm.HASH:
        rivals = [line.partition("####")[2] for line in visible.splitlines() if "####" in line]
        return len(set(map(_squeezed, rivals))) > 1
    return len(set(map(_squeezed, parsed.answers))) > 1


def _has_neighbours(rivals: Sequence[str], gaps: Sequence[str]) -> bool:
    return any(
        _squeezed(a) != _squeezed(b) and not any(map(str.isalpha, gap)) and not _JOINS.search(gap)
        for (a, b), gap in zip(pairwise(rivals), gaps, strict=True)
    )


def _num_statements(rivals: Sequence[str], gaps: Sequence[str]) -> int:
    starts = [True, *(not _JOINS.search(gap) for gap in gaps)]
    return len({_squeezed(rival) for rival, is_start in zip(rivals, starts, strict=True) if is_start})


def _squeezed(text: str) -> str:
    return "".join(text.split())


def num_values(answer: str) -> int:
    r"""Count the values an answer offers: `1, 2` and `7 or 8` have two, `(1,2)` and `1,234` one, `1,\ldots,9` many."""
    bare = (
        _GROUPING.sub("", _WRAPPED.sub(r" \1 ", answer[:_MAX_ANSWER_CHARS]))
        .replace(r"\left", "")
        .replace(r"\right", "")
        .strip("$ .")
    )
    bare = _MATRIX.sub("M", _unwrapped_set(bare))
    if _DOTS.search(bare):
        return _MANY
    if _CHOICES.fullmatch(bare.strip()):
        return 1 + bare.count("/")
    parts = [part for part in _SEPARATOR.split(_top_level(bare)) if part.strip(" \\")]
    joined = [piece for part in parts for piece in _split_and(part)]
    count = max(len(joined), 2 if re.search(r"\\(?:pm|mp)(?![A-Za-z])", bare) else 1)
    return max(count, _num_claimed(bare))


def _split_and(part: str) -> list[str]:
    """Split at `and` between values; `dogs and cats` stays one."""
    pieces = _AND.split(part)
    is_list = all(any(char.isdigit() for char in piece) or len(piece.strip()) == 1 for piece in pieces)
    return pieces if is_list else [part]


def _num_claimed(bare: str) -> int:
    """`24=42` claims two numbers to be the answer."""
    sides = [side.strip(" ()\\{}") for side in bare.split("=")]
    numbers = {side for side in sides if re.fullmatch(r"-?[0-9.]{1,40}", side)}
    return max(1, len(numbers))


def _unwrapped_set(bare: str) -> str:
    if bare.startswith((r"\{", "{")) and bare.endswith("}"):
        return bare.removeprefix("\\").removesuffix("}").removesuffix("\\")[1:]
    return bare.replace(r"\begin{cases}", "").replace(r"\end{cases}", "")


def _top_level(text: str) -> str:
    """Blank out what stands inside brackets, so that a tuple is one value; `(or 24)` is no tuple."""
    kept, depth = [], 0
    for char in re.sub(r"\( ?(or|alternatively)\b", r" \1 ", text):
        depth = max(0, depth - (char in _CLOSERS))
        kept.append(char if depth == 0 else "_")
        depth += char in _OPENERS
    return "".join(kept)


def _words(text: str) -> list[str]:
    return _WORD.findall(_NO_WORDS.sub(" ", text).lower())


def _ngrams(words: Sequence[str]) -> list[tuple[str, ...]]:
    return list(zip(*(words[offset:] for offset in range(_NGRAM_WORDS)), strict=False))
