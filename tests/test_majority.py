"""The chance that a vote is right, by hand and by counting all votes."""

import math
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reasoning_grpo.eval.majority import majority_at_k


def by_counting(votes: list[int], right: list[bool], num_samples: int, k: int) -> float:
    """Hold every vote that k of the samples could hold."""
    labels = [number for number, count in enumerate(votes) for _ in range(count)]
    labels += [-1] * (num_samples - len(labels))
    shares = []
    for drawn in combinations(labels, k):
        counts = [drawn.count(number) for number in range(len(votes))]
        leading = [is_right for count, is_right in zip(counts, right, strict=True) if count and count == max(counts)]
        shares.append(sum(leading) / len(leading) if leading else 0.0)
    return sum(shares) / len(shares)


CLASSES = st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=4)


@settings(deadline=None)
@given(CLASSES, st.integers(0, 3), st.data())
def test_it_is_the_mean_over_all_votes_that_could_be_held(
    classes: list[tuple[int, bool]], num_silent: int, data: st.DataObject
) -> None:
    votes, right = [count for count, _ in classes], [is_right for _, is_right in classes]
    num_samples = sum(votes) + num_silent
    if num_samples:
        k = data.draw(st.integers(1, num_samples))
        expected = by_counting(votes, right, num_samples, k)
        assert majority_at_k(votes, right, num_samples, k) == pytest.approx(expected, abs=1e-11)


def test_a_tie_is_split_evenly() -> None:
    assert majority_at_k([2, 2, 1], [True, False, False], 5, 5) == 0.5


def test_a_vote_of_one_is_accuracy() -> None:
    assert majority_at_k([3, 1], [True, False], 8, 1) == 3 / 8


def test_samples_without_an_answer_have_no_vote() -> None:
    # 2 right, 1 wrong, 5 silent: the right answer leads
    assert majority_at_k([2, 1], [True, False], 8, 8) == 1.0


def test_where_nobody_answers_there_is_no_majority() -> None:
    assert majority_at_k([0], [True], 3, 3) == 0.0


def test_a_majority_of_fewer_samples_is_the_mean_over_votes() -> None:
    # Of right, right, wrong two are drawn: {r, r} once in three is right, {r, w} twice is a tie: 1/3 + 2/3 * 1/2
    assert majority_at_k([2, 1], [True, False], 3, 2) == pytest.approx(2 / 3, abs=1e-12)


def test_a_majority_of_many_is_exact_too() -> None:
    # 500 right and 499 wrong of 999, 3 drawn: C(500, 3) + C(500, 2) * 499 of C(999, 3)
    ways = math.comb(500, 3) + math.comb(500, 2) * 499
    assert majority_at_k([500, 499], [True, False], 999, 3) == pytest.approx(ways / math.comb(999, 3), abs=1e-11)


def test_a_majority_of_more_than_there_are_is_no_number() -> None:
    assert math.isnan(majority_at_k([2], [True], 4, 8))
