"""The figures of `result.json`, worked out by hand."""

import math
from dataclasses import replace

import pytest
from handmade_runs import TERM, answers_of, run_of

from reasoning_grpo.eval.measures import measures


def test_accuracy_of_single_samples_has_wilsons_interval() -> None:
    figures = measures(run_of({"a": "1", "b": "0", "c": "-", "d": "1"}))
    assert (figures["accuracy"], figures["interval"], figures["num_samples"]) == (0.5, "wilson", 1)


def test_accuracy_of_several_samples_weighs_problems_alike() -> None:
    # a: 1 of 2, b: 4 of 4 -> mean (0.5 + 1) / 2, not 5 / 6
    figures = measures(run_of({"a": "10", "b": "1111"}))
    assert (figures["accuracy"], figures["interval"], figures["num_samples"]) == (0.75, "clustered", 2)


def test_what_cannot_be_graded_is_in_no_share() -> None:
    figures = measures(run_of({"a": "1", "b": "?", "c": "0"}))
    assert (figures["accuracy"], figures["num_graded"], figures["num_ungradable"]) == (0.5, 2, 1)


def test_a_run_where_nothing_can_be_graded_has_no_accuracy() -> None:
    figures = measures(run_of({"a": "?"}))
    assert math.isnan(figures["accuracy"])
    assert figures["pass_at_k"] == {}


def test_pass_at_k_is_given_for_powers_of_two_and_all_samples() -> None:
    figures = measures(run_of({"a": "100", "b": "000"}))
    # a: pass@1 1/3, pass@2 1 - C(2,2)/C(3,2) = 2/3, pass@3 1; b: 0
    assert {k: row["value"] for k, row in figures["pass_at_k"].items()} == {
        "1": pytest.approx(1 / 6),
        "2": pytest.approx(1 / 3),
        "3": pytest.approx(1 / 2),
    }


def test_a_k_beyond_the_samples_is_no_number() -> None:
    figures = measures(run_of({"a": "10", "b": "11"}), asked_k=[4])
    assert math.isnan(figures["pass_at_k"]["4"]["value"])


def test_the_majority_counts_equal_answers_as_one() -> None:
    # 1/2, 0.5 and 50\% are one class of three votes; the right 7 has two.
    figures = measures(answers_of({"a": [r"\frac{1}{2}", "0.5", "7", "7", "1/2"], "b": ["7", "7", "7", "8", "9"]}))
    assert figures["maj_at_k"]["5"]["value"] == 0.5


def test_wrong_answers_that_nobody_knows_leave_no_majority() -> None:
    # A verifier that returns True or False: of one right and three wrong samples the right one would win unopposed.
    run = run_of({"a": "1000"})
    silent = [replace(a, verdicts={TERM: replace(run.verdict(a), extracted=None)}) for a in run.attempts]
    figures = measures(replace(run, attempts=tuple(silent)))
    assert (figures["maj_at_k"], figures["pass_at_k"]["4"]["value"]) == ({}, 1.0)


def test_rates_are_shares_of_attempts() -> None:
    figures = measures(run_of({"a": "1", "b": "t", "c": "-", "d": "0"}))
    rates = [figures[name] for name in ("format_rate", "truncation_rate", "no_answer_rate")]
    assert rates == [0.5, 0.25, 0.5]


def test_results_are_broken_down_by_level() -> None:
    meta = {"a": {"level": 1}, "b": {"level": 1}, "c": {"level": 5}}
    levels = measures(run_of({"a": "1", "b": "0", "c": "0"}, meta=meta))["by"]["level"]
    assert {name: (row["num_problems"], row["accuracy"]) for name, row in levels.items()} == {
        "1": (2, 0.5),
        "5": (1, 0),
    }


def test_one_level_is_no_breakdown() -> None:
    assert measures(run_of({"a": "1", "b": "0"}, meta={"a": {"level": 1}, "b": {"level": 1}}))["by"] == {}


def test_throughput_needs_a_time() -> None:
    assert measures(run_of({"a": "1"}))["tokens_per_second"] is None
    assert measures(run_of({"a": "1"}, facts={"seconds": 2.0}))["tokens_per_second"] == 5.0
