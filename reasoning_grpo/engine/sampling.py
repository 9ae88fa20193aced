"""How the next token is drawn: settings, filtered scores, one draw per row.

Shapes: B rows, V tokens of the vocabulary, K blocks of the vocabulary.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from transformers import MinPLogitsWarper, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from reasoning_grpo.errors import UserError

Filter = Callable[[Tensor | None, Tensor], Tensor]

BLOCK = 256  # two short cumulative sums instead of one over the vocabulary: faster, and exact to 1e-7
ALMOST_ONE = 1.0 - 2.0**-52


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How tokens are drawn; temperature 0 is greedy."""

    max_completion_tokens: int = 2048
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float | None = None
    seed: int = 0
    """A completion depends on this, on its prompt's index and on its number among the prompt's completions."""

    def __post_init__(self) -> None:
        if self.max_completion_tokens < 1:
            raise UserError(f"`max_completion_tokens` is {self.max_completion_tokens}; it must be at least 1")
        if self.temperature < 0:
            raise UserError(f"`temperature` is {self.temperature}; it must be 0 (greedy) or more")


def filters(sampling: Sampling) -> list[Filter]:
    """Return transformers' own processors in the order of its `generate`, so that the distribution is the same."""
    chosen: list[Filter] = []
    if sampling.temperature != 1.0:
        chosen.append(TemperatureLogitsWarper(sampling.temperature))
    if sampling.top_k > 0:
        chosen.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1.0:
        chosen.append(TopPLogitsWarper(sampling.top_p))
    if sampling.min_p is not None:
        chosen.append(MinPLogitsWarper(sampling.min_p))
    return chosen


def uniform_numbers(seed: int, prompt: int, sample: int, count: int) -> Tensor:
    """Return `count` numbers in [0, 1) that belong to one completion, whatever else is in its batch.

    Philox turns a key into numbers without a state to share (Salmon et al., SC'11).
    """
    key = (seed % 2**64) | (prompt << 64) | (sample << 96)
    return torch.from_numpy(np.random.Generator(np.random.Philox(key=key)).random(count))


def draw(scores_BV: Tensor, uniform_B: Tensor) -> tuple[Tensor, Tensor]:
    """Invert each row's distribution function at its number; return tokens (B) and their log-probabilities (B).

    `scores_BV` are filtered float32 scores (minus infinity: excluded); `uniform_B` are float64 numbers in [0, 1). A
    score that moves by rounding moves the boundary between two neighbouring tokens: a draw differs from the same draw
    in another batch only where its number falls between the two boundaries. Where scores are no numbers, the
    log-probability is none either.
    """
    highest_B1 = scores_BV.max(dim=-1, keepdim=True).values
    weights_BKx = _blocks((scores_BV - highest_B1).exp_())
    sums_BK = weights_BKx.sum(dim=-1).double()
    total_B = sums_BK.sum(dim=-1)
    block_B, share_B = _locate(sums_BK, uniform_B.to(scores_BV.device))
    rows_B = torch.arange(len(scores_BV), device=scores_BV.device)
    offset_B, _ = _locate(weights_BKx[rows_B, block_B].double(), share_B)
    token_B = (block_B * BLOCK + offset_B).clamp(max=scores_BV.shape[1] - 1)  # NaN weights lead anywhere
    score_B = scores_BV[rows_B, token_B].double()
    return token_B, (score_B - highest_B1[:, 0].double() - total_B.log()).float()


def _blocks(weights_BV: Tensor) -> Tensor:
    missing = -weights_BV.shape[1] % BLOCK
    padded = torch.nn.functional.pad(weights_BV, (0, missing)) if missing else weights_BV
    return padded.view(len(weights_BV), -1, BLOCK)


def _locate(weights_BK: Tensor, uniform_B: Tensor) -> tuple[Tensor, Tensor]:
    """Return the entry that holds the number's share of the row's weight, and how far into the entry it lies.

    An entry of weight 0 is never returned: its share is empty.
    """
    cumulative_BK = weights_BK.cumsum(dim=-1)
    target_B1 = (uniform_B.clamp(max=ALMOST_ONE) * cumulative_BK[:, -1])[:, None]
    index_B1 = torch.searchsorted(cumulative_BK, target_B1, right=True).clamp_(max=weights_BK.shape[1] - 1)
    weight_B1 = weights_BK.gather(1, index_B1)
    below_B1 = cumulative_BK.gather(1, index_B1) - weight_B1
    share_B1 = ((target_B1 - below_B1) / weight_B1).clamp_(0.0, ALMOST_ONE)
    return index_B1[:, 0], share_B1[:, 0]
