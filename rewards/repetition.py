"""A term against loops: how much of a completion has been said before."""

import re

from reasoning_grpo.errors import VerifierError
from reasoning_grpo.rewards.registry import verifier
from reasoning_grpo.rewards.shaping import shaped
from reasoning_grpo.rewards.substance import hollowness
from reasoning_grpo.rewards.tags import MAX_TEXT_CHARS
from reasoning_grpo.schema import AnswerFormat, Completion, Outcome, Problem, Verdict

_PLAIN = AnswerFormat()
# Words, single signs, and each character of the scripts that put no blanks between words.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W_]+|[^\w\s]")


@verifier("repetition")
def repetition(
    completion: Completion, problem: Problem, *, ngram_words: int = 8, answer_format: AnswerFormat = _PLAIN
) -> Verdict:
    """Score the share of word n-grams that are the first of their kind: 1 says nothing twice, a loop goes to 0.

    The n-gram repetition penalty of arXiv:2502.03373 (section 4.3) as open-r1 has it, one minus the penalty. Short
    n-grams punish mathematics, where `= 2 x +` comes back on every line; eight words in the same order rarely do.
    """
    if ngram_words < 1:
        raise VerifierError(f"repetition: `ngram_words` is {ngram_words}; it must be at least 1")
    hollow = hollowness(completion.text, problem, answer_format)
    if hollow is not None:
        return Verdict(score=0.0, outcome=Outcome.MALFORMED, detail=hollow)
    score, num_ngrams = share_of_new_ngrams(completion.text[:MAX_TEXT_CHARS], ngram_words)
    return shaped(score, f"{score:.2f} of {num_ngrams} n-grams are new")


def share_of_new_ngrams(text: str, ngram_words: int) -> tuple[float, int]:
    """Return the share of distinct n-grams among all, and their number; a shorter text has one, itself."""
    words = _WORD.findall(text.lower())
    ngrams = list(zip(*(words[offset:] for offset in range(ngram_words)), strict=False)) or [tuple(words)]
    return len(set(ngrams)) / len(ngrams), len(ngrams)
