r"""Verifiers and rewards: is the answer right, has it the form asked for, and what does that pay?

    >>> from reasoning_grpo.rewards import verify
    >>> verify(r"\frac{1}{2}", "<think>half of one</think><answer>0.5</answer>").outcome
    <Outcome.PASS: 'pass'>

A verifier is a plain function `(completion, problem, **options) -> Verdict | float | bool`; a `RewardSpec` weighs
several. Importing this package loads no torch and no sympy: mathematics beyond exact numbers runs in worker processes.
"""

from reasoning_grpo.rewards.compose import RewardSpec, RewardTerm, Scored
from reasoning_grpo.rewards.correctness import accuracy, verify
from reasoning_grpo.rewards.formatting import format_graded, format_strict
from reasoning_grpo.rewards.registry import load_verifier, verifier
from reasoning_grpo.rewards.shaping import soft_overlong

__all__ = [
    "RewardSpec",
    "RewardTerm",
    "Scored",
    "accuracy",
    "format_graded",
    "format_strict",
    "load_verifier",
    "soft_overlong",
    "verifier",
    "verify",
]
