"""Training on fixed rollouts that keeps every optimizer step's gradients: what exactness is measured with."""

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from transformers import TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from reasoning_grpo import fast_grpo

Gradients = dict[str, torch.Tensor]
PROMPTS = ("2+2?", "a longer prompt than the others", "x", "Tom has 3.")
GROUP = 4
TOLERANCE = 1e-5  # of the largest gradient entry; measured: at most 3e-6
LOSSES = ("grpo", "dr_grpo", "dapo", "bnpo", "cispo", "sapo", "luspo", "vespo")


class GradientLog(TrainerCallback):  # type: ignore[misc]
    """Keeps the gradients every optimizer step is made with."""

    def __init__(self) -> None:
        self.steps: list[Gradients] = []

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        named = model.named_parameters()
        self.steps.append({name: p.grad.clone() for name, p in named if p.requires_grad and p.grad is not None})


class Rollouts:
    """Completions and rewards that are the same for both trainers; groups 1 and 3 of four carry no signal."""

    def __init__(
        self, rewards: Sequence[float] = (1, 0, 0, 1, 1, 1, 1, 1, 0.5, 0, 1, 0, 0, 0, 0, 0), *, seed: int = 0
    ) -> None:
        self.draw = random.Random(seed)
        self.rewards = list(rewards)

    def rollout_func(self, prompts: Sequence[str], trainer: Any) -> dict[str, Any]:
        completions = [[self.draw.randrange(3, 103) for _ in range(self.draw.randrange(1, 12))] for _ in prompts]
        ids = [ids if row % 5 == 0 else [*ids, 1] for row, ids in enumerate(completions)]  # every fifth is cut off
        prompt_ids = trainer.processing_class(text=list(prompts))["input_ids"]
        logprobs = None if type(trainer) is GRPOTrainer else [[-1.0] * len(row) for row in ids]  # TRL's own has none
        return {"prompt_ids": prompt_ids, "completion_ids": ids, "logprobs": logprobs}

    def reward(self, completions: Sequence[str], **kwargs: Any) -> list[float]:
        return (self.rewards * len(completions))[: len(completions)]


def train(
    trainer_class: type[GRPOTrainer],
    model: Any,
    tokenizer: Any,
    out: Path,
    *,
    rollouts: Rollouts | None = None,
    **options: Any,
) -> tuple[list[Gradients], GRPOTrainer]:
    """Train on fixed rollouts and return each optimizer step's gradients."""
    from datasets import Dataset

    rollouts, log = rollouts or Rollouts(), GradientLog()
    settings: dict[str, Any] = {
        "output_dir": str(out),
        "report_to": "none",
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "optim": "sgd",
        "learning_rate": 0.02,
        "lr_scheduler_type": "constant",
        "max_grad_norm": 0.0,
        "max_steps": 2,
        "num_generations": GROUP,
        "per_device_train_batch_size": 4,
        "gradient_accumulation_steps": 4,
        "max_completion_length": 12,
        "save_strategy": "no",
        "disable_tqdm": True,
        "shuffle_dataset": False,
        "seed": 0,
        **options,
    }
    with mock.patch.object(fast_grpo, "rollout_func", rollouts.rollout_func):
        trainer = trainer_class(
            model=model,
            args=GRPOConfig(**settings),
            reward_funcs=rollouts.reward,
            train_dataset=Dataset.from_dict({"prompt": list(PROMPTS) * 4}),
            processing_class=tokenizer,
            rollout_func=rollouts.rollout_func if trainer_class is GRPOTrainer else None,
            callbacks=[log],
        )
        trainer.train()
    return log.steps, trainer


def worst_error(ours: Sequence[Mapping[str, torch.Tensor]], stock: Sequence[Mapping[str, torch.Tensor]]) -> float:
    """Return the largest difference of any entry, as a share of the step's largest entry."""
    assert len(ours) == len(stock) > 0
    errors = []
    for mine, theirs in zip(ours, stock, strict=True):
        assert mine.keys() == theirs.keys()
        largest = max(float(gradient.abs().max()) for gradient in theirs.values())
        assert largest > 0
        errors.append(max(float((mine[name] - theirs[name]).abs().max()) for name in theirs) / largest)
    return max(errors)
