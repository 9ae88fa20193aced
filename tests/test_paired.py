"""The paired interval and the bootstrap, against a search over all likelihoods and against each other."""

import math
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import permutation_test

from reasoning_grpo.eval.metrics import PairedComparison
from reasoning_grpo.eval.paired import Tally, paired_difference, sign_flip_p_value, tango_interval


def tally(before: int, after: int, samples: int = 1) -> Tally:
    return Tally(right_before=before, num_before=samples, right_after=after, num_after=samples)


def score_by_search(difference: float, wins: int, losses: int, num_problems: int) -> float:
    """Tango's statistic with P(loss) found by trying 200,000 values for the most likely one."""
    lost = np.linspace(max(0.0, -difference), (1 - difference) / 2, 200_001)[1:-1]
    kept = 1 - 2 * lost - difference
    with np.errstate(divide="ignore", invalid="ignore"):
        likelihood = (
            (wins * np.log(lost + difference) if wins else 0)
            + (losses * np.log(lost) if losses else 0)
            + ((num_problems - wins - losses) * np.log(kept) if num_problems > wins + losses else 0)
        )
    best = lost[np.nanargmax(likelihood)]
    return float(
        (wins - losses - num_problems * difference)
        / math.sqrt(num_problems * (2 * best + difference * (1 - difference)))
    )


@pytest.mark.parametrize(("wins", "losses", "num_problems"), [(9, 4, 40), (1, 3, 44), (64, 54, 1319)])
def test_the_ends_of_the_interval_are_where_the_score_test_turns(wins: int, losses: int, num_problems: int) -> None:
    low, high = tango_interval(wins, losses, num_problems)
    assert score_by_search(low, wins, losses, num_problems) == pytest.approx(1.96, abs=0.01)
    assert score_by_search(high, wins, losses, num_problems) == pytest.approx(-1.96, abs=0.01)


def test_the_interval_of_no_change_is_not_empty() -> None:
    # (0 - n d) / sqrt(n d (1 - d)) = -z at d = z^2 / (n + z^2) = 3.8415 / 53.8415
    assert tango_interval(0, 0, 50)[1] == pytest.approx(3.8415 / 53.8415, abs=1e-5)


def test_everything_won_ends_at_one() -> None:
    assert tango_interval(5, 0, 5)[1] == 1.0


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 30))
def test_swapping_the_runs_turns_the_interval_round(wins: int, losses: int, ties: int) -> None:
    num_problems = wins + losses + ties
    if num_problems:
        low, high = tango_interval(wins, losses, num_problems)
        assert tango_interval(losses, wins, num_problems) == pytest.approx((-high, -low), abs=1e-9)
        assert low <= (wins - losses) / num_problems <= high


def test_single_samples_are_tested_exactly() -> None:
    # 5 wins of 5 changed: p = 2 / 2^5
    found = paired_difference([tally(0, 1)] * 5 + [tally(1, 1)] * 5)
    assert (found.difference, found.p_value, found.wins, found.losses, found.ties) == (0.5, 2 / 2**5, 5, 0, 5)


def test_an_interval_holds_zero_where_the_test_is_not_sure() -> None:
    # 9 wins and 2 losses: Tango's begins above 0, McNemar says 2 * (1 + 11 + 55) / 2^11 = 0.0654
    found = paired_difference([tally(0, 1)] * 9 + [tally(1, 0)] * 2 + [tally(1, 1)] * 89)
    assert tango_interval(9, 2, 100)[0] > 0.0
    assert found.low == 0.0
    assert found.p_value == pytest.approx(134 / 2**11)


def test_no_difference_is_significant_whose_interval_holds_zero() -> None:
    # 21 of 32 gained 2 of 8 and one lost all 8. For 31 degrees of freedom draws are stretched by 2.040 / 1.960 = 1.041
    # at 95 %, where p is 0.0096, and by 2.744 / 2.576 = 1.065 at 99 %, where the interval begins below 0.
    found = paired_difference([tally(4, 4, 8)] * 10 + [tally(8, 0, 8)] + [tally(0, 2, 8)] * 21, confidence=0.99)
    assert found.low < 0.0
    assert not found.is_significant


def test_several_samples_are_drawn_by_problem() -> None:
    # Differences of 0 and 0.5, 20 each: mean 0.25, deviation 0.25; the error of the mean is 0.25 / sqrt(39), and
    # Student's quantile for 39 is 2.0227.
    found = paired_difference([tally(4, 4, 8), tally(2, 6, 8)] * 20, num_draws=4000)
    spread = 2.0227 * 0.25 / math.sqrt(39)
    assert (found.low, found.high) == pytest.approx((0.25 - spread, 0.25 + spread), abs=0.008)
    assert found.p_value < 0.01


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), min_size=1, max_size=8))
def test_the_sign_flip_test_counts_every_flip(rows: list[tuple[int, int]]) -> None:
    tallies = [Tally(right_before=a, num_before=3, right_after=b, num_after=4) for a, b in rows]
    sizes = [4 * a - 3 * b for a, b in rows]
    sums = [sum(sign * size for sign, size in zip(signs, sizes, strict=True)) for signs in signs_of(len(sizes))]
    as_far = sum(abs(one) >= abs(sum(sizes)) for one in sums)
    assert sign_flip_p_value(differences(tallies)) == pytest.approx(as_far / 2 ** len(sizes))


def signs_of(count: int) -> list[tuple[int, ...]]:
    return list(product((1, -1), repeat=count))


def test_the_sign_flip_test_agrees_with_scipys() -> None:
    random = np.random.default_rng(0)
    before, after = random.integers(0, 9, size=(2, 11)) / 8
    expected = permutation_test(
        (before, after), lambda x, y, axis: np.mean(x - y, axis=axis), permutation_type="samples", vectorized=True
    )
    tallies = [tally(round(8 * a), round(8 * b), 8) for a, b in zip(before, after, strict=True)]
    assert sign_flip_p_value(differences(tallies)) == pytest.approx(expected.pvalue)


@settings(deadline=None)
@given(st.integers(0, 40), st.integers(0, 40))
def test_the_sign_flip_test_of_single_samples_is_mcnemars(wins: int, losses: int) -> None:
    tallies = [tally(0, 1)] * wins + [tally(1, 0)] * losses + [tally(1, 1)]
    exact = PairedComparison(wins=wins, losses=losses, num_problems=len(tallies)).p_value
    assert sign_flip_p_value(differences(tallies)) == pytest.approx(exact)


def differences(tallies: list[Tally]) -> list[Fraction]:
    return [one.difference for one in tallies]


def test_differences_that_share_no_step_are_put_on_a_grid() -> None:
    # the lcm of the first twelve primes has 13 digits; twelve of twelve gained
    primes = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)
    assert sign_flip_p_value([Fraction(1, prime) for prime in primes]) == pytest.approx(2 / 2**12)


def test_many_problems_are_tested_as_exactly_as_few() -> None:
    # 1,200 wins and 1,100 losses: of 2,301 sums the 577 nearest 0 are held, 12 * sqrt(2300) = 575.5
    tallies = [tally(0, 1)] * 1200 + [tally(1, 0)] * 1100
    exact = PairedComparison(wins=1200, losses=1100, num_problems=2300).p_value
    assert sign_flip_p_value(differences(tallies)) == pytest.approx(exact)


def test_many_problems_that_all_gained_have_the_least_p_value_there_is() -> None:
    # the sum is sqrt(300) = 17 deviations from 0, beyond what is held: the found flip and its opposite remain
    assert sign_flip_p_value(differences([tally(0, 1)] * 300)) == 2.0**-299


def test_pass_at_k_is_compared_by_its_unbiased_estimate() -> None:
    # 4 samples, k = 2: of 0 right 0, of 1 right 1 - C(3,2) / C(4,2) = 1/2, of 2 right 1 - 1/6 = 5/6, of 4 right 1
    found = paired_difference([tally(0, 1, 4), tally(4, 2, 4), tally(1, 1, 4)], k=2, num_draws=100)
    assert found.difference == pytest.approx((1 / 2 - 1 / 6) / 3)
    assert (found.wins, found.losses, found.ties) == (1, 1, 1)


def test_of_pass_at_all_samples_only_problems_never_solved_can_change() -> None:
    # pass@4 goes from 0 to 1 once; 1 of 4 to 4 of 4 is no change
    found = paired_difference([tally(0, 1, 4), tally(1, 4, 4)], k=4, num_draws=100)
    assert (found.difference, found.wins, found.p_value) == (0.5, 1, 1.0)


@pytest.mark.parametrize(("num_changed", "least"), [(1, 1.0), (3, 1 / 4), (5, 1 / 16)])
def test_a_few_changed_problems_are_no_proof(num_changed: int, least: float) -> None:
    # all m gained: a sign test says 2 / 2^m
    found = paired_difference([tally(0, 1, 4)] * num_changed, num_draws=500)
    assert found.p_value == least
    assert found.low <= 0.0 < found.difference < found.high


def test_many_problems_alike_and_few_changed_are_no_proof() -> None:
    found = paired_difference([tally(0, 1, 4)] * 5 + [tally(2, 2, 4)] * 95)
    assert (found.p_value, found.is_significant) == (1 / 16, False)
    assert found.low <= 0.0


def test_no_change_of_several_samples_has_the_interval_of_no_change() -> None:
    found = paired_difference([tally(2, 2, 4)] * 50, num_draws=100)
    assert (found.low, found.high, found.p_value) == (*tango_interval(0, 0, 50), 1.0)


def test_without_a_difference_one_comparison_in_twenty_is_significant() -> None:
    random = np.random.default_rng(0)
    chances = random.beta(0.8, 0.8, size=(300, 100))
    counts = random.binomial(4, np.stack([chances, chances], axis=-1))
    runs = [[tally(int(a), int(b), 4) for a, b in run] for run in counts]
    rejected = sum(paired_difference(run, num_draws=400).is_significant for run in runs)
    assert 0.02 <= rejected / 300 <= 0.09


def test_without_a_difference_ten_problems_are_seldom_significant() -> None:
    # Percentiles of ten problems alone rejected 7 to 9 times in a hundred.
    random = np.random.default_rng(0)
    chances = random.beta(0.8, 0.8, size=(300, 10))
    counts = random.binomial(8, np.stack([chances, chances], axis=-1))
    runs = [[tally(int(a), int(b), 8) for a, b in run] for run in counts]
    assert sum(paired_difference(run, num_draws=400).is_significant for run in runs) / 300 <= 0.05


def test_the_variance_of_several_samples_is_the_measured_one() -> None:
    # one of 30 problems gained a half: 0.25 / 30 - (0.5 / 30) ** 2
    found = paired_difference([tally(2, 2, 4)] * 29 + [tally(1, 3, 4)], num_draws=100)
    assert found.variance == pytest.approx(0.25 / 30 - (0.5 / 30) ** 2)


def test_the_same_seed_draws_the_same() -> None:
    tallies = [tally(i % 5, (i * 3) % 5, 4) for i in range(20)]
    assert paired_difference(tallies, num_draws=500) == paired_difference(tallies, num_draws=500)
    assert paired_difference(tallies, num_draws=500) != paired_difference(tallies, num_draws=500, seed=1)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=12))
def test_swapping_several_samples_negates_the_difference(rows: list[tuple[int, int]]) -> None:
    there = paired_difference([tally(a, b, 4) for a, b in rows], num_draws=50)
    back = paired_difference([tally(b, a, 4) for a, b in rows], num_draws=50)
    assert there.difference == pytest.approx(-back.difference)
    assert (there.wins, there.losses) == (back.losses, back.wins)


def test_no_change_on_few_problems_does_not_promise_to_see_everything() -> None:
    assert paired_difference([tally(1, 1)] * 60).variance == 3 / 60
    assert paired_difference([tally(0, 1)] * 60).variance == 3 / 60


def test_nothing_to_compare_is_no_number() -> None:
    found = paired_difference([])
    assert math.isnan(found.difference)
    assert found.num_problems == 0
