"""The decode loop: a prompt is read once for the completions that begin together, which leave as they finish.

Works on any decoder of transformers that takes `position_ids` and a cache of keys and values. Where prompts are shared
and every layer sees every position, waiting requests take the places of finished ones: their first token is then
written beside a later one of the others, and the positions before it are hidden from them. Elsewhere, and where the
longest row decides how the positions of all are rotated, they wait until the batch is empty. What this leaves out: how
many rows there are and in which order (`rollout.py`), and how a token is chosen (`sampling.py`).

Shapes: B rows still writing, N distinct prompts, T prompt tokens, P positions of the longest prompt, C positions the
rows have written in, V vocabulary.
"""

import inspect
import math
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field

import torch
from torch import Tensor
from transformers import PreTrainedModel

from reasoning_grpo.engine.attention_seam import rotates_by_length
from reasoning_grpo.engine.kv_cache import GrowingCache, can_hold, compaction, sees_everything
from reasoning_grpo.engine.sampling import Filter, Sampling, draw, filters, uniform_numbers
from reasoning_grpo.engine.shared_prefix import Attention, SharedPrefixes, Witness, attending, can_share
from reasoning_grpo.errors import UserError

IsOver = Callable[[Sequence[int]], bool]
"""Whether a completion of these token ids has come to its end; asked after every token."""
MaxRows = Callable[[int], int]
"""How many rows there may be at a time, given the tokens of the longest prompt among them."""

LAST = torch.tensor([-1])
REFILL = 0.75  # of the rows a batch may have: few prompts at a time are read slowly


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
    model: PreTrainedModel,
    requests: Sequence[Request],
    sampling: Sampling,
    end_ids: Collection[int],
    pad_id: int,
    max_rows: MaxRows | None = None,
    is_over: IsOver = lambda ids: False,
) -> Iterator[Written]:
    """Yield each completion as soon as it has ended, in no particular order; all at a time, or at most `max_rows`.

    Requests are begun in their order: for `max_rows` the longest prompt comes first. A completion ends with an end
    token, at its limit, or when `is_over` says so.
    """
    batch, waiting = _Batch(model, sampling, pad_id), deque(enumerate(requests))
    most = sampling.max_completion_tokens
    limits = [min(request.max_tokens or most, most) for request in requests]
    while waiting or batch.rows:
        if waiting:
            among = [requests[row.index] for row in batch.rows] + [waiting[0][1]]
            most_rows = max_rows(max(len(one.prompt_ids) for one in among)) if max_rows else len(requests)
            if batch.takes_more(most_rows):
                batch.join([waiting.popleft() for _ in range(min(most_rows - len(batch.rows), len(waiting)))])
        tokens = batch.choose()
        over = [len(row.ids) == limits[row.index] or is_over(row.ids) for row in batch.rows]
        ended = {place for place, token in enumerate(tokens) if over[place] or token in end_ids}
        yield from (batch.rows[place] for place in sorted(ended))
        batch.drop(ended)
        batch.advance()


class _Batch:
    """The rows still writing, and everything about them that is a tensor."""

    def __init__(self, model: PreTrainedModel, sampling: Sampling, pad_id: int) -> None:
        self.model, self._sampling, self._pad_id = model, sampling, pad_id
        self.rows: list[Written] = []
        self._filters = filters(sampling) if sampling.temperature > 0 else None
        self._cache = GrowingCache()
        self._prefixes: SharedPrefixes | None = None
        self._is_open = False  # to rows that begin later than others
        self._width = self._num_own = 0  # P and C
        nothing = torch.empty(0, dtype=torch.long, device=model.device)
        self._prompt_length_B = self._begin_B = self._token_B = nothing
        self._uniform_BT = torch.empty((0, sampling.max_completion_tokens), dtype=torch.float64, device=model.device)
        self._logits_BV = torch.empty(0, device=model.device)

    def takes_more(self, most_rows: int) -> bool:
        """Return whether it is time for waiting requests."""
        return not self.rows or (self._is_open and len(self.rows) <= REFILL * most_rows)

    def join(self, joining: Sequence[tuple[int, Request]]) -> None:
        """Read the prompts of further requests (with their indices) and let their rows in."""
        requests = [request for _, request in joining]
        number: dict[tuple[int, ...], int] = {}
        sources = [number.setdefault(tuple(request.prompt_ids), len(number)) for request in requests]
        ids_NT, mask_NT = _left_padded(list(number), self._pad_id)
        position_NT = (mask_NT.cumsum(dim=1) - 1).clamp(min=0)
        cache = GrowingCache()
        witness = Witness(cache) if can_share(self.model) else None
        logits_NV = self._forward(cache, ids_NT, mask_NT, position_NT, witness)
        length_B = mask_NT.sum(dim=1)[sources].to(self.model.device)
        if self.rows:
            self._merge(cache, sources, int(length_B.max()))
            logits_BV = torch.cat([self._logits_BV, logits_NV[sources]])
        else:
            self._start(cache, sources, witness, ids_NT.shape[1])
            logits_BV = logits_NV[sources]
        self._logits_BV = logits_BV
        self._prompt_length_B = torch.cat([self._prompt_length_B, length_B])
        self._begin_B = torch.cat([self._begin_B, torch.full_like(length_B, self._num_own)])
        if self._filters is not None:
            uniform_BT = _uniform_numbers(requests, self._sampling).to(self.model.device)
            self._uniform_BT = torch.cat([self._uniform_BT, uniform_BT])
        self.rows += [Written(index=index) for index, _ in joining]

    def _start(self, cache: GrowingCache, sources: list[int], witness: Witness | None, width: int) -> None:
        self._cache, self._width, self._num_own = cache, width, 0
        self._prefixes = None
        if witness is not None and witness.saw_plain_attention:
            self._prefixes = SharedPrefixes(cache, witness.layer_of, sources)
        else:
            cache.repeat_rows(sources)
        config = _base(self.model).config
        self._is_open = self._prefixes is not None and sees_everything(config) and not rotates_by_length(config)

    def _merge(self, cache: GrowingCache, sources: list[int], longest: int) -> None:
        """Take the prompts just read to those of the rows there are."""
        assert self._prefixes is not None
        self._width = max(longest, int(self._prompt_length_B.max()))
        self._prefixes.join(cache, sources, width=self._width)

    def choose(self) -> list[int]:
        """Choose the next token of every row and note it.

        Raises:
            UserError: the model's scores are no numbers.
        """
        if self._filters is None:
            highest_B, self._token_B = self._logits_BV.max(dim=-1)
            logprob_B = highest_B - highest_B  # 0, and no number where the score is none
        else:
            scores_BV = _filtered(self._logits_BV, self._filters)
            place_B1 = (self._num_own - self._begin_B)[:, None]  # of the token in its completion
            self._token_B, logprob_B = draw(scores_BV, self._uniform_BT.gather(1, place_B1)[:, 0])
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
        self._token_B = self._token_B[sources]
        self._prompt_length_B, self._begin_B = self._prompt_length_B[sources], self._begin_B[sources]
        self._uniform_BT = self._uniform_BT[sources if self._filters is not None else []]
        if self.rows:
            self._forget_unseen()

    def _forget_unseen(self) -> None:
        """Let go of what the rows that began first wrote, once all of them have left.

        So there are never more own positions than a completion may have tokens, as if all rows had begun together.
        """
        num_seen = max(len(row.ids) for row in self.rows) - 1  # the newest token is yet to be fed
        num_unseen = self._num_own - num_seen
        if self._prefixes is not None and num_unseen:
            self._prefixes.forget(num_unseen)
            self._begin_B = self._begin_B - num_unseen
            self._num_own = num_seen

    def advance(self) -> None:
        """Feed the chosen tokens, where there are rows left."""
        if not self.rows:
            return
        position_B = self._prompt_length_B + self._num_own - self._begin_B
        self._num_own += 1
        self._logits_BV = self._forward(
            self._cache, self._token_B[:, None], self._mask(), position_B[:, None], self._prefixes
        )

    def _mask(self) -> Tensor:
        """Return which positions each row sees (B, P + C): its prompt ends at P, its own begin somewhere."""
        prompt_P = torch.arange(self._width, device=self.model.device)
        own_C = torch.arange(self._num_own, device=self.model.device)
        sees_prompt_BP = prompt_P >= self._width - self._prompt_length_B[:, None]
        return torch.cat([sees_prompt_BP, own_C >= self._begin_B[:, None]], dim=1).long()

    def _forward(
        self, cache: GrowingCache, ids_BT: Tensor, mask_BL: Tensor, position_BT: Tensor, attention: Attention | None
    ) -> Tensor:
        """Return the last position's scores (B, V) in float32, as transformers' `generate` does."""
        device = self.model.device
        with nullcontext() if attention is None else attending(self.model, attention):
            output = self.model(
                input_ids=ids_BT.to(device),
                attention_mask=mask_BL.to(device),
                position_ids=position_BT.to(device),
                past_key_values=cache,
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
