"""A term for one language throughout, judged by script: no model, no word lists, no guess at which Latin language."""

import re
from collections import Counter
from collections.abc import Mapping

from reasoning_grpo.errors import VerifierError, did_you_mean
from reasoning_grpo.rewards.registry import verifier
from reasoning_grpo.rewards.shaping import shaped
from reasoning_grpo.rewards.substance import hollowness
from reasoning_grpo.schema import AnswerFormat, Completion, Outcome, Problem, Verdict

_PLAIN = AnswerFormat()
_MAX_CHARS = 200_000  # the language of a longer text is known by then
# What each script is written with, as ranges of a character class.
_RANGES: Mapping[str, str] = {
    "latin": "A-Za-z\u00c0-\u024f\u1e00-\u1eff",
    "greek": "\u0370-\u03ff\u1f00-\u1fff",
    "cyrillic": "\u0400-\u052f",
    "hebrew": "\u0590-\u05ff",
    "arabic": "\u0600-\u06ff\u0750-\u077f",
    "devanagari": "\u0900-\u097f",
    "thai": "\u0e00-\u0e7f",
    "hangul": "\u1100-\u11ff\uac00-\ud7af",
    "kana": "\u3040-\u30ff",
    "han": "\u3400-\u4dbf\u4e00-\u9fff",
}
SCRIPTS: Mapping[str, tuple[str, ...]] = {
    **{name: (name,) for name in _RANGES if name != "kana"},
    "japanese": ("kana", "han"),
    "korean": ("hangul",),
}
_LETTERS = {name: re.compile(f"[{ranges}]") for name, ranges in _RANGES.items()}
# Notation belongs to no language: tags, commands, formulas, and letters on their own (x, π).
_NOTATION = re.compile(
    r"</?(?:think|answer)>|\$[^$]{0,2000}\$|\\\([^$]{0,300}?\\\)|\\\[.{0,300}?\\\]|\\[A-Za-z]+"
    r"|(?<![^\W\d_])[A-Za-z\u0370-\u03ff](?![^\W\d_])",
    re.DOTALL,
)


@verifier("language")
def language(
    completion: Completion, problem: Problem, *, script: str = "latin", answer_format: AnswerFormat = _PLAIN
) -> Verdict:
    """Score the share of letters written in `script`; formulas and single letters count for no language.

    DeepSeek-R1's language consistency reward (arXiv:2501.12948, section 2.3.2) takes the share of words in the target
    language; scripts tell Chinese from English, which is what models mix, but not French from English. Without any
    words there is nothing to be consistent in, and the score is 0.
    """
    if script not in SCRIPTS:
        raise VerifierError(f"language has no script {script!r}{did_you_mean(script, SCRIPTS)}")
    hollow = hollowness(completion.text, problem, answer_format)
    if hollow is not None:
        return Verdict(score=0.0, outcome=Outcome.MALFORMED, detail=hollow)
    counts = count_letters(completion.text[:_MAX_CHARS])
    if not counts:
        return Verdict(score=0.0, outcome=Outcome.MALFORMED, detail="no words in any language")
    wanted = sum(counts[name] for name in SCRIPTS[script])
    return shaped(wanted / counts.total(), ", ".join(f"{name} {count}" for name, count in counts.most_common(3)))


def count_letters(text: str) -> Counter[str]:
    """Return the number of letters per script, notation left out."""
    words = _NOTATION.sub(" ", text)
    return Counter({name: count for name, letters in _LETTERS.items() if (count := len(letters.findall(words)))})
