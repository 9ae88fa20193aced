"""Advantages by hand. The deviation is the sample one; epsilon 1e-4 is added to it."""

import math

import pytest
import torch

from reasoning_grpo.advantage import Scale, Signal, correctness_signals, group_advantages, group_signals

NAN = math.nan


def test_a_group_is_centred_and_divided_by_its_own_deviation() -> None:
    # mean 0.25; squares 0.5625 + 3 * 0.0625 = 0.75; variance 0.75 / 3 = 0.25; deviation 0.5
    advantages = group_advantages(torch.tensor([[1.0, 0.0, 0.0, 0.0]], dtype=torch.float64))
    expected = [0.75 / 0.5001, -0.25 / 0.5001, -0.25 / 0.5001, -0.25 / 0.5001]
    assert advantages[0].tolist() == pytest.approx(expected, rel=1e-12)


def test_without_scaling_only_the_mean_is_taken_off() -> None:
    assert group_advantages(torch.tensor([[1.0, 0.0]]), "none").tolist() == [[0.5, -0.5]]


def test_batch_scaling_divides_every_group_by_the_deviation_of_all_rewards() -> None:
    # all rewards 1, 0, 0, 0 again: deviation 0.5; group means 0.5 and 0
    advantages = group_advantages(torch.tensor([[1.0, 0.0], [0.0, 0.0]], dtype=torch.float64), "batch")
    assert advantages.flatten().tolist() == pytest.approx([0.5 / 0.5001, -0.5 / 0.5001, 0.0, 0.0])


def test_an_abstention_leaves_the_baseline_and_gets_no_advantage() -> None:
    # graded 1 and 0: mean 0.5. Counted as 0 the abstention would have pulled the mean to 1/3.
    advantages = group_advantages(torch.tensor([[1.0, 0.0, NAN]]), "none")
    assert advantages.tolist() == [[0.5, -0.5, 0.0]]


@pytest.mark.parametrize("scale", ["group", "batch", "none"])
def test_a_group_of_equal_rewards_moves_nothing(scale: Scale) -> None:
    assert group_advantages(torch.tensor([[1.1, 1.1, 1.1]], dtype=torch.float64), scale).abs().max() < 1e-11


def test_a_group_that_abstains_as_a_whole_moves_nothing() -> None:
    assert group_advantages(torch.tensor([[NAN, NAN]])).tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize(
    ("rewards", "correct", "signal"),
    [
        ([1.0, 0.0], [1.0, 0.0], Signal.MIXED),
        ([1.0, 1.0], [1.0, 1.0], Signal.ALL_RIGHT),
        ([0.0, 0.0], [0.0, 0.0], Signal.ALL_WRONG),
        ([0.1, 0.0], [0.0, 0.0], Signal.MIXED),  # a format bonus alone
        ([0.5, 0.5], [1.0, 0.0], Signal.CONSTANT),
        ([NAN, NAN], [NAN, NAN], Signal.UNGRADABLE),
        ([1.0, NAN], [1.0, NAN], Signal.UNGRADABLE),  # one graded completion has nothing to be compared with
    ],
)
def test_a_group_without_gradient_names_its_cause(rewards: list[float], correct: list[float], signal: Signal) -> None:
    assert group_signals(torch.tensor([rewards]), torch.tensor([correct])) == [signal]


@pytest.mark.parametrize(
    ("correct", "signal"),
    [
        ([1.0, 0.0, 0.0], Signal.MIXED),
        ([1.0, 1.0, 1.0], Signal.ALL_RIGHT),
        ([0.0, 0.0, 0.0], Signal.ALL_WRONG),
        ([1.0, 1.0, NAN], Signal.ALL_RIGHT),  # what cannot be graded is neither right nor wrong
        ([1.0, 0.0, NAN], Signal.MIXED),
        ([0.0, NAN, NAN], Signal.UNGRADABLE),
        ([NAN, NAN, NAN], Signal.UNGRADABLE),
    ],
)
def test_correctness_alone_names_a_groups_signal(correct: list[float], signal: Signal) -> None:
    assert correctness_signals(torch.tensor([correct])) == [signal]
