"""TRL's `rollout_func` on our decode loop. vLLM, tools and sharded weights stay with TRL's own generation.

Only the seam is here: prompts in TRL's order, token ids and log-probabilities out. In bfloat16 training the rollouts
are written by a bfloat16 copy of the weights, made for the rollout and dropped after it: autocast would cast every
weight again for every token. The policy that samples is then the trained one up to rounding, as it is with vLLM.
"""

import contextlib
import copy
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from reasoning_grpo.decoding import Request, can_decode
from reasoning_grpo.rollout import write_completions
from reasoning_grpo.sampling import Sampling


def can_roll_out(trainer: Any) -> bool:
    """Return whether our decode loop may replace the trainer's own generation."""
    asked_for_another = (
        trainer.use_vllm
        or trainer.use_transformers_continuous_batching
        or trainer.tools
        or trainer.environment_factories is not None
        or trainer.args.generation_kwargs is not None
        or trainer.args.cache_implementation is not None
        or trainer.repetition_penalty != 1.0
    )
    sharded = trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled
    return not (asked_for_another or sharded or trainer._is_vlm) and can_decode(_policy(trainer))


def rollout_func(prompts: Sequence[Any], trainer: Any) -> dict[str, list[Any]]:
    """Return what TRL asks of a `rollout_func`: `prompt_ids`, `completion_ids` and `logprobs`, row by row.

    `prompts` hold each prompt G times in a row; tokenization is TRL's own.
    """
    prompt_ids, _, _ = trainer._tokenize_prompts(list(prompts))
    with _rollout_model(trainer) as model:
        written = write_completions(
            model,
            _requests(prompt_ids, trainer),
            _sampling(trainer),
            frozenset(trainer.eos_token_ids),
            pad_id=trainer._tokenizer.pad_token_id,
        )
        rows = sorted(written, key=lambda one: one.index)
    return {
        "prompt_ids": prompt_ids,
        "completion_ids": [one.ids for one in rows],
        "logprobs": [one.logprobs for one in rows],
    }


def _requests(prompt_ids: Sequence[Sequence[int]], trainer: Any) -> list[Request]:
    """Number prompts and samples over all processes: a group may be split between two."""
    group = trainer.num_generations if trainer.model.training else trainer.num_generations_eval
    first = trainer.accelerator.process_index * len(prompt_ids)
    places = [divmod(first + index, group) for index in range(len(prompt_ids))]
    return [
        Request(prompt_ids=ids, prompt=prompt, sample=sample)
        for ids, (prompt, sample) in zip(prompt_ids, places, strict=True)
    ]


def _sampling(trainer: Any) -> Sampling:
    return Sampling(
        max_completion_tokens=trainer.max_completion_length,
        temperature=trainer.temperature,
        top_p=trainer.top_p,
        top_k=trainer.top_k,
        min_p=trainer.min_p,
        seed=_seed(trainer),
    )


def _seed(trainer: Any) -> int:
    """Return a number that a resumed run computes again: from the seed and the place in the run, not from a state."""
    phase = trainer._step % trainer.args.gradient_accumulation_steps
    place = [trainer.args.seed, trainer.state.global_step, phase, int(trainer.model.training)]
    return int(np.random.SeedSequence(place).generate_state(1, np.uint64)[0])


def _policy(trainer: Any) -> Any:
    return trainer.accelerator.unwrap_model(trainer.model_wrapped)


@contextlib.contextmanager
def _rollout_model(trainer: Any) -> Iterator[Any]:
    model = _policy(trainer)
    yield bfloat16_copy(model) if trainer.args.bf16 and _can_copy(model) else model


def _can_copy(model: nn.Module) -> bool:
    """Quantized weights and weights spread over devices stay where they are."""
    plain = not getattr(model, "is_quantized", False) and not any(hasattr(m, "_hf_hook") for m in model.modules())
    return plain and all(p.dtype in (torch.float32, torch.bfloat16) for p in model.parameters())


def bfloat16_copy(model: Any) -> Any:
    """Return the model in bfloat16; tied weights stay tied, buffers (rotary frequencies) stay float32."""
    weights = {id(p): nn.Parameter(p.detach().to(torch.bfloat16), requires_grad=False) for p in model.parameters()}
    twin = copy.deepcopy(model, dict(weights))
    for module in twin.modules():
        # accelerate and TRL wrap `forward` in closures over the original, which a copy would still call
        module.__dict__.pop("forward", None)
    return twin
