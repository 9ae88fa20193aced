"""The GRPO loop: the fast trainer with a record of every rollout.

What differs from `FastGRPOTrainer`: the reward is a RewardSpec, every rollout is written down with its verdicts and
advantage, and groups without signal are counted by cause.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch

from reasoning_grpo import storage
from reasoning_grpo.advantage import Signal, group_signals
from reasoning_grpo.fast_grpo import FastGRPOTrainer
from reasoning_grpo.schema import Attempt
from reasoning_grpo.trl_bridge import RewardFunction


class ReasoningGRPOTrainer(FastGRPOTrainer):
    """The fast trainer with rollouts on record.

    `rollouts` receives one row per completion: step, problem, prompt, completion, verdicts, reward, advantage.
    """

    def __init__(self, *, reward: RewardFunction, rollouts: storage.JsonlWriter, **kwargs: Any) -> None:
        super().__init__(reward_funcs=reward, **kwargs)
        self.reward = reward
        self.rollouts = rollouts

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        batch: dict[str, Any] = super()._generate_and_score_completions(inputs)
        advantages = batch["advantages"].tolist()
        for row, attempt, advantage in zip(inputs, self.reward.last_attempts, advantages, strict=True):
            self.rollouts.write(rollout_row(self.state.global_step, row["prompt"], attempt, advantage))
        self._count_signals()
        return batch

    def _count_signals(self) -> None:
        """Log the share of this rank's groups with each signal; a group split over ranks is left to TRL's own count."""
        attempts = self.reward.last_attempts
        if len(attempts) % self.num_generations:
            return
        correct_term = self.reward.spec.terms[0].name
        rewards = _scores([attempt.reward for attempt in attempts])
        correct = _scores([_correctness(attempt, correct_term) for attempt in attempts])
        counts = Counter(group_signals(rewards.view(-1, self.num_generations), correct.view(-1, self.num_generations)))
        num_groups = len(attempts) // self.num_generations
        for signal in Signal:
            self._metrics["train"][f"groups/{signal}"].append(counts[signal] / num_groups)


def rollout_row(step: int, prompt: str, attempt: Attempt, advantage: float) -> dict[str, Any]:
    """Return one row of the rollout log."""
    return {"step": step, "prompt": prompt, **storage.attempt_row(attempt), "advantage": advantage}


def _correctness(attempt: Attempt, term: str) -> float | None:
    verdict = attempt.verdicts[term]
    return None if verdict.score is None else float(verdict.passed)


def _scores(values: Sequence[float | None]) -> torch.Tensor:
    return torch.tensor([float("nan") if value is None else value for value in values], dtype=torch.float64)
