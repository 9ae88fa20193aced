"""The keys and values of a decoding batch, in memory that is allocated ahead and written in place.

A transformers cache with three things its own lacks: no concatenation per token, rows that are copies of a prefilled
prompt, and rows that leave. Layers with a sliding window keep every position here; the model's mask hides the rest.

Shapes: B rows, H heads, L positions, D width of a head.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, PretrainedConfig
from transformers.cache_utils import Cache, DynamicLayer, DynamicSlidingWindowLayer

FIRST_ROOM = 128  # positions allocated ahead; doubled when they are used up


class GrowingLayer(DynamicLayer):  # type: ignore[misc]  # transformers is not typed here
    """One layer's keys and values: buffers (B, H, room, D), of which the first `length` positions are written."""

    def __init__(self) -> None:
        super().__init__()
        self.num_rows = 0
        self.length = 0
        self._buffers: list[Tensor] = []

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Allocate for the rows of the first call."""
        super().lazy_initialization(key_states, value_states)
        self.num_rows = key_states.shape[0]
        room = key_states.shape[2] + FIRST_ROOM
        self._buffers = [_buffer(states, self.num_rows, room) for states in (key_states, value_states)]

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Write the new positions and return views of all."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        end = self.length + key_states.shape[2]
        if end > self._buffers[0].shape[2]:
            self._move(list(range(self.num_rows)), max(end, 2 * self._buffers[0].shape[2]))
        for buffer, states in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[: self.num_rows, :, self.length : end] = states
        self.length = end
        self.keys, self.values = (buffer[: self.num_rows, :, :end] for buffer in self._buffers)
        return self.keys, self.values

    def get_seq_length(self) -> int:
        """Return how many positions are written."""
        return self.length

    def repeat_rows(self, sources: Sequence[int]) -> None:
        """Make row i a copy of the present row `sources[i]`."""
        self._move(sources, self.length + FIRST_ROOM)

    def keep_rows(self, sources: Sequence[int]) -> None:
        """Make row i the present row `sources[i]`, in place; `sources[i]` is i or a row that is not kept elsewhere."""
        moves = [(target, source) for target, source in enumerate(sources) if target != source]
        for buffer in self._buffers if moves else ():
            targets, origins = (list(part) for part in zip(*moves, strict=True))
            buffer[targets, :, : self.length] = buffer[origins, :, : self.length]
        self.num_rows = len(sources)

    def _move(self, sources: Sequence[int], room: int) -> None:
        for index, old in enumerate(self._buffers):
            self._buffers[index] = new = _buffer(old, len(sources), room)
            new[:, :, : self.length] = old[list(sources), :, : self.length]
        self.num_rows = len(sources)


class GrowingCache(Cache):  # type: ignore[misc]
    """A cache of growing layers for models that `can_hold` says yes to."""

    def __init__(self) -> None:
        super().__init__(layer_class_to_replicate=GrowingLayer)

    def repeat_rows(self, sources: Sequence[int]) -> None:
        """Make row i a copy of the present row `sources[i]`."""
        for layer in self.layers:
            layer.repeat_rows(sources)

    def keep_rows(self, sources: Sequence[int]) -> None:
        """Make row i the present row `sources[i]`, in place."""
        for layer in self.layers:
            layer.keep_rows(sources)


def can_hold(config: PretrainedConfig) -> bool:
    """Return whether every layer of the model remembers keys and values only: no recurrent state, no shared layers."""
    if config.is_encoder_decoder or getattr(config.get_text_config(), "attention_chunk_size", None) is not None:
        return False
    kinds = {type(layer) for layer in DynamicCache(config=config).layers}
    return kinds <= {DynamicLayer, DynamicSlidingWindowLayer}


def sees_everything(config: PretrainedConfig) -> bool:
    """Return whether every layer attends to every position before it: a window counts positions, hidden ones too."""
    return {type(layer) for layer in DynamicCache(config=config).layers} == {DynamicLayer}


def compaction(kept: Sequence[int]) -> list[int]:
    """Return which row each place takes when only the sorted rows `kept` stay, moving as few as possible."""
    num_kept = len(kept)
    staying = {row for row in kept if row < num_kept}
    movers = iter([row for row in kept if row >= num_kept])
    return [place if place in staying else next(movers) for place in range(num_kept)]


def _buffer(like: Tensor, num_rows: int, room: int) -> Tensor:
    return torch.empty((num_rows, like.shape[1], room, like.shape[3]), dtype=like.dtype, device=like.device)
