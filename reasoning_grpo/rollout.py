"""Prompts -> completions: the generation engine of training rollouts, benchmarks and held-out measurements.

Prompts are sorted by length so that a batch wastes little padding; where the decode loop can let them, waiting ones
take the places of completions that end. A model it cannot drive (recurrent state, an encoder, prompt learning) is left
to transformers' `generate`, which is said once.
"""

import contextlib
import dataclasses
import functools
import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import torch
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from reasoning_grpo.engine.decoding import IsOver, MaxRows, Request, Written, can_decode, decode
from reasoning_grpo.engine.sampling import Sampling
from reasoning_grpo.errors import UserError
from reasoning_grpo.models import end_token_ids
from reasoning_grpo.schema import Completion

__all__ = ["Sampling", "context_limit", "generate", "write_completions"]

log = logging.getLogger("reasoning_grpo")

# Rows times positions a batch may hold: bounds the KV cache (0.5B model: about 12 KB a position in bfloat16).
MAX_BATCH_POSITIONS = 65_536


def generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    sampling: Sampling,
    *,
    max_batch_size: int = 128,
) -> Iterator[tuple[int, Completion]]:
    """Yield (index into prompts, completion) for every prompt, as they finish.

    Dropout is off while this runs, and the model's training mode is put back at the end.

    Raises:
        UserError: a prompt leaves the model no room to answer; the message names it.
    """
    requests = [
        Request(prompt_ids=tokenizer(prompt)["input_ids"], prompt=index) for index, prompt in enumerate(prompts)
    ]
    end_ids = end_token_ids(model, tokenizer)
    written = write_completions(
        model, requests, sampling, end_ids, pad_id=tokenizer.pad_token_id, max_batch_size=max_batch_size
    )
    for one in written:
        text = tokenizer.decode(one.ids, skip_special_tokens=True)
        truncated = one.ids[-1] not in end_ids
        yield one.index, Completion(text=text, num_tokens=len(one.ids), truncated=truncated)


def write_completions(
    model: PreTrainedModel,
    requests: Sequence[Request],
    sampling: Sampling,
    end_ids: Collection[int],
    *,
    pad_id: int,
    max_batch_size: int = 128,
    is_over: IsOver = lambda ids: False,
) -> Iterator[Written]:
    """Yield every request's completion as it finishes; requests of a prompt that begin together share its reading.

    `is_over` may end a completion early. transformers' own `generate`, where it must write, does not ask.

    Raises:
        UserError: a prompt leaves the model no room to answer; the message names it.
    """
    requests = _within_context(model, requests, sampling.max_completion_tokens)
    write: Callable[..., Iterator[Written]] = functools.partial(decode, is_over=is_over)
    if not can_decode(model):
        write = _generate
        _say_once(f"{type(model).__name__} is driven by transformers' own `generate`: its cache is not keys and values")
    # Longest first: what runs out of memory does so first.
    order = sorted(range(len(requests)), key=lambda i: -len(requests[i].prompt_ids))
    max_rows = functools.partial(_max_rows, sampling.max_completion_tokens, max_batch_size)
    was_training = model.training
    model.eval()
    try:
        for one in write(model, [requests[i] for i in order], sampling, end_ids, pad_id, max_rows):
            yield Written(index=order[one.index], ids=one.ids, logprobs=one.logprobs)
    finally:
        model.train(was_training)


def context_limit(model: PreTrainedModel) -> int | None:
    """Return how many positions the model was made for, None where its configuration does not say."""
    limit = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    return limit if isinstance(limit, int) and limit > 0 else None


def _within_context(model: PreTrainedModel, requests: Sequence[Request], most: int) -> list[Request]:
    """Return the requests with limits that keep prompt and completion inside the context: past it a model is lost."""
    limit = context_limit(model)
    if limit is None:
        return list(requests)
    for request in requests:
        if len(request.prompt_ids) >= limit:
            raise UserError(
                f"prompt {request.prompt} has {len(request.prompt_ids)} tokens and the model's context holds {limit}; "
                "drop the problem or use a model with a longer context"
            )
    return [
        dataclasses.replace(r, max_tokens=min(r.max_tokens or most, most, limit - len(r.prompt_ids))) for r in requests
    ]


def _max_rows(max_new_tokens: int, max_batch_size: int, longest: int) -> int:
    """Return how many rows stay within the budget, given the tokens of the longest prompt among them."""
    return max(1, min(max_batch_size, MAX_BATCH_POSITIONS // (longest + max_new_tokens)))


def _generate(
    model: PreTrainedModel,
    requests: Sequence[Request],
    sampling: Sampling,
    end_ids: Collection[int],
    pad_id: int,
    max_rows: MaxRows,
) -> Iterator[Written]:
    """Let transformers write, one batch after the other; log-probabilities are not known."""
    start = 0
    while start < len(requests):
        batch = requests[start : start + max_rows(len(requests[start].prompt_ids))]
        for one in _generate_batch(model, batch, sampling, end_ids, pad_id):
            yield Written(index=start + one.index, ids=one.ids)
        start += len(batch)


def _generate_batch(
    model: PreTrainedModel, requests: Sequence[Request], sampling: Sampling, end_ids: Collection[int], pad_id: int
) -> Iterator[Written]:
    width = max(len(request.prompt_ids) for request in requests)
    rows = [[pad_id] * (width - len(r.prompt_ids)) + list(r.prompt_ids) for r in requests]
    masks = [[0] * (width - len(r.prompt_ids)) + [1] * len(r.prompt_ids) for r in requests]
    input_ids_BT, mask_BT = (torch.tensor(part, device=model.device) for part in (rows, masks))
    # One limit for the whole batch: the shortest room any row has.
    room = min(r.max_tokens or sampling.max_completion_tokens for r in requests)
    config = _generation_config(dataclasses.replace(sampling, max_completion_tokens=room), end_ids, pad_id)
    with torch.inference_mode(), _quiet_generation_config(model):
        output_BT = model.generate(input_ids=input_ids_BT, attention_mask=mask_BT, generation_config=config)
    for index, ids in enumerate(output_BT[:, width:].tolist()):
        end = next((position for position, id_ in enumerate(ids) if id_ in end_ids), len(ids))
        yield Written(index=index, ids=ids[: end + 1])


def _generation_config(sampling: Sampling, end_ids: Collection[int], pad_id: int) -> GenerationConfig:
    """State every knob, so that a model's own generation_config (Qwen's repetition penalty, say) changes nothing."""
    settings: dict[str, Any] = {"do_sample": False}
    if sampling.temperature > 0:
        settings = {
            "do_sample": True,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "top_k": sampling.top_k,
            "min_p": sampling.min_p,
        }
    return GenerationConfig(
        max_new_tokens=sampling.max_completion_tokens,
        eos_token_id=sorted(end_ids),
        pad_token_id=pad_id,
        repetition_penalty=1.0,
        disable_compile=True,
        **settings,
    )


@contextlib.contextmanager
def _quiet_generation_config(model: PreTrainedModel) -> Iterator[None]:
    """Put the model's own generation defaults aside: transformers merges them into unset keys of ours."""
    own = model.generation_config
    model.generation_config = GenerationConfig()
    try:
        yield
    finally:
        model.generation_config = own


_said: set[str] = set()


def _say_once(sentence: str) -> None:
    if sentence not in _said:
        _said.add(sentence)
        log.warning("%s", sentence)
