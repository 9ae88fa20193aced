"""Rewards of shape rather than truth: they say how an answer was written, never whether it is right."""

from reasoning_grpo.errors import VerifierError
from reasoning_grpo.rewards.registry import verifier
from reasoning_grpo.schema import Completion, Outcome, Problem, Verdict


@verifier("soft_overlong")
def soft_overlong(completion: Completion, problem: Problem, *, max_tokens: int, buffer_tokens: int) -> Verdict:
    """Score 1 up to `max_tokens - buffer_tokens` generated tokens, then down linearly to 0 at `max_tokens`.

    DAPO's soft overlong punishment (arXiv:2503.14476, eq. 13) plus one: theirs runs from 0 to -1, a score here from 1
    to 0. The constant weight this adds to every reward cancels in the advantage; weight 1 is the paper's punishment.
    """
    if not 0 < buffer_tokens <= max_tokens:
        raise VerifierError(
            f"soft_overlong needs 0 < buffer_tokens <= max_tokens, got {buffer_tokens=} and {max_tokens=}; "
            "the paper uses 4096 of 20480"
        )
    if completion.num_tokens is None:
        raise VerifierError(
            f"soft_overlong needs `Completion.num_tokens`, which is unknown for problem {problem.id!r}; "
            "drop the term when scoring stored texts"
        )
    score = min(1.0, max(0.0, (max_tokens - completion.num_tokens) / buffer_tokens))
    outcome = Outcome.PASS if score == 1.0 else Outcome.FAIL if score == 0.0 else Outcome.PARTIAL
    return Verdict(score=score, outcome=outcome, detail=f"{completion.num_tokens} tokens")
