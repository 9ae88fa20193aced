"""The decode loop: each distinct prompt is read once, its completions are written side by side, finished ones leave.

Works on any decoder of transformers that takes `position_ids` and a cache of keys and values. What it leaves out: which
prompts go into one batch (`rollout.py`) and how a token is chosen (`sampling.py`).

Shapes: B rows still writing, N distinct prompts, T prompt tokens, L positions, V vocabulary.
"""

import inspect
import math
from collections.abc import Collection, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field

import torch
from torch import Tensor
from transformers import PreTrainedModel

from reasoning_grpo.engine.kv_cache import GrowingCache, can_hold, compaction
from reasoning_grpo.engine.sampling import Filter, Sampling, draw, filters, uniform_numbers
from reasoning_grpo.engine.shared_prefix import Attention, SharedPrefixes, Witness, attending, can_share
from reasoning_grpo.errors import UserError

LAST = torch.tensor([-1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One completion to write: the `sample`-th of prompt number `prompt`."""

    prompt_ids: Sequence[int]
    prompt: int
    sample: int = 0
    max_tokens: int | None = None
    """A limit of its own, below that of the sampling."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """The completion of `requests[index]`: token ids with the end token, and each one's log-probability.

    The log-probabilities are those of the distribution that was sampled from: after temperature and filters. They are 0
    under greedy decoding.
    """

    index: int
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)


def can_decode(model: PreTrainedModel) -> bool:
    """Return whether this loop knows how to drive the model; otherwise transformers' own `generate` must."""
    if any(config.is_prompt_learning for config in getattr(model, "peft_config", {}).values()):
        return False
    base = _base(model)
    parameters = inspect.signature(type(base).forward).parameters
    needed = {"attention_mask", "position_ids", "past_key_values", "logits_to_keep"}
    return needed <= set(parameters) and not base._is_stateful and can_hold(base.config)


@torch.inference_mode()
def decode(
    model: PreTrainedModel, requests: Sequence[Request], sampling: Sampling, end_ids: Collection[int], pad_id: int
) -> Iterator[Written]:
    """Yield each completion as soon as it has ended, in no particular order."""
    batch = _Batch(model, requests, sampling, pad_id)
    most = sampling.max_completion_tokens
    limits = [min(request.max_tokens or most, most) for request in requests]
    for step in range(most):
        tokens = batch.choose(step)
        over = [step + 1 == limits[row.index] for row in batch.rows]
        ended = {place for place, token in enumerate(tokens) if over[place] or token in end_ids}
        yield from (batch.rows[place] for place in sorted(ended))
        batch.drop(ended)
        if not batch.rows:
            return
        batch.advance()


class _Batch:
    """The rows still writing, and everything about them that is a tensor."""

    def __init__(self, model: PreTrainedModel, requests: Sequence[Request], sampling: Sampling, pad_id: int) -> None:
        self.model = model
        self.rows = [Written(index=index) for index in range(len(requests))]
        self._filters = filters(sampling) if sampling.temperature > 0 else None
        self._uniform_BT = _uniform_numbers(requests, sampling).to(model.device) if self._filters is not None else None
        self._cache = GrowingCache()
        self._prefixes: SharedPrefixes | None = None
        self._token_B = torch.empty(0, dtype=torch.long)
        self._prefill(requests, sampling.max_completion_tokens, pad_id)

    def _prefill(self, requests: Sequence[Request], max_new: int, pad_id: int) -> None:
        prompts = list(dict.fromkeys(tuple(request.prompt_ids) for request in requests))
        ids_NT, mask_NT = _left_padded(prompts, pad_id)
        position_NT = (mask_NT.cumsum(dim=1) - 1).clamp(min=0)
        witness = Witness(self._cache) if can_share(self.model) else None
        logits_NV = self._forward(ids_NT, mask_NT, position_NT, witness)
        number = {prompt: index for index, prompt in enumerate(prompts)}
        sources = [number[tuple(request.prompt_ids)] for request in requests]
        if witness is not None and witness.saw_plain_attention:
            self._prefixes = SharedPrefixes(self._cache, witness.layer_of, sources)
        else:
            self._cache.repeat_rows(sources)
        self._logits_BV = logits_NV[sources]
        self._mask_BL = torch.nn.functional.pad(mask_NT[sources], (0, max_new), value=1).to(self.model.device)
        self._position_B = (position_NT[sources, -1] + 1).to(self.model.device)
        self._length = ids_NT.shape[1]

    def choose(self, step: int) -> list[int]:
        """Choose the next token of every row and note it.

        Raises:
            UserError: the model's scores are no numbers.
        """
        if self._filters is None or self._uniform_BT is None:
            highest_B, self._token_B = self._logits_BV.max(dim=-1)
            logprob_B = highest_B - highest_B  # 0, and no number where the score is none
        else:
            scores_BV = _filtered(self._logits_BV, self._filters)
            self._token_B, logprob_B = draw(scores_BV, self._uniform_BT[:, step])
        logprobs: list[float] = logprob_B.tolist()
        tokens: list[int] = self._token_B.tolist()
        if not all(map(math.isfinite, logprobs)):
            raise UserError(
                "the model's scores of the next token are no numbers: its weights are damaged or have been driven too "
                "far; in training, start again with a lower `train.learning_rate`"
            )
        for row, token, logprob in zip(self.rows, tokens, logprobs, strict=True):
            row.ids.append(token)
            row.logprobs.append(logprob)
        return tokens

    def drop(self, ended: Collection[int]) -> None:
        """Let rows leave the batch."""
        if not ended:
            return
        sources = compaction([place for place in range(len(self.rows)) if place not in ended])
        self.rows = [self.rows[source] for source in sources]
        (self._prefixes or self._cache).keep_rows(sources)
        self._token_B, self._position_B = self._token_B[sources], self._position_B[sources]
        self._mask_BL = self._mask_BL[sources]
        self._uniform_BT = None if self._uniform_BT is None else self._uniform_BT[sources]

    def advance(self) -> None:
        """Feed the chosen tokens."""
        self._length += 1
        mask_BL = self._mask_BL[:, : self._length]
        self._logits_BV = self._forward(self._token_B[:, None], mask_BL, self._position_B[:, None], self._prefixes)
        self._position_B = self._position_B + 1

    def _forward(self, ids_BT: Tensor, mask_BL: Tensor, position_BT: Tensor, attention: Attention | None) -> Tensor:
        """Return the last position's scores (B, V) in float32, as transformers' `generate` does."""
        device = self.model.device
        with nullcontext() if attention is None else attending(self.model, attention):
            output = self.model(
                input_ids=ids_BT.to(device),
                attention_mask=mask_BL.to(device),
                position_ids=position_BT.to(device),
                past_key_values=self._cache,
                use_cache=True,
                logits_to_keep=LAST,  # an index, for a slice is strided: torch would copy the head's weights per row
            )
        logits_BV: Tensor = output.logits[:, -1].float()
        return logits_BV


def _filtered(logits_BV: Tensor, chain: Sequence[Filter]) -> Tensor:
    for step in chain:
        logits_BV = step(None, logits_BV)
    return logits_BV


def _uniform_numbers(requests: Sequence[Request], sampling: Sampling) -> Tensor:
    count = sampling.max_completion_tokens
    return torch.stack([uniform_numbers(sampling.seed, r.prompt, r.sample, count) for r in requests])


def _left_padded(prompts: Sequence[Sequence[int]], pad_id: int) -> tuple[Tensor, Tensor]:
    width = max(map(len, prompts))
    ids_NT = torch.tensor([[pad_id] * (width - len(ids)) + list(ids) for ids in prompts])
    mask_NT = torch.tensor([[0] * (width - len(ids)) + [1] * len(ids) for ids in prompts])
    return ids_NT, mask_NT


def _base(model: PreTrainedModel) -> PreTrainedModel:
    """An adapter folder loaded by transformers has `peft_config` too, but is no PeftModel."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model
