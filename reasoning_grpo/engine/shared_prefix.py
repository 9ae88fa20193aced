"""Decoding attention over a prompt that several completions share: its keys and values are kept and read once.

The completions of a prompt ask its keys together, in one product, and their own keys each alone; both sets of scores go
through one softmax. Own keys are stored with the positions last: that product of three rows with a matrix is several
times faster so. Which layers may do this is seen while the prompts are read (`Witness`): attention must be given what
the cache holds and nothing that changes its result.

Shapes: B rows still writing, N distinct prompts, G most rows of a prompt, H key heads, R query heads per key head,
Q = H R, P prompt positions, L own positions, D width of a head.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel
from transformers.cache_utils import DynamicLayer
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from reasoning_grpo.engine.attention_seam import HARMLESS, attention_configs, attention_named
from reasoning_grpo.engine.kv_cache import FIRST_ROOM, GrowingCache

NAME = "reasoning_grpo_shared_prefix"
Attention = Callable[..., tuple[Tensor, None]]
_attention: ContextVar[Attention] = ContextVar("attention")


class Witness:
    """Reads prompts with the model's own attention and notes which layer of the cache each module is given."""

    def __init__(self, cache: GrowingCache) -> None:
        self._cache = cache
        self.layer_of: dict[int, int] = {}
        self._strange = False

    @property
    def saw_plain_attention(self) -> bool:
        """Return whether every layer of the cache was read, as it is, by one module and without extras."""
        return not self._strange and sorted(self.layer_of.values()) == list(range(len(self._cache.layers)))

    def __call__(self, module: nn.Module, query: Tensor, key: Tensor, value: Tensor, *args: Any, **others: Any) -> Any:
        """Attend as transformers does."""
        known = HARMLESS | {"dropout", "scaling"}
        self._strange |= any(name not in known and setting is not None for name, setting in others.items())
        mask = args[0] if args else None  # ours reads a mask of truth values; biases are another kind of attention
        self._strange |= mask is not None and mask.dtype != torch.bool
        for index, layer in enumerate(self._cache.layers):
            if layer.is_initialized and key is layer.keys and value is layer.values:
                self.layer_of[id(module)] = index
        return sdpa_attention_forward(module, query, key, value, *args, **others)


class SharedLayer(DynamicLayer):  # type: ignore[misc]  # transformers is not typed here
    """One layer's keys and values: the prompts' (N, H, D, P) and (N, H, P, D), and room for each row's own."""

    def __init__(self, prompt_keys: Tensor, prompt_values: Tensor, num_rows: int) -> None:
        super().__init__()
        self.lazy_initialization(prompt_keys, prompt_values)
        self.prompt_keys_NHDP = prompt_keys.transpose(2, 3).contiguous()
        self.prompt_values_NHPD = prompt_values.contiguous()
        self.num_rows, self.num_own = num_rows, 0
        heads, width = prompt_keys.shape[1], prompt_keys.shape[3]
        self._keys_BHDL = prompt_keys.new_empty(num_rows, heads, width, FIRST_ROOM)
        self._values_BHLD = prompt_values.new_empty(num_rows, heads, FIRST_ROOM, prompt_values.shape[3])

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Write the new positions and return views of the rows' own keys and values, without the prompts'."""
        end = self.num_own + key_states.shape[2]
        if end > self._values_BHLD.shape[2]:
            self._double(end)
        self._keys_BHDL[: self.num_rows, :, :, self.num_own : end] = key_states.transpose(2, 3)
        self._values_BHLD[: self.num_rows, :, self.num_own : end] = value_states
        self.num_own = end
        self.keys = self._keys_BHDL[: self.num_rows, :, :, :end].transpose(2, 3)
        self.values = self._values_BHLD[: self.num_rows, :, :end]
        return self.keys, self.values

    def get_seq_length(self) -> int:
        """Return how many positions are written, the prompt's included."""
        return int(self.prompt_values_NHPD.shape[2]) + self.num_own

    def keep_rows(self, sources: Sequence[int]) -> None:
        """Make row i the present row `sources[i]`, in place; `sources[i]` is i or a row that is not kept elsewhere."""
        moves = [(target, source) for target, source in enumerate(sources) if target != source]
        if moves:
            targets, origins = (list(part) for part in zip(*moves, strict=True))
            self._keys_BHDL[targets, :, :, : self.num_own] = self._keys_BHDL[origins, :, :, : self.num_own]
            self._values_BHLD[targets, :, : self.num_own] = self._values_BHLD[origins, :, : self.num_own]
        self.num_rows = len(sources)

    def keep_prompts(self, kept: Sequence[int]) -> None:
        """Forget the prompts that no row has any more."""
        self.prompt_keys_NHDP = self.prompt_keys_NHDP[list(kept)]
        self.prompt_values_NHPD = self.prompt_values_NHPD[list(kept)]

    def join(self, prompt_keys: Tensor, prompt_values: Tensor, num_rows: int, width: int) -> None:
        """Take in prompts (N, H, P, D) and rows; see `SharedPrefixes.join`."""
        keys_NHDP = prompt_keys.transpose(2, 3)
        self.prompt_keys_NHDP = torch.cat([_fit(self.prompt_keys_NHDP, width, 3), _fit(keys_NHDP, width, 3)])
        self.prompt_values_NHPD = torch.cat([_fit(self.prompt_values_NHPD, width, 2), _fit(prompt_values, width, 2)])
        old, self.num_rows = self.num_rows, self.num_rows + num_rows
        if self.num_rows > len(self._values_BHLD):
            self._move(self.num_rows, self._values_BHLD.shape[2], old)
        # Nobody sees these, but a weight of 0 times what happens to lie in memory may be no number.
        self._keys_BHDL[old : self.num_rows, :, :, : self.num_own] = 0
        self._values_BHLD[old : self.num_rows, :, : self.num_own] = 0

    def forget(self, num_unseen: int) -> None:
        """Drop the first own positions."""
        end, rows = self.num_own, slice(self.num_rows)
        self.num_own -= num_unseen
        self._keys_BHDL[rows, ..., : self.num_own] = self._keys_BHDL[rows, ..., num_unseen:end].clone()
        self._values_BHLD[rows, :, : self.num_own] = self._values_BHLD[rows, :, num_unseen:end].clone()

    def _double(self, needed: int) -> None:
        self._move(self.num_rows, max(needed, 2 * self._values_BHLD.shape[2]), self.num_rows)

    def _move(self, num_rows: int, room: int, num_kept: int) -> None:
        keys, values = self._keys_BHDL[:num_kept], self._values_BHLD[:num_kept]
        self._keys_BHDL = keys.new_empty(num_rows, *keys.shape[1:3], room)
        self._values_BHLD = values.new_empty(num_rows, values.shape[1], room, values.shape[3])
        self._keys_BHDL[:num_kept, ..., : self.num_own] = keys[..., : self.num_own]
        self._values_BHLD[:num_kept, :, : self.num_own] = values[:, :, : self.num_own]
        self.keys = self.values = keys.new_empty(0)  # views of the old memory would keep it until the next token


class SharedPrefixes:
    """Attention of rows that share prompts: which row has which, and every layer's keys and values."""

    def __init__(self, cache: GrowingCache, layer_of: dict[int, int], prompt_of_row: Sequence[int]) -> None:
        self._layers = [SharedLayer(layer.keys, layer.values, len(prompt_of_row)) for layer in cache.layers]
        cache.layers[:] = self._layers
        self._layer_of = {module: self._layers[index] for module, index in layer_of.items()}
        self._device = self._layers[0].device
        self._prompt_of_row = list(prompt_of_row)
        self._arrange()

    def keep_rows(self, sources: Sequence[int]) -> None:
        """Make row i the present row `sources[i]`; see `SharedLayer.keep_rows`."""
        prompts = [self._prompt_of_row[source] for source in sources]
        kept = sorted(set(prompts))
        for layer in self._layers:
            layer.keep_rows(sources)
            if len(kept) < self._num_prompts:
                layer.keep_prompts(kept)
        self._prompt_of_row = [kept.index(prompt) for prompt in prompts]
        self._arrange()

    def forget(self, num_unseen: int) -> None:
        """Drop the first own positions, which no row sees any more."""
        for layer in self._layers:
            layer.forget(num_unseen)

    def join(self, cache: GrowingCache, prompt_of_row: Sequence[int], *, width: int) -> None:
        """Let rows in behind the others; `cache` holds their prompts as they were read.

        Every prompt then has `width` positions, which hold the longest.
        """
        for layer, read in zip(self._layers, cache.layers, strict=True):
            layer.join(read.keys, read.values, len(prompt_of_row), width)
        self._prompt_of_row += [self._num_prompts + prompt for prompt in prompt_of_row]
        self._arrange()

    def _arrange(self) -> None:
        """Seat the rows of each prompt side by side; a seat without a row computes row 0 for nobody."""
        self._num_prompts = max(self._prompt_of_row, default=-1) + 1
        rows_of: list[list[int]] = [[] for _ in range(self._num_prompts)]
        seats = []
        for row, prompt in enumerate(self._prompt_of_row):
            seats.append((prompt, len(rows_of[prompt])))
            rows_of[prompt].append(row)
        most = max(map(len, rows_of), default=0)
        self._row_of_NG = torch.tensor([rows + [0] * (most - len(rows)) for rows in rows_of], device=self._device)
        self._seat_B = torch.tensor([prompt * most + place for prompt, place in seats], device=self._device)

    def __call__(
        self,
        module: nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None,
        *,
        scaling: float | None = None,
        **others: Any,
    ) -> tuple[Tensor, None]:
        """Return attention (B, 1, Q, D) of one new token per row; the mask (B, 1, 1, P + L) is True where visible."""
        layer = self._layer_of[id(module)]
        num_rows, num_heads = key.shape[:2]
        query_BHRD = query.view(num_rows, num_heads, -1, query.shape[3])
        prompt_scores_BHRP = self._ask_prompts(query_BHRD, layer.prompt_keys_NHDP)
        scores = torch.cat([prompt_scores_BHRP, query_BHRD @ key.transpose(2, 3)], dim=-1).float()
        scores *= query.shape[3] ** -0.5 if scaling is None else scaling
        if attention_mask is not None:
            scores.masked_fill_(~attention_mask, float("-inf"))
        weights = scores.softmax(dim=-1).to(value.dtype)
        split = prompt_scores_BHRP.shape[3]
        output_BHRD = weights[..., split:] @ value
        output_BHRD += self._ask_prompts(weights[..., :split], layer.prompt_values_NHPD)
        return output_BHRD.flatten(1, 2)[:, None], None

    def _ask_prompts(self, rows_BHRX: Tensor, prompts_NHXY: Tensor) -> Tensor:
        """Return the product (B, H, R, Y) of each row with its prompt's matrix."""
        num_repeats = rows_BHRX.shape[2]
        asking = rows_BHRX[self._row_of_NG].transpose(1, 2)
        product = asking.flatten(2, 3) @ prompts_NHXY
        seated = torch.unflatten(product, 2, (-1, num_repeats)).transpose(1, 2).flatten(0, 1)
        answers: Tensor = seated[self._seat_B]
        return answers


def _fit(states: Tensor, width: int, dim: int) -> Tensor:
    """Return left-padded prompts with `width` positions: padding on the left is cut off or added."""
    missing = width - states.shape[dim]
    if missing <= 0:
        return states.narrow(dim, -missing, width)
    shape = list(states.shape)
    shape[dim] = missing
    return torch.cat([states.new_zeros(shape), states], dim=dim)


def can_share(model: PreTrainedModel) -> bool:
    """Return whether the model attends by torch's own kernel, which this attention replaces."""
    return all(config._attn_implementation == "sdpa" for config in attention_configs(model))


@contextlib.contextmanager
def attending(model: PreTrainedModel, attention: Attention) -> Iterator[None]:
    """Let every attention layer of the model call `attention` while the block runs."""
    token = _attention.set(attention)
    try:
        with attention_named(model, NAME):
            yield
    finally:
        _attention.reset(token)


def _attend(*args: Any, **kwargs: Any) -> tuple[Tensor, None]:
    return _attention.get()(*args, **kwargs)


AttentionInterface.register(NAME, _attend)
AttentionMaskInterface.register(NAME, sdpa_mask)
