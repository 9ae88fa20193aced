"""TRL's `rollout_func` on our decode loop. vLLM, tools and sharded weights stay with TRL's own generation.

Only the seam is here: prompts in TRL's order, token ids and log-probabilities out. In bfloat16 training the rollouts
are written by a bfloat16 copy of the weights, made for the rollout and dropped after it: autocast would cast every
weight again for every token. The policy that samples is then the trained one up to rounding, as it is with vLLM.
"""

import contextlib
import copy
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from reasoning_grpo.engine.decoding import Request, Written, can_decode
from reasoning_grpo.engine.sampling import Sampling
from reasoning_grpo.rollout import write_completions

# Settings of TRL that only its own generation can follow, with the value at which ours does as well.
OURS: Mapping[str, Any] = {
    "use_vllm": False,
    "use_transformers_continuous_batching": False,
    "generation_kwargs": None,
    "cache_implementation": None,
    "repetition_penalty": 1.0,
}


def left_to_trl(config: Any) -> list[str]:
    """Return the settings of a GRPOConfig for which generation stays with TRL."""
    return [name for name, ours in OURS.items() if getattr(config, name) != ours]


def can_roll_out(trainer: Any) -> bool:
    """Return whether our decode loop may replace the trainer's own generation."""
    acts = trainer.tools or trainer.environment_factories is not None
    sharded = trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled
    others = left_to_trl(trainer.args) or acts or sharded or trainer._is_vlm
    return not others and can_decode(_policy(trainer))


def rollout_func(prompts: Sequence[Any], trainer: Any) -> dict[str, list[Any]]:
    """Return what TRL asks of a `rollout_func`: `prompt_ids`, `completion_ids` and `logprobs`, row by row.

    `prompts` hold each prompt G times in a row; tokenization is TRL's own.
    """
    with writer(trainer) as write:
        prompt_ids, written = write(prompts, places(trainer, len(prompts)))
        rows = sorted(written, key=lambda one: one.index)
    return as_trl_output(prompt_ids, rows)


def as_trl_output(prompt_ids: Sequence[Sequence[int]], rows: Sequence[Written]) -> dict[str, list[Any]]:
    """Return rows in the form TRL expects of a `rollout_func`."""
    return {
        "prompt_ids": list(prompt_ids),
        "completion_ids": [one.ids for one in rows],
        "logprobs": [one.logprobs for one in rows],
    }


Place = tuple[int, int]
"""Number of a prompt in this generation over all processes, and of the sample among its completions: together with the
seed they are what a completion depends on."""
Writing = Generator[Written, None, None]
"""Completions as they finish; whoever leaves it early closes it, or the model stays in evaluation mode."""
Write = Callable[[Sequence[Any], Sequence[Place]], tuple[list[list[int]], Writing]]
"""Prompts and their places -> the prompts' token ids and their completions."""


def places(trainer: Any, num_rows: int) -> list[Place]:
    """Return the places of this process's rows: a group may be split between two processes."""
    first = trainer.accelerator.process_index * num_rows
    return [divmod(first + index, group_size(trainer)) for index in range(num_rows)]


def group_size(trainer: Any) -> int:
    """Return how many completions a prompt gets, in training or evaluation."""
    return int(trainer.num_generations if trainer.model.training else trainer.num_generations_eval)


@contextlib.contextmanager
def writer(trainer: Any) -> Iterator[Write]:
    """Yield what writes completions with the trainer's present weights and settings, as often as it is asked to."""
    sampling = _sampling(trainer)
    with _rollout_model(trainer) as model:

        def write(prompts: Sequence[Any], where: Sequence[Place]) -> tuple[list[list[int]], Writing]:
            prompt_ids, _, _ = trainer._tokenize_prompts(list(prompts))
            return prompt_ids, _written(trainer, model, _requests(prompt_ids, where), sampling)

        yield write


def _requests(prompt_ids: Sequence[Sequence[int]], where: Sequence[Place]) -> list[Request]:
    return [
        Request(prompt_ids=ids, prompt=prompt, sample=sample)
        for ids, (prompt, sample) in zip(prompt_ids, where, strict=True)
    ]


def _written(trainer: Any, model: Any, requests: Sequence[Request], sampling: Sampling) -> Writing:
    end_ids, pad_id = frozenset(trainer.eos_token_ids), trainer._tokenizer.pad_token_id
    yield from write_completions(model, requests, sampling, end_ids, pad_id=pad_id)


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
    # A compiled model would be compiled anew for every length of the decode loop.
    return trainer.accelerator.unwrap_model(trainer.model_wrapped, keep_torch_compile=False)


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
