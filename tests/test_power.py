"""Power of a paired comparison, against numbers known and a simulation."""

import math

import numpy as np
import pytest

from reasoning_grpo.eval.metrics import PairedComparison
from reasoning_grpo.eval.power import paired_variance, problems_needed, smallest_detectable


def test_a_known_pair_on_gsm8k_detects_two_point_three_points() -> None:
    # 54 + 64 of 1,319 problems changed: 2.802 * sqrt(118 / 1319 / 1319) = 0.0231
    assert smallest_detectable(1319, variance=118 / 1319) == pytest.approx(0.0231, abs=5e-5)


def test_more_samples_help_up_to_what_problems_allow() -> None:
    assert paired_variance(1) > paired_variance(4) > paired_variance(10_000) > 0.5 * paired_variance(1) - 1e-9


def test_problems_needed_is_the_inverse() -> None:
    detectable = smallest_detectable(500, variance=0.2)
    assert problems_needed(detectable, 0.2) in (500, 501)


def test_no_difference_needs_no_number() -> None:
    assert problems_needed(0.0, 0.2) is None
    assert math.isnan(smallest_detectable(0))


def test_a_difference_of_this_size_is_found_four_times_in_five() -> None:
    num_problems, discordance = 1000, 0.2
    difference = smallest_detectable(num_problems, variance=discordance)
    chances = [(discordance + difference) / 2, (discordance - difference) / 2, 1 - discordance]
    drawn = np.random.default_rng(0).multinomial(num_problems, chances, size=400)
    found = sum(
        PairedComparison(wins=w, losses=v, num_problems=num_problems).p_value < 0.05 for w, v, _ in drawn.tolist()
    )
    assert found / 400 == pytest.approx(0.8, abs=0.07)
