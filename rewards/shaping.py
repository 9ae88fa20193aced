"""Terms of length: how long an answer may be before it costs.

Each maps to a score in [0, 1], so its weight says what it is worth. None pays for a hollow completion (substance.py).
The other terms of shape: repetition.py, language.py, tag_count.py, formatting.py.
"""

import math
from collections.abc import Sequence

from reasoning_grpo.errors import VerifierError
from reasoning_grpo.rewards.correctness import accuracy_batch
from reasoning_grpo.rewards.registry import verifier
from reasoning_grpo.rewards.substance import hollowness
from reasoning_grpo.schema import AnswerFormat, Completion, Outcome, Problem, Verdict

_PLAIN = AnswerFormat()


@verifier("soft_overlong")
def soft_overlong(
    completion: Completion,
    problem: Problem,
    *,
    max_tokens: int,
    buffer_tokens: int,
    needs_answer: bool = True,
    answer_format: AnswerFormat = _PLAIN,
) -> Verdict:
    """Score 1 up to `max_tokens - buffer_tokens` generated tokens, then down linearly to 0 at `max_tokens`.

    DAPO's soft overlong punishment (arXiv:2503.14476, eq. 13) plus one: theirs runs from 0 to -1, a score here from 1
    to 0. The constant weight this adds to every reward cancels in the advantage; weight 1 is the paper's punishment.
    A completion without an answer of its own scores 0, for else the shortest is an empty one; `needs_answer = false`
    is the paper's term to the letter.
    """
    if not 0 < buffer_tokens <= max_tokens:
        raise VerifierError(
            f"soft_overlong needs 0 < buffer_tokens <= max_tokens, got {buffer_tokens=} and {max_tokens=}; "
            "the paper uses 4096 of 20480"
        )
    num_tokens = _num_tokens(completion, problem, "soft_overlong")
    hollow = hollowness(completion.text, problem, answer_format) if needs_answer else None
    if hollow is not None:
        return Verdict(score=0.0, outcome=Outcome.MALFORMED, detail=hollow)
    return shaped(min(1.0, max(0.0, (max_tokens - num_tokens) / buffer_tokens)), f"{num_tokens} tokens")


def cosine_length_batch(
    completions: Sequence[Completion],
    problems: Sequence[Problem],
    *,
    max_tokens: int,
    right_short: float = 1.0,
    right_long: float = 0.5,
    wrong_short: float = 0.0,
    wrong_long: float = 0.0,
    exceeded: float = 0.0,
    answer_format: AnswerFormat = _PLAIN,
) -> list[Verdict]:
    """Score many completions; their answers are judged together."""
    for name, value in (("right_short", right_short), ("right_long", right_long), ("wrong_short", wrong_short),
                        ("wrong_long", wrong_long), ("exceeded", exceeded)):  # fmt: skip
        if not 0.0 <= value <= 1.0:
            raise VerifierError(f"cosine_length: `{name}` is {value}; map the paper's rewards to [0, 1] and use weight")
    if max_tokens < 1:
        raise VerifierError(f"cosine_length: `max_tokens` is {max_tokens}; it must be at least 1")
    ends = {True: (right_short, right_long), False: (wrong_short, wrong_long)}
    verdicts = []
    judged = accuracy_batch(completions, problems, answer_format=answer_format)
    for completion, problem, answer in zip(completions, problems, judged, strict=True):
        num_tokens = _num_tokens(completion, problem, "cosine_length")
        if answer.score is None:
            verdicts.append(answer)
        elif hollow := hollowness(completion.text, problem, answer_format):
            verdicts.append(Verdict(score=0.0, outcome=Outcome.MALFORMED, detail=hollow))
        else:
            share = num_tokens / max_tokens
            score = exceeded if share >= 1.0 or completion.truncated else cosine(share, *ends[answer.passed])
            verdicts.append(shaped(score, f"{answer.outcome}, {num_tokens} tokens"))
    return verdicts


@verifier("cosine_length", batch=cosine_length_batch)
def cosine_length(
    completion: Completion,
    problem: Problem,
    *,
    max_tokens: int,
    right_short: float = 1.0,
    right_long: float = 0.5,
    wrong_short: float = 0.0,
    wrong_long: float = 0.0,
    exceeded: float = 0.0,
    answer_format: AnswerFormat = _PLAIN,
) -> Verdict:
    """Score along a half cosine from short to long, for right and for wrong answers apart.

    The cosine reward of "Demystifying Long Chain-of-Thought Reasoning" (arXiv:2502.03373, section 4): a right answer is
    worth more the shorter it is, a wrong one less the shorter it is, and one that reaches the limit is worth
    `exceeded`. The paper's values (right 2 to 1, wrong -10 to 0, exceeded -10) map to right 1 to 11/12, wrong 0 to
    10/12, exceeded 0. The default pays nothing for wrong answers, because a long wrong one is easily had.
    """
    return cosine_length_batch(
        [completion],
        [problem],
        max_tokens=max_tokens,
        right_short=right_short,
        right_long=right_long,
        wrong_short=wrong_short,
        wrong_long=wrong_long,
        exceeded=exceeded,
        answer_format=answer_format,
    )[0]


def cosine(share: float, at_start: float, at_end: float) -> float:
    """Return the value at `share` of the way along a half cosine from `at_start` to `at_end`."""
    return at_end + 0.5 * (at_start - at_end) * (1.0 + math.cos(math.pi * share))


def shaped(score: float, detail: str) -> Verdict:
    """Return a verdict whose outcome follows from its score: PASS at 1, FAIL at 0, PARTIAL between."""
    outcome = Outcome.PASS if score == 1.0 else Outcome.FAIL if score == 0.0 else Outcome.PARTIAL
    return Verdict(score=score, outcome=outcome, detail=detail)


def _num_tokens(completion: Completion, problem: Problem, term: str) -> int:
    if completion.num_tokens is None:
        raise VerifierError(
            f"{term} needs `Completion.num_tokens`, which is unknown for problem {problem.id!r}; "
            "drop the term when scoring stored texts"
        )
    return completion.num_tokens
