"""What a difference is made of, in exact shares."""

from fractions import Fraction

from handmade_runs import run_of
from hypothesis import given
from hypothesis import strategies as st

from reasoning_grpo.eval.attribution import attribute, strata
from reasoning_grpo.eval.measures import graded_attempts
from reasoning_grpo.eval.runs import Run
from reasoning_grpo.schema import Outcome

MARKS = st.lists(st.text("10-t", min_size=1, max_size=3), min_size=1, max_size=6)


def parts_of(before: Run, after: Run) -> dict[str, Fraction]:
    return attribute(strata(before, graded_attempts(before)), strata(after, graded_attempts(after)))


def exact_accuracy(run: Run) -> Fraction:
    shares = [
        Fraction(sum(run.verdict(a).outcome is Outcome.PASS for a in samples), len(samples))
        for samples in graded_attempts(run).values()
    ]
    return sum(shares, Fraction()) / len(shares)


def test_fewer_truncated_answers_are_the_truncation_part() -> None:
    # Half of the answers were cut off; all that ended were right, before and after: 1/2 more at accuracy 1.
    before, after = run_of({"a": "1", "b": "t"}), run_of({"a": "1", "b": "1"})
    expected = {"form": 0, "extraction": 0, "truncation": Fraction(1, 2), "correctness": 0}
    assert parts_of(before, after) == expected


def test_more_boxes_are_the_form_part() -> None:
    # Of four answers two had no box; afterwards all have one, half of which are right, as before: 1/2 * 1/2.
    before, after = run_of({"a": "1", "b": "0", "c": "-", "d": "-"}), run_of({"a": "1", "b": "0", "c": "1", "d": "0"})
    expected = {"form": Fraction(1, 4), "extraction": 0, "truncation": 0, "correctness": 0}
    assert parts_of(before, after) == expected


def test_better_answers_in_the_same_form_are_correctness() -> None:
    before, after = run_of({"a": "1", "b": "0"}), run_of({"a": "1", "b": "1"})
    expected = {"form": 0, "extraction": 0, "truncation": 0, "correctness": Fraction(1, 2)}
    assert parts_of(before, after) == expected


@given(MARKS, MARKS)
def test_the_parts_sum_exactly_to_the_difference(before: list[str], after: list[str]) -> None:
    runs = [run_of({str(i): row for i, row in enumerate(rows)}) for rows in (before, after)]
    assert sum(parts_of(*runs).values()) == exact_accuracy(runs[1]) - exact_accuracy(runs[0])


@given(MARKS, MARKS)
def test_swapping_the_runs_flips_every_part(before: list[str], after: list[str]) -> None:
    runs = [run_of({str(i): row for i, row in enumerate(rows)}) for rows in (before, after)]
    there, back = parts_of(*runs), parts_of(runs[1], runs[0])
    assert there == {name: -part for name, part in back.items()}
