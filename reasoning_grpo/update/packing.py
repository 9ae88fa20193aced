"""A micro-batch without padding: each distinct prompt once, its completions behind it, all in one row of tokens.

    [prompt A but its last token] [prompt B but its last token] | [last of A, a1] [last of A, a2] [last of B, b1] ...
    `------------- prefixes: keys and values only -------------'  `------ suffixes: every position is scored ------'

A suffix starts with its prompt's last token, because that token's output predicts the completion's first one, and it
ends before the completion's last token, whose output predicts nothing. So every suffix position scores exactly one
completion token, a prefix is computed once for all its suffixes, and no position is computed for nothing. Tokens meet
only in attention (`packed_attention.py`), and the gradient of a prefix is the sum over its suffixes by autograd.

Shapes: B rows (completions), N distinct prompts, T tokens of the packed row, S scored ones, C completion positions of
the padded batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """The packed row and where everything in it is."""

    input_ids_T: Tensor
    position_ids_T: Tensor
    targets_S: Tensor
    """The completion token that each suffix position predicts; suffixes are the last S tokens of the row."""
    scored_BC: Tensor
    """Where the padded batch has completion tokens; in row-major order they are the scored ones."""
    prefix_lengths: tuple[int, ...]
    suffix_lengths: tuple[int, ...]
    prefix_of_suffix: tuple[int, ...]

    @property
    def num_prefix_tokens(self) -> int:
        """Return where the suffixes begin."""
        return sum(self.prefix_lengths)

    @property
    def longest(self) -> int:
        """Return the positions of the longest prompt and completion together."""
        pairs = zip(self.prefix_of_suffix, self.suffix_lengths, strict=True)
        return max((self.prefix_lengths[prefix] + length for prefix, length in pairs), default=0)

    def unpack(self, values_S: Tensor) -> Tensor:
        """Return values (B, C) with 0 where the padded batch has no completion token."""
        return values_S.new_zeros(self.scored_BC.shape).masked_scatter(self.scored_BC, values_S)


def pack(input_ids_BT: Tensor, mask_BT: Tensor, num_completion_columns: int) -> Packed:
    """Pack a batch of left-padded prompts and right-padded completions; rows without a completion token vanish."""
    split = input_ids_BT.shape[1] - num_completion_columns
    scored_BC = mask_BT[:, split:].bool()
    rows = zip(input_ids_BT.tolist(), mask_BT.tolist(), strict=True)
    whole = [[id_ for id_, real in zip(ids, mask, strict=True) if real] for ids, mask in rows]
    lengths: list[int] = scored_BC.sum(dim=1).tolist()
    pairs = [
        (tuple(ids[: len(ids) - length]), ids[len(ids) - length :])
        for ids, length in zip(whole, lengths, strict=True)
        if length
    ]
    return _packed(pairs, scored_BC)


def _packed(pairs: Sequence[tuple[tuple[int, ...], list[int]]], scored_BC: Tensor) -> Packed:
    prompts = list(dict.fromkeys(prompt for prompt, _ in pairs))
    number = {prompt: index for index, prompt in enumerate(prompts)}
    ids = [id_ for prompt in prompts for id_ in prompt[:-1]]
    positions = [position for prompt in prompts for position in range(len(prompt) - 1)]
    for prompt, completion in pairs:
        ids += [prompt[-1], *completion[:-1]]
        positions += range(len(prompt) - 1, len(prompt) - 1 + len(completion))

    def tensor(values: Sequence[int]) -> Tensor:
        return torch.tensor(values, dtype=torch.long, device=scored_BC.device)

    return Packed(
        input_ids_T=tensor(ids),
        position_ids_T=tensor(positions),
        targets_S=tensor([id_ for _, completion in pairs for id_ in completion]),
        scored_BC=scored_BC,
        prefix_lengths=tuple(len(prompt) - 1 for prompt in prompts),
        suffix_lengths=tuple(len(completion) for _, completion in pairs),
        prefix_of_suffix=tuple(number[prompt] for prompt, _ in pairs),
    )
