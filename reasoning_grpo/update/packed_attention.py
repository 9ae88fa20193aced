"""Attention over a packed row, plugged into transformers' attention interface.

A prefix attends causally to itself; a suffix attends to its prefix and causally to itself. Both are padded to a
rectangle for the kernel only: linear layers, norms and the head never see padding.

Shapes: T tokens of the packed row, N prefixes, B suffixes, P longest prefix, C longest suffix, Q query heads, H key
heads, R query heads per key head, D width of a head.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, PreTrainedModel

from reasoning_grpo.engine.attention_seam import HARMLESS, attention_named
from reasoning_grpo.update.packing import Packed

NAME = "reasoning_grpo_packed"


class UnsupportedAttentionError(Exception):
    """The model's attention does something that the packed one does not: sinks, capped scores, biases."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionPlan:
    """Where the rectangles of both kernel calls are found in the packed row, and where their results go."""

    prefix_NP: Tensor
    """Token of each prefix position; 0 where there is none."""
    prefix_places: Tensor
    """Which entries of the flattened (N, P) are real."""
    suffix_BC: Tensor
    suffix_places: Tensor
    context_BL: Tensor
    """Keys of each suffix: its prefix, then itself; L = P + C."""
    visible_BCL: Tensor

    @classmethod
    def of(cls, packed: Packed) -> "AttentionPlan":
        """Lay out the rectangles."""
        device = packed.input_ids_T.device
        prefix_NP, prefix_real_NP = _rectangle(packed.prefix_lengths, 0, device)
        suffix_BC, suffix_real_BC = _rectangle(packed.suffix_lengths, packed.num_prefix_tokens, device)
        owner_B = torch.tensor(packed.prefix_of_suffix, dtype=torch.long, device=device)
        causal_CC = torch.ones(suffix_BC.shape[1], suffix_BC.shape[1], dtype=torch.bool, device=device).tril()
        prefix_BCP = prefix_real_NP[owner_B][:, None].expand(-1, suffix_BC.shape[1], -1)
        return cls(
            prefix_NP=prefix_NP,
            prefix_places=prefix_real_NP.flatten().nonzero()[:, 0],
            suffix_BC=suffix_BC,
            suffix_places=suffix_real_BC.flatten().nonzero()[:, 0],
            context_BL=torch.cat([prefix_NP[owner_B], suffix_BC], dim=1),
            visible_BCL=torch.cat([prefix_BCP, causal_CC.expand(len(owner_B), -1, -1)], dim=2),
        )


def packed_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    packed_plan: AttentionPlan,
    scaling: float | None = None,
    dropout: float = 0.0,
    **others: Any,
) -> tuple[Tensor, None]:
    """Return attention over the packed row (1, T, Q, D), for queries (1, Q, T, D), keys and values (1, H, T, D)."""
    strange = sorted(name for name, setting in others.items() if name not in HARMLESS and setting is not None)
    if strange or attention_mask is not None:
        raise UnsupportedAttentionError(", ".join(strange) or "attention_mask")
    query_TQD, key_THD, value_THD = (states[0].transpose(0, 1) for states in (query, key, value))
    options = {"scale": scaling, "dropout_p": dropout}
    parts = []
    if packed_plan.prefix_places.numel():
        own = packed_plan.prefix_NP
        parts.append(_attend(query_TQD, key_THD, value_THD, own, own, packed_plan.prefix_places, None, options))
    parts.append(
        _attend(
            query_TQD,
            key_THD,
            value_THD,
            packed_plan.suffix_BC,
            packed_plan.context_BL,
            packed_plan.suffix_places,
            packed_plan.visible_BCL,
            options,
        )
    )
    return torch.cat(parts)[None], None


def _attend(
    query_TQD: Tensor,
    key_THD: Tensor,
    value_THD: Tensor,
    asking_BC: Tensor,
    context_BL: Tensor,
    places: Tensor,
    visible_BCL: Tensor | None,
    options: dict[str, Any],
) -> Tensor:
    """Return the attention outputs (number of places, Q, D); `visible_BCL` None is causal over one's own tokens."""
    query_BQCD = query_TQD[asking_BC].transpose(1, 2)
    key_BHLD, value_BHLD = (states[context_BL].transpose(1, 2) for states in (key_THD, value_THD))
    num_repeats = query_BQCD.shape[1] // key_BHLD.shape[1]
    if visible_BCL is None:
        key_BQLD, value_BQLD = (states.repeat_interleave(num_repeats, dim=1) for states in (key_BHLD, value_BHLD))
        output_BQCD = scaled_dot_product_attention(query_BQCD, key_BQLD, value_BQLD, is_causal=True, **options)
    else:
        # Query heads of one key head lie behind each other as more queries: keys and values need no copies.
        folded = query_BQCD.reshape(len(query_BQCD), key_BHLD.shape[1], -1, query_BQCD.shape[-1])
        visible = visible_BCL.repeat(1, num_repeats, 1)[:, None]
        output = scaled_dot_product_attention(folded, key_BHLD, value_BHLD, attn_mask=visible, **options)
        output_BQCD = output.reshape(query_BQCD.shape)
    return output_BQCD.transpose(1, 2).flatten(0, 1)[places]


def packed_attention_in(model: PreTrainedModel) -> AbstractContextManager[None]:
    """Let every attention layer of the model read a packed row while the block runs."""
    return attention_named(model, NAME)


def _rectangle(lengths: tuple[int, ...], first: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return token numbers (rows, longest) of consecutive runs, and which of them are real."""
    length_B = torch.tensor(lengths, dtype=torch.long, device=device)
    column = torch.arange(max(lengths, default=0), device=device)
    starts = first + length_B.cumsum(0) - length_B
    real = column < length_B[:, None]
    return torch.where(real, starts[:, None] + column, torch.zeros_like(column)), real


AttentionInterface.register(NAME, packed_attention)
