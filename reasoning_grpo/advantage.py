"""Group-relative advantages, on one page.

GRPO replaces PPO's critic by the group: each prompt is answered G times, and a completion's advantage is its reward
relative to the rest of its group (DeepSeekMath, arXiv:2402.03300, section 4.1). A reward that is NaN abstained (its
gold cannot be graded): it leaves the group's mean and deviation, and its own advantage is 0.

Shapes: N problems, G completions per problem.
"""

from enum import StrEnum
from typing import Literal

import torch
from torch import Tensor

Scale = Literal["group", "batch", "none"]

STD_EPSILON = 1e-4  # TRL's; keeps a nearly constant group from dividing by nothing


class Signal(StrEnum):
    """Why a group does or does not move the policy."""

    MIXED = "mixed"  # rewards differ: the group carries gradient
    ALL_RIGHT = "all_right"
    ALL_WRONG = "all_wrong"
    CONSTANT = "constant"  # equal rewards, some right and some wrong: shaping cancelled correctness
    UNGRADABLE = "ungradable"


def group_advantages(rewards_NG: Tensor, scale: Scale = "group") -> Tensor:
    """Return the advantages (N, G) of rewards (N, G); NaN rewards abstain.

    `group` divides by the group's deviation (GRPO), `batch` by that of all rewards (arXiv:2508.08221), `none` by
    nothing (Dr. GRPO, arXiv:2503.20783). The deviation is the sample one (G - 1), as in TRL.
    """
    graded_NG = ~rewards_NG.isnan()
    mean_N1 = rewards_NG.nanmean(dim=1, keepdim=True)
    centred_NG = rewards_NG - mean_N1
    if scale == "group":
        centred_NG = centred_NG / (_nanstd(rewards_NG) + STD_EPSILON)
    elif scale == "batch":
        centred_NG = centred_NG / (_nanstd(rewards_NG.reshape(1, -1)) + STD_EPSILON)
    return torch.where(graded_NG, centred_NG, torch.zeros_like(centred_NG))


def group_signals(rewards_NG: Tensor, correct_NG: Tensor) -> list[Signal]:
    """Name each group's signal; `correct_NG` holds 1 for right, 0 for wrong, NaN where the term abstained.

    The cause is decided on correctness, not on the shaped reward: a format bonus makes an all-wrong group look alive.
    """
    return [_signal(rewards_G, correct_G) for rewards_G, correct_G in zip(rewards_NG, correct_NG, strict=True)]


def correctness_signals(correct_NG: Tensor) -> list[Signal]:
    """Name what correctness alone says of each group; MIXED: some right, some wrong. Never CONSTANT.

    This decides which groups dynamic sampling replaces (DAPO, arXiv:2503.14476, section 3.2): a bonus for length or
    form gives an all-wrong group different rewards and nothing to learn about answers.
    """
    return [_correctness_signal(correct_G[~correct_G.isnan()]) for correct_G in correct_NG]


def _correctness_signal(graded: Tensor) -> Signal:
    if len(graded) < 2:
        return Signal.UNGRADABLE
    if bool((graded == 1).all()):
        return Signal.ALL_RIGHT
    return Signal.MIXED if bool((graded == 1).any()) else Signal.ALL_WRONG


def _signal(rewards_G: Tensor, correct_G: Tensor) -> Signal:
    rewards, correct = rewards_G[~rewards_G.isnan()], correct_G[~correct_G.isnan()]
    if len(rewards) < 2:
        return Signal.UNGRADABLE
    if bool((rewards != rewards[0]).any()):
        return Signal.MIXED
    if bool((correct == 1).all()):
        return Signal.ALL_RIGHT
    return Signal.CONSTANT if bool((correct == 1).any()) else Signal.ALL_WRONG


def _nanstd(values_NG: Tensor) -> Tensor:
    """Sample standard deviation over the last dimension, kept; 0 where fewer than two values are there."""
    count_N1 = (~values_NG.isnan()).sum(dim=-1, keepdim=True)
    centred_NG = values_NG - values_NG.nanmean(dim=-1, keepdim=True)
    variance_N1 = centred_NG.square().nansum(dim=-1, keepdim=True) / (count_N1 - 1).clamp(min=1)
    return variance_N1.sqrt()
