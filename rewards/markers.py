r"""Explicit answer markers: `#### x`, `Answer: x`, `the answer is x`. The last one wins.

Patterns are bounded, so a text of nothing but "answer answer answer" takes linear time. Also the two small judgements
that every reader of an answer shares: what is decoration (`tidy`) and what is an empty answer (`has_content`).
"""

import re
from dataclasses import dataclass

_MARKER = re.compile(
    r"(?P<alone>(?:\A|(?<=\n))[#*_ \t]{0,8}(?:the[ \t]{1,2})?(?:final[ \t]{1,2})?answer[*_: \t]{0,8}(?=\n|\$|\\[\[(]))"
    r"|(?P<hash>(?<!#)####(?!#))"
    r"|(?<![A-Za-z])answer[ \t]{0,4}[*_]{0,3}[ \t]{0,4}"
    r"(?:[:=\uff1a]|(?:(?:to|for|of)[ \t][^.:\n]{0,80}?[ \t])?(?:is|are|equals)(?![A-Za-z])[ \t]{0,4}:?)",
    re.IGNORECASE | re.ASCII,
)
_NOT_THE = re.compile(r"(?:\bnot|n't)[ \t]{1,3}(?:(?:the|an|my|our|final|correct)[ \t]{1,3}){0,3}\Z", re.IGNORECASE)
_LAST_LINE_A = re.compile(r"(?:^|\n)A: ?([^\n]{1,200})\s{0,64}\Z")
_HEADING = re.compile(r"\s{0,8}[*_]{0,3}(?:step|part|case|section|problem|question|method|approach)\b", re.IGNORECASE)
_BLANK = re.compile(r"\s*")
_DISPLAY = {"$$": "$$", r"\[": r"\]", r"\(": r"\)"}
_SENTENCE_END = re.compile(r"[.!][*_$]{0,3}\s{1,8}(?=[A-Z<*])")
_HEDGE = re.compile(r"[*_]{0,3}(?:or|and|but|alternatively|otherwise|maybe|perhaps|no|wait|actually)\b", re.IGNORECASE)
_SENTENCE_IS = re.compile(r"(?:the|its|his|her|their|our|there)\b.{0,200}\b(?:is|are|equals)\b[ \t:]{0,4}", re.I | re.S)
_ADVERB = re.compile(r"[ \t]{0,4}(?:therefore|thus|hence|simply|just|then|indeed|exactly)\b[,: \t]{1,4}", re.IGNORECASE)
_END_OF_TEXT = re.compile(r"<[|\uff5c]|</s>|<eos>|<end_of_turn>", re.ASCII)
_ENDLESS = re.compile(r"(?:\.[0-9]{1,200}|,) ?\.{3,8}\Z", re.ASCII)  # `0.333...` and `1, 2, ...` go on
_REASON = re.compile(r"[,;]? (?:because|since)\b|, (?:as|which)\b", re.IGNORECASE)
_DOUBT = re.compile(
    r"\b(?:or|but|not|no|nor|either|neither|wrong|incorrect|wait|actually|maybe|perhaps|however|if|unless|except|though|"
    r"although|instead|otherwise|round\w{0,4}|approx\w{0,10}|about|roughly|could|might|may)\b|n't\b|\?",
    re.IGNORECASE,
)
_MAX_TAIL_CHARS = 10_000
_EMPTY_CHARS = frozenset("#.,;:!?…-–—−_*{}\"'`´’“”$\u200b\u200c\u200d\u2060\ufeff")
_EMPTY_TEXT = re.compile(
    r"</?(?:think|answer)>|\\(?:boxed|text|mathrm|textbf|mathbf|textit)\s{0,4}\{\s{0,64}\}|\\[,;:! ]|\\q?quad|~"
)


@dataclass(frozen=True, slots=True)
class Marked:
    """What follows the last answer marker."""

    text: str
    is_hash: bool


def find_marker(text: str, *, any_hash_line: bool = False, hash_only: bool = False) -> Marked | None:
    """Return what follows the last marker of `text`, None without one.

    A `####` line counts when it can be an answer: `#### Step 3` and a worded line before more text are headings, unless
    `any_hash_line`. "A: 5" counts as the last line alone, the way early GSM8K models close.
    """
    for match in reversed(list(_MARKER.finditer(text))):
        if _counts(text, match, any_hash_line, hash_only):
            return Marked(_tail(text, match.end()), is_hash=match["hash"] is not None)
    closing = None if hash_only else _LAST_LINE_A.search(text, max(0, len(text) - 300))
    return Marked(tidy(closing[1]), is_hash=False) if closing else None


def tidy(answer: str) -> str:
    """Drop the decoration round an answer: blanks, bold, code quotes, a final full stop, end-of-text tokens.

    A final `!` stays: `30!` is a factorial.
    """
    kept = _END_OF_TEXT.split(answer, 1)[0] if "<" in answer else answer
    kept = kept.strip().lstrip("*`").lstrip()
    for _ in range(8):  # decoration nests a few levels deep at most; a bound keeps hostile text linear
        if kept.endswith("...") and _ENDLESS.search(kept, max(0, len(kept) - 300)):
            break
        shorter = kept.rstrip(" \t\r\n.,;*`\\").removesuffix("\\!")
        if shorter == kept:
            break
        kept = shorter
    return kept


def has_content(answer: str) -> bool:
    r"""False for blanks and punctuation: ``, `.`, `-`, `?`, `\text{}`. The empty set `\{\}` is an answer."""
    rest = _EMPTY_TEXT.sub("", answer)
    return any(not (char.isspace() or char in _EMPTY_CHARS) for char in rest)


def after_sentence_is(sentence: str) -> str:
    """`The volume of $ABCH$ is 120` -> `120`, `therefore 5` -> `5`; an answer that is no such sentence stays."""
    match = _SENTENCE_IS.match(sentence)
    rest = sentence[match.end() :] if match else sentence
    adverb = _ADVERB.match(rest)
    return rest[adverb.end() :] if adverb else rest


def _counts(text: str, match: re.Match[str], any_hash_line: bool, hash_only: bool) -> bool:
    if match["hash"] is not None:
        return any_hash_line or not _is_heading(text, match.end())
    if _NOT_THE.search(text, max(0, match.start() - 40), match.start()):
        return False
    if match["alone"] is not None and _skip_blank(text, match.end()) == len(text):
        return False
    return not hash_only


def _is_heading(text: str, start: int) -> bool:
    """A `####` line is a heading when it names a step, or when it has no digit and more text follows."""
    start = _skip_blank(text, start)  # "####" alone: the answer may stand on the next line
    end = text.find("\n", start, start + _MAX_TAIL_CHARS)
    end = min(len(text), start + _MAX_TAIL_CHARS) if end < 0 else end
    line = text[start : min(end, start + 400)]
    if _HEADING.match(line) or line.rstrip().endswith(":"):
        return True
    is_last_line = _skip_blank(text, end) == len(text)
    return not is_last_line and not any(char.isdigit() for char in line)


def _skip_blank(text: str, start: int) -> int:
    blank = _BLANK.match(text, start)
    return blank.end() if blank else start


def _tail(text: str, start: int) -> str:
    """The answer that begins at `start`: a display formula, else the line (the next one if this is blank)."""
    start = _skip_decoration(text, start)
    for opening, closing in _DISPLAY.items():
        if text.startswith(opening, start):
            end = text.find(closing, start + len(opening), start + _MAX_TAIL_CHARS)
            line_end = text.find("\n", start)
            if end >= 0 and (line_end < 0 or end > line_end):
                return tidy(text[start + len(opening) : end])
    end = text.find("\n", start, start + _MAX_TAIL_CHARS)
    line = text[start : start + _MAX_TAIL_CHARS if end < 0 else end]
    return _closed(tidy(after_sentence_is(_without_reason(_first_sentence(line)))))


def _closed(answer: str) -> str:
    r"""Drop the brace of a font that began before the marker: `\textbf{Answer: 8}`."""
    is_stray = answer.endswith("}") and answer.count("}") > answer.count("{")
    return tidy(answer[:-1]) if is_stray and not answer.endswith("\\}") else answer


def _without_reason(sentence: str) -> str:
    """Cut the reason after an answer (`8, since 32 / 4 = 8`), unless it takes something back."""
    reason = _REASON.search(sentence)
    return sentence if reason is None or _DOUBT.search(sentence, reason.end()) else sentence[: reason.start()]


def _skip_decoration(text: str, start: int) -> int:
    while True:
        end = _skip_blank(text, start)
        while end < len(text) and text[end] in "*_:=\uff1a}":
            end += 1
        if end == start:
            return end
        start = end


def _first_sentence(line: str) -> str:
    """Cut the remarks after the answer ("I hope it is correct."), but never an alternative ("A. Or B.")."""
    for end in _SENTENCE_END.finditer(line):
        if not _HEDGE.match(line, end.end()):
            return line[: end.start() + 1]
        return line
    return line
