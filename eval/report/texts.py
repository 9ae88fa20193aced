"""Model text taken apart for showing: thought, answer, the rest, and what was left out of a long one."""

from reasoning_grpo.rewards.tags import MAX_TEXT_CHARS, Place, find_boxes, parse
from reasoning_grpo.schema import Verdict

MAX_BOXES = 200


def cut(text: str, limit: int) -> str:
    """Return the text, or the beginning and the end of one longer than `limit` with a word on what is missing."""
    if len(text) <= limit:
        return text
    head, tail = _windows(len(text), limit)
    return text[:head] + _missing(len(text), limit) + text[tail:]


def printable(text: str) -> str:
    """Return the text on one line, signs that could command a terminal written out, such as `\\x1b`."""
    return "".join(" " if sign.isspace() else sign if sign.isprintable() else _written_out(sign) for sign in text)


def segments(text: str, verdict: Verdict, limit: int, *, think_prefilled: bool = False) -> list[list[str]]:
    """Return `[kind, text]` in order; kind is `think`, `answer` (what the verifier read), `cut` or empty.

    Of a text longer than `limit` the beginning and the end are kept: there stand the approach and the answer.
    """
    marked = _marked(text, verdict, think_prefilled=think_prefilled)
    if len(text) <= limit:
        return [[kind, text[start:end]] for kind, start, end in marked if end > start]
    head, tail = _windows(len(text), limit)
    first = [[kind, text[start : min(end, head)]] for kind, start, end in marked if start < min(end, head)]
    last = [[kind, text[max(start, tail) : end]] for kind, start, end in marked if max(start, tail) < end]
    return [*first, ["cut", _missing(len(text), limit)], *last]


def _marked(text: str, verdict: Verdict, *, think_prefilled: bool) -> list[tuple[str, int, int]]:
    """Return the parts of a text as (kind, start, end), covering it."""
    if len(text) > MAX_TEXT_CHARS:
        return [("", 0, len(text))]
    visible = parse(text, think_prefilled=think_prefilled).visible
    thought_end = len(text) - len(visible)
    answer = _answer_span(visible, verdict)
    parts = [("think", 0, thought_end)]
    if answer is None:
        return [*parts, ("", thought_end, len(text))]
    start, end = (thought_end + place for place in answer)
    return [*parts, ("", thought_end, start), ("answer", start, end), ("", end, len(text))]


def _answer_span(visible: str, verdict: Verdict) -> tuple[int, int] | None:
    """Return where the verifier's answer stands: its box, else the last place of its very text."""
    if verdict.place == Place.BOXED:
        boxes = find_boxes(visible, max_boxes=MAX_BOXES)
        if boxes and boxes[-1].end is not None:
            return boxes[-1].start, boxes[-1].end
    if not verdict.extracted:
        return None
    start = visible.rfind(verdict.extracted)
    return (start, start + len(verdict.extracted)) if start >= 0 else None


def _written_out(sign: str) -> str:
    return sign.encode("unicode_escape").decode("ascii")


def _windows(length: int, limit: int) -> tuple[int, int]:
    """Return where the kept beginning ends and the kept end begins: one third and two thirds of the limit."""
    head = limit // 3
    return head, length - (limit - head)


def _missing(length: int, limit: int) -> str:
    return f"\n[… {length - limit:,} characters left out of this page …]\n"
