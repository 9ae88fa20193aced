"""Recipe -> TRL's GRPOConfig, with defaults that hold on any machine and errors in the recipe's words."""

import dataclasses
import math
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

SHARE: Mapping[str, float] = {"ge": 0, "le": 1}
FROM_ZERO: Mapping[str, float] = {"ge": 0}
ABOVE_ZERO: Mapping[str, float] = {"gt": 0}
# What TRL and transformers hand on unread: outside of these a run dies in a step, trains on nothing (`num_iterations`
# 0), or goes on as if the key had not been set (a negative `top_k`).
RANGES: Mapping[str, Mapping[str, float]] = {
    "top_p": SHARE,
    "min_p": SHARE,
    "top_k": FROM_ZERO,
    "repetition_penalty": ABOVE_ZERO,
    "beta": FROM_ZERO,
    "epsilon": FROM_ZERO,
    "epsilon_high": FROM_ZERO,
    "delta": ABOVE_ZERO,
    "num_iterations": {"ge": 1},
    "top_entropy_quantile": SHARE,
    "off_policy_mask_threshold": FROM_ZERO,
    "sapo_temperature_pos": ABOVE_ZERO,
    "sapo_temperature_neg": ABOVE_ZERO,
    "ref_model_mixup_alpha": SHARE,
    "ref_model_sync_steps": {"ge": 1},
    "max_grad_norm": FROM_ZERO,
    "weight_decay": FROM_ZERO,
    "adam_beta1": {"ge": 0, "lt": 1},
    "adam_beta2": {"ge": 0, "lt": 1},
    "adam_epsilon": FROM_ZERO,
    "logging_steps": ABOVE_ZERO,
    "dataloader_num_workers": FROM_ZERO,
    "data_seed": FROM_ZERO,
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
    except (ValueError, TypeError, ImportError) as error:
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
    """Check names, types and ranges of `[trl]` before a model is loaded.

    Types are as strict as in the rest of a recipe: "0.04" is no number, and would fail in the middle of a step.

    Raises:
        RecipeError: with the key, the value and what GRPOConfig expects.
    """
    from pydantic import Field, PydanticUserError, TypeAdapter, ValidationError

    known = {field.name for field in dataclasses.fields(GRPOConfig) if field.init}
    hints = typing.get_type_hints(GRPOConfig)
    for key, value in table.items():
        if key not in known:
            raise RecipeError(f"unknown key `trl.{key}`{did_you_mean(key, known)}")
        if key in CHOICES:
            if value not in CHOICES[key]:
                raise RecipeError(f"`trl.{key}` is {value!r}; choose one of {', '.join(map(repr, CHOICES[key]))}")
            continue  # the annotation of `scale_rewards` forgets the booleans it takes
        if isinstance(value, float) and not math.isfinite(value):
            raise RecipeError(f"`trl.{key}` is {value}; it must be a finite number")
        try:
            ranged = typing.Annotated[hints[key], Field(**RANGES.get(key, {}))]  # type: ignore[valid-type]
            TypeAdapter(ranged).validate_python(value, strict=True)
        except ValidationError as error:
            raise RecipeError(f"`trl.{key}` is {value!r}; {error.errors()[0]['msg'].lower()}") from None
        except PydanticUserError:
            continue  # a type pydantic has no schema for; GRPOConfig has the last word on it
