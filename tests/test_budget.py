"""Accuracy if cut at a budget of tokens, worked out by hand."""

from dataclasses import replace

from handmade_runs import run_of

from reasoning_grpo.eval.budget import budgets, curve
from reasoning_grpo.eval.runs import Run


def run_with(marks: dict[str, str], lengths: list[int | None]) -> Run:
    """Return a run whose attempts have these lengths."""
    run = run_of(marks)
    pairs = zip(run.attempts, lengths, strict=True)
    attempts = [replace(a, completion=replace(a.completion, num_tokens=length)) for a, length in pairs]
    return replace(run, attempts=tuple(attempts))


def test_an_attempt_counts_only_where_its_whole_completion_fits() -> None:
    run = run_with({"a": "1", "b": "1", "c": "0", "d": "1"}, [10, 20, 5, 40])
    assert [point["accuracy"] for point in curve(run, [9, 10, 20, 39, 40])] == [0.0, 0.25, 0.5, 0.5, 0.75]


def test_the_last_point_is_the_run_itself() -> None:
    run = run_with({"a": "10", "b": "11"}, [3, 90, 7, 8])
    at = budgets([run])
    assert (at[-1], curve(run, at)[-1]["accuracy"]) == (90, 0.75)


def test_each_point_has_wilsons_interval() -> None:
    # 1 of 4 right at 10 tokens: Wilson's 95 % interval is [0.0456, 0.6994]
    point = curve(run_with({"a": "1", "b": "1", "c": "0", "d": "0"}, [10, 20, 5, 5]), [10])[0]
    assert (round(point["ci_low"], 4), round(point["ci_high"], 4)) == (0.0456, 0.6994)


def test_the_share_that_fits_counts_wrong_attempts_too() -> None:
    assert curve(run_with({"a": "1", "b": "0", "c": "0", "d": "1"}, [10, 20, 5, 40]), [20])[0]["share_fitting"] == 0.75


def test_budgets_are_shared_by_two_runs() -> None:
    first, second = run_with({"a": "1"}, [10]), run_with({"a": "1"}, [30])
    assert budgets([first, second]) == [10, 30]


def test_a_run_that_does_not_know_its_lengths_has_no_curve() -> None:
    assert budgets([run_with({"a": "1", "b": "1"}, [10, None])]) == []


def test_what_cannot_be_graded_is_in_no_point() -> None:
    assert curve(run_with({"a": "1", "b": "?"}, [10, 500]), [10])[0]["accuracy"] == 1.0


def test_beside_a_run_of_which_nothing_can_be_graded_there_is_no_curve() -> None:
    assert budgets([run_with({"a": "1"}, [10]), run_with({"a": "?"}, [10])]) == []
