"""Measures checked by hand."""

import math

import pytest

from reasoning_grpo.eval.metrics import Accuracy, PairedComparison, accuracy, compare_paired, outcome_counts
from reasoning_grpo.schema import Outcome, Verdict

RIGHT = Verdict(score=1.0, outcome=Outcome.PASS)
WRONG = Verdict(score=0.0, outcome=Outcome.FAIL)
SILENT = Verdict(score=0.0, outcome=Outcome.NO_ANSWER)
UNGRADABLE = Verdict(score=None, outcome=Outcome.UNGRADABLE)


def test_an_ungradable_problem_leaves_the_denominator() -> None:
    measured = accuracy([RIGHT, RIGHT, WRONG, SILENT, UNGRADABLE])
    assert (measured.value, measured.num_graded, measured.num_ungradable) == (0.5, 4, 1)


def test_the_interval_is_wilsons() -> None:
    # n = 10, k = 5, z = 1.959964: centre 0.5, half width z / (1 + z^2/n) * sqrt(0.25/n + z^2/(4 n^2))
    z = 1.959963984540054
    half = z / (1 + z * z / 10) * math.sqrt(0.25 / 10 + z * z / 400)
    assert Accuracy(num_correct=5, num_graded=10).interval == pytest.approx((0.5 - half, 0.5 + half))


def test_all_right_has_a_lower_end_below_one() -> None:
    low, high = Accuracy(num_correct=20, num_graded=20).interval
    z = 1.959963984540054
    assert low == pytest.approx(20 / (20 + z * z))
    assert high == pytest.approx(1.0)


def test_nothing_graded_is_not_zero() -> None:
    nothing = accuracy([UNGRADABLE])
    assert math.isnan(nothing.value)
    assert all(math.isnan(end) for end in nothing.interval)


def test_mcnemars_exact_p_is_the_binomials() -> None:
    # 1 loss against 7 wins: two-sided P(X <= 1 or X >= 7 | n = 8, 1/2) = 2 * (1 + 8) / 256
    paired = PairedComparison(wins=7, losses=1, num_problems=100)
    assert paired.p_value == pytest.approx(18 / 256)
    assert paired.difference == pytest.approx(0.06)


def test_no_changed_answer_is_no_evidence() -> None:
    assert PairedComparison(wins=0, losses=0, num_problems=10).p_value == 1.0


def test_problems_are_paired_by_id_and_ungradable_ones_left_out() -> None:
    before = {"a": WRONG, "b": RIGHT, "c": WRONG, "d": UNGRADABLE, "only-before": RIGHT}
    after = {"a": RIGHT, "b": WRONG, "c": SILENT, "d": RIGHT}
    assert compare_paired(before, after) == PairedComparison(wins=1, losses=1, num_problems=3)


def test_outcomes_are_counted_apart_and_all_named() -> None:
    counts = outcome_counts([RIGHT, WRONG, SILENT, UNGRADABLE])
    assert (counts["pass"], counts["fail"], counts["no_answer"], counts["ungradable"], counts["timeout"]) == (
        1,
        1,
        1,
        1,
        0,
    )
