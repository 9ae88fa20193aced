"""Recipe -> TRL's GRPOConfig, with defaults that hold on any machine and errors in the recipe's words."""

import dataclasses
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from trl import GRPOConfig

from reasoning_grpo.batching import BatchPlan
from reasoning_grpo.config import Recipe
from reasoning_grpo.errors import RecipeError, did_you_mean

# Values that TRL looks at only inside the first step, when minutes have gone by.
CHOICES: Mapping[str, tuple[object, ...]] = {
    "loss_type": ("grpo", "dr_grpo", "dapo", "bnpo", "cispo", "sapo", "luspo", "vespo"),
    "importance_sampling_level": ("token", "sequence"),
    "scale_rewards": ("group", "batch", "none", True, False),
    "multi_objective_aggregation": ("sum_then_normalize", "normalize_then_sum"),
}


def grpo_config(recipe: Recipe, plan: BatchPlan, output_dir: Path) -> GRPOConfig:
    """Return the trainer's configuration; keys of `[trl]` win over the defaults here.

    Raises:
        RecipeError: a key of `[trl]` that GRPOConfig does not have, has with another type, or refuses.
    """
    check_trl_keys(recipe.trl)
    train = recipe.train
    bf16 = use_bfloat16(train.precision)
    settings = {
        **_defaults(),
        **recipe.trl,
        "output_dir": str(output_dir),
        "seed": recipe.seed,
        "max_steps": train.steps,
        "learning_rate": train.learning_rate,
        "temperature": train.temperature,
        "num_generations": plan.num_generations,
        "per_device_train_batch_size": plan.micro_batch_size,
        "gradient_accumulation_steps": plan.accumulation_steps,
        "max_completion_length": train.max_completion_tokens,
        "bf16": bf16,
        "save_strategy": "steps" if train.save_every else "no",
        "save_steps": train.save_every or train.steps,
        "save_total_limit": train.keep_checkpoints,
        "disable_tqdm": True,
    }
    try:
        return GRPOConfig(**settings)
    except (ValueError, TypeError) as error:
        raise RecipeError(f"TRL refuses the configuration: {str(error).splitlines()[0]}") from None


def use_bfloat16(precision: str) -> bool:
    """Return whether forward and backward run in bfloat16; `auto` asks the accelerator."""
    if precision == "auto":
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    return precision == "bfloat16"


def _defaults() -> dict[str, Any]:
    """What we set differently from TRL, where a recipe may still say otherwise."""
    on_gpu = torch.cuda.is_available()
    return {
        "report_to": "none",  # nothing leaves the machine unless asked
        "logging_steps": 1,
        "gradient_checkpointing": on_gpu,  # trades time for memory; on a CPU time is what is short
        "dataloader_pin_memory": on_gpu,
        "use_cpu": not (on_gpu or torch.backends.mps.is_available()),  # without it TRL refuses bf16 off a GPU
        "lr_scheduler_type": "constant_with_warmup",
    }


def check_trl_keys(table: Mapping[str, Any]) -> None:
    """Check names and types of `[trl]` before a model is loaded.

    Raises:
        RecipeError: with the key, the value and what GRPOConfig expects.
    """
    from pydantic import PydanticUserError, TypeAdapter, ValidationError

    known = {field.name for field in dataclasses.fields(GRPOConfig) if field.init}
    hints = typing.get_type_hints(GRPOConfig)
    for key, value in table.items():
        if key not in known:
            raise RecipeError(f"unknown key `trl.{key}`{did_you_mean(key, known)}")
        if key in CHOICES and value not in CHOICES[key]:
            raise RecipeError(f"`trl.{key}` is {value!r}; choose one of {', '.join(map(repr, CHOICES[key]))}")
        try:
            TypeAdapter(hints[key]).validate_python(value)
        except ValidationError as error:
            raise RecipeError(f"`trl.{key}` is {value!r}; {error.errors()[0]['msg'].lower()}") from None
        except PydanticUserError:
            continue  # a type pydantic has no schema for; GRPOConfig has the last word on it
    _check_shares(table)


def _check_shares(table: Mapping[str, Any]) -> None:
    """Check what TRL hands on unread: transformers would refuse it with the first token, in a run already begun."""
    for key in ("top_p", "min_p"):
        value = table.get(key)
        if value is not None and not 0.0 <= value <= 1.0:
            raise RecipeError(f"`trl.{key}` is {value}; it must be between 0 and 1")
