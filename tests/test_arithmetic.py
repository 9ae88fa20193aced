import re
from itertools import islice

import pytest

from reasoning_grpo.data.arithmetic import generate

SPLITS = ("pretrain", "train", "test")


def test_same_arguments_give_the_same_problems() -> None:
    assert list(generate("train", seed=3, limit=50)) == list(generate("train", seed=3, limit=50))


def test_a_shorter_stream_is_the_beginning_of_a_longer_one() -> None:
    assert list(generate("test", limit=20)) == list(generate("test", limit=60))[:20]


def test_another_seed_gives_other_problems() -> None:
    first, second = ({problem.question for problem in generate("train", seed=seed, limit=200)} for seed in (0, 1))
    assert len(first & second) < 5


def test_the_hand_worked_problem_stays_what_it_was() -> None:
    # Written down from the first run: another text here means that every published number of the demo has moved.
    # By hand: 73 + 24 = 97, 97 - 56 = 41.
    problem = next(generate("train", seed=0))
    assert problem.id == "arithmetic/train/0"
    assert problem.question == (
        "Bella starts with 73 cookies. She finds 24 more. Next she uses up 56. How many cookies are left with Bella?"
    )
    assert problem.answer == "41"
    assert problem.meta == {"start": 73, "changes": (24, -56), "num_steps": 2}


@pytest.mark.parametrize("split", SPLITS)
def test_gold_is_the_start_plus_the_changes_and_totals_stay_in_range(split: str) -> None:
    for problem in generate(split, limit=500):
        total = problem.meta["start"]
        for change in problem.meta["changes"]:
            total += change
            assert 0 <= total <= 99
        assert problem.answer == str(total)


def test_the_story_tells_the_numbers_of_meta_in_order() -> None:
    for problem in generate("train", limit=500):
        told = [int(number) for number in re.findall(r"\d+", problem.question)]
        assert told == [problem.meta["start"], *(abs(change) for change in problem.meta["changes"])]


def test_the_story_says_whether_each_number_comes_or_goes() -> None:
    gains = re.compile(r"(\d+) more|gets (\d+) from|borrows (\d+) from")
    for problem in generate("train", limit=500):
        gained = [int(next(filter(None, groups))) for groups in gains.findall(problem.question)]
        assert gained == [change for change in problem.meta["changes"] if change > 0]


def test_no_two_splits_share_a_sum() -> None:
    # Sums of one step up to 30 are few, so that without the hash the splits would collide almost surely.
    sums = [
        {
            (problem.meta["start"], problem.meta["changes"])
            for problem in generate(split, limit=2_000, num_steps=(1,), max_total=30)
        }
        for split in SPLITS
    ]
    assert all(len(found) > 50 for found in sums)
    assert not (sums[0] & sums[1] or sums[0] & sums[2] or sums[1] & sums[2])


def test_a_stream_repeats_no_question_and_offers_a_hundred_thousand() -> None:
    questions = [problem.question for problem in generate("train")]
    assert len(questions) == len(set(questions)) == 100_000


def test_num_steps_is_obeyed() -> None:
    assert {problem.meta["num_steps"] for problem in generate("test", limit=100, num_steps=(3,))} == {3}
    assert {problem.meta["num_steps"] for problem in generate("test", limit=100, num_steps=(1, 2))} == {1, 2}
    assert {problem.meta["num_steps"] for problem in generate("test", limit=100)} == {2}


def test_options_that_run_dry_say_so() -> None:
    with pytest.raises(ValueError, match="raise `max_total`"):
        list(islice(generate("test", limit=10**6, num_steps=(1,), max_total=3), 10**6))


def test_an_unknown_split_is_named_at_once() -> None:
    with pytest.raises(ValueError, match="unknown split 'validation'"):
        generate("validation")


def test_a_step_count_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="num_steps"):
        generate("train", num_steps=(0, 2))
