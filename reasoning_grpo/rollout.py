"""Prompts -> completions: the generation engine of the benchmark and of held-out measurements.

Prompts are sorted by length so that a batch wastes little padding, and completions come back batch by batch so that a
caller can write them down at once. Training rollouts go through TRL's own generation for now.
"""

import contextlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import torch
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from reasoning_grpo.errors import UserError
from reasoning_grpo.models import end_token_ids
from reasoning_grpo.schema import Completion

# Rows times positions a batch may hold: bounds the KV cache (0.5B model: about 12 KB a position in bfloat16).
MAX_BATCH_POSITIONS = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How tokens are drawn; temperature 0 is greedy."""

    max_completion_tokens: int = 2048
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0

    def __post_init__(self) -> None:
        if self.max_completion_tokens < 1:
            raise UserError(f"`max_completion_tokens` is {self.max_completion_tokens}; it must be at least 1")
        if self.temperature < 0:
            raise UserError(f"`temperature` is {self.temperature}; it must be 0 (greedy) or more")


def generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    sampling: Sampling,
    *,
    max_batch_size: int = 128,
) -> Iterator[tuple[int, Completion]]:
    """Yield (index into prompts, completion) for every prompt, in the order the batches finish.

    Dropout is off while this runs, and the model's training mode is put back at the end.

    Raises:
        UserError: a prompt leaves the model no room to answer; the message names it.
    """
    prompt_ids = [tokenizer(prompt)["input_ids"] for prompt in prompts]
    _check_lengths(model, prompt_ids)
    end_ids = end_token_ids(model, tokenizer)
    config = _generation_config(sampling, end_ids, tokenizer)
    was_training = model.training
    model.eval()
    try:
        for batch in _batches(prompt_ids, sampling.max_completion_tokens, max_batch_size):
            completions = _generate_batch(model, tokenizer, [prompt_ids[i] for i in batch], config, end_ids)
            yield from zip(batch, completions, strict=True)
    finally:
        model.train(was_training)


def _check_lengths(model: PreTrainedModel, prompt_ids: Sequence[list[int]]) -> None:
    limit = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if limit is None:
        return
    for index, ids in enumerate(prompt_ids):
        if len(ids) >= limit:
            raise UserError(
                f"prompt {index} has {len(ids)} tokens and the model's context holds {limit}; drop the problem or use "
                "a model with a longer context"
            )


def _batches(prompt_ids: Sequence[list[int]], max_new_tokens: int, max_batch_size: int) -> Iterator[list[int]]:
    """Cut the prompts, longest first, into batches under the position budget: what runs out of memory does so first."""
    order = sorted(range(len(prompt_ids)), key=lambda i: -len(prompt_ids[i]))
    start = 0
    while start < len(order):
        positions = len(prompt_ids[order[start]]) + max_new_tokens
        size = max(1, min(max_batch_size, MAX_BATCH_POSITIONS // positions))
        yield order[start : start + size]
        start += size


def _generation_config(
    sampling: Sampling, end_ids: Collection[int], tokenizer: PreTrainedTokenizerBase
) -> GenerationConfig:
    """State every knob, so that a model's own generation_config (Qwen's repetition penalty, say) changes nothing."""
    settings: dict[str, object] = {"do_sample": False}
    if sampling.temperature > 0:
        settings = {
            "do_sample": True,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "top_k": sampling.top_k,
        }
    return GenerationConfig(
        max_new_tokens=sampling.max_completion_tokens,
        eos_token_id=sorted(end_ids),
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        repetition_penalty=1.0,
        disable_compile=True,
        **settings,
    )


def _generate_batch(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompt_ids: Sequence[list[int]],
    config: GenerationConfig,
    end_ids: Collection[int],
) -> list[Completion]:
    width = max(len(ids) for ids in prompt_ids)
    pad_id = tokenizer.pad_token_id
    input_ids_BT = torch.tensor([[pad_id] * (width - len(ids)) + ids for ids in prompt_ids], device=model.device)
    mask_BT = torch.tensor([[0] * (width - len(ids)) + [1] * len(ids) for ids in prompt_ids], device=model.device)
    with torch.inference_mode(), _quiet_generation_config(model):
        output_BT = model.generate(input_ids=input_ids_BT, attention_mask=mask_BT, generation_config=config)
    return [_completion(row, tokenizer, end_ids) for row in output_BT[:, width:].tolist()]


@contextlib.contextmanager
def _quiet_generation_config(model: PreTrainedModel) -> Iterator[None]:
    """Put the model's own generation defaults aside: transformers merges them into unset keys of ours."""
    own = model.generation_config
    model.generation_config = GenerationConfig()
    try:
        yield
    finally:
        model.generation_config = own


def _completion(ids: list[int], tokenizer: PreTrainedTokenizerBase, end_ids: Collection[int]) -> Completion:
    end = next((position for position, id_ in enumerate(ids) if id_ in end_ids), None)
    kept = ids if end is None else ids[: end + 1]
    text = tokenizer.decode(kept, skip_special_tokens=True)
    return Completion(text=text, num_tokens=len(kept), truncated=end is None)
