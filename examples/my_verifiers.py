"""A verifier of one's own is a plain function of a completion and a problem.

It returns a score in [0, 1], a boolean, or a `Verdict` where the reason matters. Name it in a recipe as
`verifier = "./my_verifiers.py:says_why"` or on the command line as `--verifier ./my_verifiers.py:says_why`.
"""

from reasoning_grpo import Completion, Problem
from reasoning_grpo.rewards import verify


def says_why(completion: Completion, problem: Problem) -> bool:
    """Right answers only, and only with the word `because` in them."""
    return verify(problem.answer, completion.text).passed and "because" in completion.text


def brief(completion: Completion, problem: Problem, max_words: int = 100) -> float:
    """Full marks up to `max_words` words, fewer the longer it gets."""
    return min(1.0, max_words / max(1, len(completion.text.split())))
