"""Estimates over problems, checked by hand, by counting, and against stored runs whose errors are known."""

import json
import math
import os
from collections import defaultdict
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reasoning_grpo.eval.estimates import error_over_repeats, over_problems, pass_at_k
from reasoning_grpo.eval.metrics import Accuracy
from reasoning_grpo.rewards.score import read_rows

OUTPUTS = os.environ.get("REASONING_GRPO_OUTPUTS")


def test_the_error_is_that_of_the_mean_over_problems() -> None:
    # means 0, 0.5, 1: mean 0.5, sample variance (0.25 + 0 + 0.25) / 2 = 0.25, error sqrt(0.25 / 3)
    estimate = over_problems([0.0, 0.5, 1.0])
    assert estimate.value == 0.5
    assert estimate.standard_error == pytest.approx(math.sqrt(0.25 / 3))


def test_one_problem_has_no_error() -> None:
    assert math.isnan(over_problems([1.0]).standard_error)


def test_the_interval_stays_within_shares() -> None:
    low, high = over_problems([1.0, 1.0, 1.0, 0.9]).interval
    assert 0.0 < low < 0.975 < high <= 1.0
    assert over_problems([1.0] * 7).interval[1] == 1.0


@settings(deadline=None)  # the first call imports scipy
@given(st.lists(st.sampled_from([0.0, 1.0]), min_size=1, max_size=40))
def test_right_or_wrong_problems_have_wilsons_own_interval(values: list[float]) -> None:
    own = Accuracy(num_correct=round(sum(values)), num_graded=len(values)).interval
    assert over_problems(values).interval == pytest.approx(own)


def test_problems_never_solved_do_not_promise_that_none_ever_is() -> None:
    # Wilson for 0 of 30: [0, z^2 / (30 + z^2)] = 3.8415 / 33.8415
    assert over_problems([0.0] * 30).interval == pytest.approx((0.0, 3.8415 / 33.8415), abs=1e-5)
    assert over_problems([1.0] * 30).interval == pytest.approx((30 / 33.8415, 1.0), abs=1e-5)


def test_one_problem_unlike_the_others_does_not_narrow_the_interval() -> None:
    # 29 of 30 never solved, one in one of 8 samples. With the imagined one: mean (1/8 + 1/2) / 31 = 0.020161, variance
    # (1/64 + 1/2) / 31 - 0.020161^2 = 0.016227, effective number 0.020161 * 0.979839 / 0.016227 * 32 - 2 = 36.96.
    # Wilson about 1/240 with s = 3.8415 / 36.96 = 0.10394: 0.05085 +- 0.05070. Mean and 1.96 errors end at 0.0123.
    low, high = over_problems([0.125] + [0.0] * 29).interval
    assert (low, high) == pytest.approx((0.00015, 0.10155), abs=1e-5)


def test_problems_solved_equally_often_still_have_an_interval() -> None:
    # With the imagined one: mean 0.5, variance 1.5 / 5 - 0.25 = 0.05, effective number 0.25 / 0.05 * 6 - 2 = 28.
    # Wilson: s = 3.8415 / 28 = 0.13720; 0.5 +- sqrt(s / 4 + s^2 / 4) / (1 + s) = 0.5 +- 0.1737
    assert over_problems([0.5] * 4).interval == pytest.approx((0.3263, 0.6737), abs=1e-4)


def test_there_is_no_more_to_know_than_there_are_answers() -> None:
    # Two answers each: eight in all, so Wilson's for 4 of 8
    assert over_problems([0.5] * 4, 8).interval == pytest.approx(Accuracy(num_correct=4, num_graded=8).interval)


def test_many_problems_that_differ_have_the_interval_of_their_error() -> None:
    # shares 0.2 and 0.8, 500 each: the error is 0.3 / sqrt(999)
    low, high = over_problems([0.2, 0.8] * 500).interval
    assert (low, high) == pytest.approx((0.5 - 1.96 * 0.3 / 999**0.5, 0.5 + 1.96 * 0.3 / 999**0.5), abs=2e-4)


@pytest.mark.parametrize(("num_problems", "alpha", "beta"), [(30, 0.1, 2.0), (30, 5.0, 5.0), (100, 2.0, 0.2)])
def test_nineteen_intervals_in_twenty_hold_the_truth(num_problems: int, alpha: float, beta: float) -> None:
    # Beta(0.1, 2) is a model for which most problems are too hard; mean and 1.96 errors hold 0.05 / 1.05 84 % of times.
    random = np.random.default_rng(0)
    shares = random.binomial(8, random.beta(alpha, beta, size=(400, num_problems))) / 8
    intervals = [over_problems(row, 8 * num_problems).interval for row in shares.tolist()]
    truth = alpha / (alpha + beta)
    assert 0.92 <= sum(low <= truth <= high for low, high in intervals) / 400 <= 0.99


def test_repeats_of_one_set_have_an_error_of_their_own() -> None:
    # repeats are the columns: accuracies 1, 0.5 and 0; sample deviation 0.5; error 0.5 / sqrt(3)
    rights = [[True, True, False], [True, False, False]]
    assert error_over_repeats(rights) == pytest.approx(0.5 / math.sqrt(3))


def test_a_single_repeat_has_no_error_over_repeats() -> None:
    assert math.isnan(error_over_repeats([[True], [False]]))


@given(st.integers(1, 7).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))))
def test_pass_at_k_is_the_share_of_subsets_with_a_right_sample(drawn: tuple[int, int, int]) -> None:
    num_samples, num_correct, k = drawn
    subsets = list(combinations(range(num_samples), k))
    share = sum(any(i < num_correct for i in subset) for subset in subsets) / len(subsets)
    assert pass_at_k(num_samples, num_correct, k) == pytest.approx(share)


def test_pass_at_k_holds_for_many_samples() -> None:
    # 1 - C(990, 100) / C(1000, 100)
    assert pass_at_k(1000, 10, 100) == pytest.approx(1 - math.comb(990, 100) / math.comb(1000, 100))


def test_pass_at_more_than_there_are_is_no_number() -> None:
    assert math.isnan(pass_at_k(4, 2, 8))


@pytest.mark.skipif(not OUTPUTS, reason="REASONING_GRPO_OUTPUTS is not set")
@pytest.mark.parametrize(
    ("dataset", "mean", "repeats", "clustered"), [("amc2023", 14.4, 0.76, 3.20), ("aime2024", 2.4, 0.37, 1.21)]
)
def test_the_errors_of_fifty_stored_runs(dataset: str, mean: float, repeats: float, clustered: float) -> None:
    path = Path(OUTPUTS or "") / "rg_llama3b_aime_amc_50x" / "outputs.jsonl.gz"
    labels: dict[str, list[bool]] = defaultdict(list)
    for row in read_rows(path, where={"dataset": dataset, "model": "llama-3.2-3b-rg-step400"}):
        labels[row.problem.id].append(bool(row.label))
    estimate = over_problems([sum(samples) / len(samples) for samples in labels.values()])
    assert {len(samples) for samples in labels.values()} == {50}
    assert 100 * estimate.value == pytest.approx(mean, abs=0.05)
    assert 100 * error_over_repeats(list(labels.values())) == pytest.approx(repeats, abs=0.005)
    assert 100 * estimate.standard_error == pytest.approx(clustered, abs=0.005)


def test_figures_without_a_value_are_written_as_null(tmp_path: Path) -> None:
    from reasoning_grpo import storage

    storage.write_json(tmp_path / "a.json", {"x": pass_at_k(1, 1, 2)})
    assert json.loads((tmp_path / "a.json").read_text()) == {"x": None}
