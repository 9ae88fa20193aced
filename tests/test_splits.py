import os
import random

import pytest

from reasoning_grpo.data import DataSource, drop_overlap, load_problems, normalise_question, split_heldout
from reasoning_grpo.errors import DataError
from reasoning_grpo.schema import Problem

needs_real_data = pytest.mark.skipif(
    not os.environ.get("REASONING_GRPO_DATA"), reason="REASONING_GRPO_DATA names no folder of real problems"
)


def _problem(question: str, problem_id: str | None = None) -> Problem:
    return Problem(id=problem_id or question, question=question, answer="1")


def _questions(problems: list[Problem]) -> set[str]:
    return {problem.question for problem in problems}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("How many?", "  how\n\tMANY? "),
        ("Straße", "STRASSE"),
        ("ﬁve １２", "five 12"),  # a ligature and full-width digits
        ("cafe\u0301", "caf\u00e9"),  # a combining accent
    ],
)
def test_questions_that_differ_in_case_spaces_or_unicode_form_are_the_same(one: str, other: str) -> None:
    assert normalise_question(one) == normalise_question(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Compute $\\tan 225^\\circ$.", "Compute $\\tan 22.5^\\circ$."),
        ("Solve $z^4 - z^2 = 0$.", "Solve $z^4 + z^2 = 0$."),
        ("Which $k > 0$?", "Which $k < 0$?"),
    ],
)
def test_questions_that_differ_in_a_sign_or_a_point_are_not_the_same(one: str, other: str) -> None:
    assert normalise_question(one) != normalise_question(other)


def test_overlap_is_dropped_and_returned_in_order() -> None:
    train = [_problem("a"), _problem("B  c"), _problem("d"), _problem("A", "second copy")]
    kept, dropped = drop_overlap(train, [_problem("b C"), _problem("a"), _problem("z")])
    assert [problem.question for problem in kept] == ["d"]
    assert [problem.id for problem in dropped] == ["a", "B  c", "second copy"]


def test_heldout_and_train_share_no_question_and_lose_none() -> None:
    problems = [_problem(f"question {number}") for number in range(50)]
    train, heldout = split_heldout(problems, num_heldout=10, seed=0)
    assert (len(train), len(heldout)) == (40, 10)
    assert _questions(train) | _questions(heldout) == _questions(problems)


def test_the_split_does_not_depend_on_the_order_of_the_problems() -> None:
    problems = [_problem(f"question {number}") for number in range(50)]
    shuffled = random.Random(3).sample(problems, 50)
    train, heldout = split_heldout(problems, num_heldout=10, seed=0)
    other_train, other_heldout = split_heldout(shuffled, num_heldout=10, seed=0)
    assert heldout == other_heldout
    assert _questions(train) == _questions(other_train)
    assert train == [problem for problem in problems if problem in train]  # the order given


def test_another_seed_holds_out_other_problems() -> None:
    problems = [_problem(f"question {number}") for number in range(50)]
    # Two seeds pick the same 10 of 50 by chance once in 10 thousand million.
    assert split_heldout(problems, num_heldout=10, seed=0)[1] != split_heldout(problems, num_heldout=10, seed=1)[1]


def test_holding_out_more_keeps_what_was_held_out() -> None:
    problems = [_problem(f"question {number}") for number in range(50)]
    few, more = (split_heldout(problems, num_heldout=count, seed=0)[1] for count in (5, 9))
    assert more[:5] == few


def test_copies_of_a_heldout_question_leave_train_as_well() -> None:
    copies = [_problem("Same?", "b"), _problem("same?", "a"), _problem("SAME?", "c")]
    others = [_problem(f"question {number}") for number in range(3)]
    for seed in range(20):
        train, heldout = split_heldout(copies + others, num_heldout=2, seed=seed)
        held = {normalise_question(problem.question) for problem in heldout}
        assert len(held) == 2
        assert held.isdisjoint(normalise_question(problem.question) for problem in train)
        if "same?" in held:
            assert len(train) == 2  # 6 rows, 2 held out, 2 copies gone
            assert "a" in {problem.id for problem in heldout}  # the smallest id stands for the copies
            return
    pytest.fail("no seed of 20 held out the copied question")  # chance (1/2) ** 20


@pytest.mark.parametrize("count", [3, 4, -1])
def test_too_many_or_negative_heldout_problems_are_a_data_error(count: int) -> None:
    problems = [_problem("a"), _problem("b"), _problem("c"), _problem("A", "copy")]
    with pytest.raises(DataError, match=f"cannot hold out {count} of 3 different questions"):
        split_heldout(problems, num_heldout=count, seed=0)


def test_nothing_held_out_leaves_everything_to_train_on() -> None:
    problems = [_problem("a"), _problem("A", "copy")]
    assert split_heldout(problems, num_heldout=0, seed=0) == (problems, [])


def test_overlap_is_found_under_other_latex_spacing_and_signs() -> None:
    train = [_problem("Let $x^{2} = 4$. Find $x$."), _problem("Let $x^2=9$. Find $x$."), _problem("?!")]
    kept, dropped = drop_overlap(train, [_problem("Let $x^2=4$.  Find $x.$"), _problem("?")])
    assert [problem.question for problem in dropped] == ["Let $x^{2} = 4$. Find $x$."]
    assert len(kept) == 2


@needs_real_data
@pytest.mark.parametrize(("benchmark", "num_dropped"), [("math", 10), ("math500", 1)])
def test_ten_math_train_questions_stand_in_math_test_and_one_in_math500(benchmark: str, num_dropped: int) -> None:
    train = load_problems(DataSource(name="math")).problems
    test = load_problems(DataSource(name=benchmark, split="test")).problems
    assert len(drop_overlap(train, test)[1]) == num_dropped
