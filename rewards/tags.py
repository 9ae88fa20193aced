r"""Text -> thought, visible part and final answer, in linear time.

Where an answer may stand (the *label policy* of the golden tables):

1. Only after the last `</think>` (the *visible* part); an unclosed `<think>` has no answer.
2. There, the last closed `<answer>` block if any, else everything.
3. There, the last `\boxed{}`. Nested boxes unwrap, `\boxed 5` counts, boxes joined by `,`, `and`, `or` or `\quad` in
   one statement are one list, and a last box that never closes is a truncated output: no answer.
4. No box: the last explicit marker (`#### x`, `Answer: x`, `the answer is x`).
5. No marker: the whole `<answer>` block; outside of one, a visible part that is a single bare value (`42`).

Model text is hostile: every pattern here is bounded, nothing backtracks, and a text of more than `MAX_TEXT_CHARS`
characters has no answer. Left out: what an answer means (correctness.py) and whether the form is right (formatting.py).
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from reasoning_grpo.rewards.markers import after_sentence_is, find_marker, has_content, tidy
from reasoning_grpo.schema import AnswerForm

MAX_TEXT_CHARS = 1_000_000  # about 250,000 tokens; a longer text is an attack or a fault, and is not searched

_THINK_TAG = re.compile(r"<(/?)think>", re.IGNORECASE | re.ASCII)
_ANSWER_TAG = re.compile(r"<(/?)answer>", re.IGNORECASE | re.ASCII)
_BOX = re.compile(r"\\(?:boxed|fbox)(?![A-Za-z])[ \t]{0,8}")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_BARE_BOX_END = re.compile(r"[\s$]|\\[\])]")
_JOIN = re.compile(
    r"(?:[ \t$&]|\n(?!\s{0,8}\n)|\\q?quad|\\[,;: ()\[\]]|\\text|[{}]|,|\band\b|\bor\b"
    r"|(?<![A-Za-z\\])[A-Za-z](?:_\{?[0-9]\}?)?[ ]?=){1,64}"
)
_ASSIGNED = re.compile(r"(?<![A-Za-z\\])([A-Za-z])(?:_\{?[0-9]\}?)?[ ]?=[ ]?\Z")
_JOINER = re.compile(r",|\band\b|\bor\b|\\q?quad")
_WHOLE_MAX_CHARS = 80
_MAX_BOXES = 2_000
_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,}")


class Place(StrEnum):
    """Where an answer was found."""

    TAGS = "tags"
    BOXED = "boxed"
    HASH = "hash"
    MARKER = "marker"  # "Answer: x", "the answer is x"
    WHOLE = "whole"  # the visible part is nothing but a value
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Extraction:
    """The text of the final answer, or why there is none (`text` is None exactly when `place` is NONE)."""

    text: str | None
    place: Place
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """A completion taken apart by its tags.

    `thought` is None without any think tag. `visible` is what follows the last `</think>` (everything without one) and
    is empty while a thought is open. `answers` are the closed `<answer>` blocks of the visible part, `open_answer` what
    follows an `<answer>` that never closes.
    """

    thought: str | None
    is_thought_open: bool
    visible: str
    answers: tuple[str, ...]
    open_answer: str | None


def parse(text: str, *, think_prefilled: bool = False) -> Parsed:
    """Take `text` apart; with `think_prefilled` a text without a think tag is read as if it began with `<think>`."""
    tags = list(_THINK_TAG.finditer(text))
    if not tags:
        return _open_thought(text) if think_prefilled else _with_answers(None, text)
    last = tags[-1]
    if not last[1]:
        return _open_thought(text[last.end() :])
    first = tags[0]
    return _with_answers(text[0 if first[1] else first.end() : last.start()], text[last.end() :])


def extract_answer(
    text: str, form: AnswerForm = AnswerForm.PLAIN, *, strict_form: bool = False, think_prefilled: bool = False
) -> Extraction:
    r"""Return the final answer of `text` and the place where it stood.

    `form` says what the prompt asked for. By default any place counts, in the order of the module's docstring; the form
    then only settles that under HASH every `####` line is a marker, never a heading. With `strict_form` only the asked
    place counts: TAGS the last `<answer>` block, BOXED the last box, HASH the last `####` line, PLAIN every place.
    """
    if len(text) > MAX_TEXT_CHARS:
        return _nothing(f"the text has more than {MAX_TEXT_CHARS:,} characters")
    parsed = parse(text, think_prefilled=think_prefilled)
    if parsed.is_thought_open:
        return _nothing("the thought is never closed")
    if strict_form and form is not AnswerForm.PLAIN:
        return _extract_strictly(parsed, form)
    return _extract(parsed, form)


def last_box(text: str) -> Extraction | None:
    r"""Return the last boxed statement of `text`, None when there is no box at all.

    An unclosed last box is an extraction without a text. Boxes joined in one statement come back as `a, b`.
    """
    boxes = find_boxes(text, max_boxes=_MAX_BOXES)
    if not boxes:
        return None
    if boxes[-1].end is None:
        return _nothing(r"the last \boxed{ is never closed: the output is truncated")
    statement = _last_statement(text, boxes)
    answers = [_unwrap(text[box.inner_start : box.inner_end]) for box in statement]
    if not all(has_content(answer) for answer in answers):
        return _nothing(r"the last \boxed{} is empty")
    return Extraction(text=", ".join(answers), place=Place.BOXED)


@dataclass(frozen=True, slots=True)
class Box:
    r"""The span of one outermost `\boxed{…}`; `end` is None when it never closes."""

    start: int
    inner_start: int
    inner_end: int
    end: int | None


def find_boxes(text: str, *, max_boxes: int | None = None) -> list[Box]:
    """Return the boxes that lie in no other box, in order, in one pass over the braces.

    With `max_boxes` only the last so many are looked at: a text of more is an attack.
    """
    heads = list(_BOX.finditer(text))
    heads = heads if max_boxes is None else heads[-max_boxes:]
    closings = _closing_braces(text, {head.end() for head in heads}) if heads else {}
    boxes: list[Box] = []
    for head in heads:
        if boxes and boxes[-1].end is not None and head.start() < boxes[-1].end:
            continue  # nested: the outer box holds it
        boxes.append(_box_at(text, head.start(), head.end(), closings))
    return boxes


def statements(text: str, boxes: list[Box]) -> int:
    """Count the statements the boxes make: joined boxes are one."""
    return sum(index == 0 or not _is_joined(text, boxes[index - 1], box) for index, box in enumerate(boxes))


def _open_thought(thought: str) -> Parsed:
    return Parsed(thought=thought, is_thought_open=True, visible="", answers=(), open_answer=None)


def _with_answers(thought: str | None, visible: str) -> Parsed:
    answers: list[str] = []
    start: int | None = None
    for tag in _ANSWER_TAG.finditer(visible):
        if not tag[1]:
            start = tag.end()
        elif start is not None:
            answers.append(visible[start : tag.start()])
            start = None
    open_answer = None if start is None else visible[start:]
    return Parsed(
        thought=thought, is_thought_open=False, visible=visible, answers=tuple(answers), open_answer=open_answer
    )


def _extract(parsed: Parsed, form: AnswerForm) -> Extraction:
    if parsed.open_answer is not None:
        return _from_open_answer(parsed.open_answer)
    if parsed.answers:
        return _from_block(parsed.answers[-1])
    return last_box(parsed.visible) or _from_marker(parsed.visible, form) or _from_whole(parsed.visible)


def _extract_strictly(parsed: Parsed, form: AnswerForm) -> Extraction:
    if form is AnswerForm.BOXED:
        return last_box(parsed.visible) or _nothing(r"no \boxed{} where one was asked for")
    if form is AnswerForm.HASH:
        return _from_marker(parsed.visible, form, hash_only=True) or _nothing("no #### line where one was asked for")
    if parsed.open_answer is not None:
        return _nothing("the last <answer> is never closed: the output is truncated")
    return _from_block(parsed.answers[-1]) if parsed.answers else _nothing("no <answer> where one was asked for")


def _from_open_answer(text: str) -> Extraction:
    """A closed box is complete wherever the output stopped; anything else after an open tag may be half of it."""
    return last_box(text) or _nothing("the last <answer> is never closed: the output is truncated")


def _from_block(block: str) -> Extraction:
    """The content of an `<answer>`: its box, its marker, or all of it."""
    inner = last_box(block) or _from_marker(block, AnswerForm.PLAIN)
    if inner is not None:
        return inner if inner.text is None else Extraction(text=inner.text, place=Place.TAGS)
    answer = tidy(after_sentence_is(block.strip()))
    return Extraction(text=answer, place=Place.TAGS) if has_content(answer) else _nothing("the <answer> is empty")


def _from_marker(text: str, form: AnswerForm, *, hash_only: bool = False) -> Extraction | None:
    found = find_marker(text, any_hash_line=form is AnswerForm.HASH, hash_only=hash_only)
    if found is None:
        return None
    if _BOX.search(found.text):  # "#### \boxed{42}"
        return last_box(found.text)
    if not has_content(found.text):
        return _nothing("nothing follows the answer marker")
    return Extraction(text=found.text, place=Place.HASH if found.is_hash else Place.MARKER)


def _from_whole(visible: str) -> Extraction:
    answer = tidy(visible)
    is_value = len(answer) <= _WHOLE_MAX_CHARS and "\n" not in answer and not _WORD.search(answer)
    if is_value and has_content(answer):
        return Extraction(text=answer, place=Place.WHOLE)
    return _nothing("no answer tag, box or marker")


def _nothing(detail: str) -> Extraction:
    return Extraction(text=None, place=Place.NONE, detail=detail)


def _closing_braces(text: str, openings: set[int]) -> dict[int, int]:
    """Map each opening brace of `openings` to its closing one; escaped braces are text."""
    closings: dict[int, int] = {}
    stack: list[int] = []
    for brace in _BRACE.finditer(text, min(openings)):
        if brace[0] == "{":
            stack.append(brace.start())
        elif brace[0] == "}" and stack:
            opening = stack.pop()
            if opening in openings:
                closings[opening] = brace.start()
    return closings


def _box_at(text: str, start: int, inner: int, closings: dict[int, int]) -> Box:
    if text[inner : inner + 1] == "{":
        closing = closings.get(inner)
        if closing is None:
            return Box(start, inner + 1, len(text), None)
        return Box(start, inner + 1, closing, closing + 1)
    stop = _BARE_BOX_END.search(text, inner)
    end = stop.start() if stop else len(text)
    return Box(start, inner, end, end)


def _last_statement(text: str, boxes: list[Box]) -> list[Box]:
    first = len(boxes) - 1
    while first > 0 and _is_joined(text, boxes[first - 1], boxes[first]):
        first -= 1
    return boxes[first:]


def _is_joined(text: str, left: Box, right: Box) -> bool:
    if left.end is None or right.start - left.end > 64:
        return False
    glue = text[left.end : right.start]
    if not (_JOIN.fullmatch(glue) and _JOINER.search(glue)):
        return False
    before, after = (_ASSIGNED.search(text, max(0, box.start - 16), box.start) for box in (left, right))
    return before is None or after is None or before[1] == after[1]  # x = 2 or x = 3, not x = 2, y = 3


def _unwrap(inner: str) -> str:
    r"""Drop the `\boxed{` and `}` of every box inside a box: `x=\boxed{5}` is `x=5`."""
    nested = list(_BOX.finditer(inner))
    if not nested:
        return tidy(inner)
    closings = _closing_braces(inner, {head.end() for head in nested})
    dropped = sorted({i for head in nested for i in (head.end(), closings.get(head.end())) if i is not None})
    spans = [(head.start(), head.end()) for head in nested]
    return tidy(_without(inner, spans, dropped))


def _without(text: str, spans: list[tuple[int, int]], positions: list[int]) -> str:
    """Return `text` without the spans and without the braces at the given positions."""
    braces = [(i, i + 1) for i in positions if text[i : i + 1] in ("{", "}")]
    cuts = sorted(spans + braces)
    ends = [0, *(end for _, end in cuts)]
    starts = [*(start for start, _ in cuts), len(text)]
    return "".join(text[a:b] for a, b in zip(ends, starts, strict=True) if b > a)
