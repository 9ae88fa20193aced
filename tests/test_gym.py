import sys
from typing import Any

import pytest

from reasoning_grpo.data import DataSource, load_problems
from reasoning_grpo.data.gym import MAX_PROBLEMS, problems
from reasoning_grpo.errors import DataError

NAME = "reasoning-gym:leg_counting"


@pytest.fixture
def installed() -> None:
    pytest.importorskip("reasoning_gym", reason="the extra `reasoning-gym` is not installed")


@pytest.mark.usefixtures("installed")
def test_a_problem_is_a_reasoning_gym_item_and_its_scorer_gives_the_gold_full_marks() -> None:
    import reasoning_gym

    loaded = load_problems(DataSource(name=NAME, limit=3, options={"max_animals": 4}))
    first = loaded.problems[0]
    assert (len(loaded.problems), first.id, first.source) == (3, f"{NAME}/train/0/0", NAME)
    assert loaded.origin == f"{NAME} train seed 0"
    metadata = first.meta["metadata"]
    assert int(first.answer) == metadata["total_legs"]
    assert len(metadata["animals"]) <= 4
    scorer = reasoning_gym.create_dataset(first.meta["task"], size=1, seed=0)
    assert scorer.score_answer(first.answer, {"answer": first.answer, "metadata": metadata}) == 1.0


@pytest.mark.usefixtures("installed")
def test_splits_and_seeds_share_no_item() -> None:
    made = [
        {problem.question for problem in problems("leg_counting", split, seed=seed, limit=50)}
        for split in ("train", "test")
        for seed in (0, 1)
    ]
    assert len(set.union(*made)) == sum(map(len, made)) == 200


@pytest.mark.usefixtures("installed")
def test_the_same_seed_makes_the_same_problems_and_a_larger_limit_only_adds() -> None:
    few, more = (list(problems("leg_counting", "test", seed=5, limit=limit)) for limit in (3, 6))
    assert more[:3] == few


@pytest.mark.usefixtures("installed")
def test_the_largest_seed_stays_below_what_numpy_takes() -> None:
    # pool_matrix seeds numpy with the item's seed; 14,315 is the last seed before they repeat.
    assert len(list(problems("pool_matrix", "test", seed=14_315, limit=1))) == 1


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("source", "message"),
    [
        (DataSource(name="reasoning-gym:leg_countin"), "did you mean 'leg_counting'"),
        (DataSource(name=NAME, split="tran"), "has no split 'tran'; did you mean 'train'"),
        (DataSource(name=NAME, limit=MAX_PROBLEMS + 1), "at most 100,000 problems"),
        (DataSource(name=NAME, options={"max_animal": 4}), "no option 'max_animal'; did you mean 'max_animals'"),
        (DataSource(name=NAME, options={"seed": 4}), "no option 'seed'"),
        (DataSource(name=NAME, options={"min_animals": -1}), "refuses its options: min_animals must be positive"),
        (DataSource(name=NAME, answer_column="answer"), "`answer_column` means nothing"),
    ],
)
def test_what_reasoning_gym_does_not_have_is_a_data_error(source: DataSource, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_problems(source)


def test_without_reasoning_gym_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "reasoning_gym.factory", None)
    with pytest.raises(DataError, match=r"pip install 'reasoning-grpo\[reasoning-gym\]'"):
        load_problems(DataSource(name=NAME))


@pytest.mark.usefixtures("installed")
def test_an_item_without_a_gold_is_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    items: list[dict[str, Any]] = [
        {"question": "a", "answer": None, "metadata": {}},
        {"question": "b", "answer": "2", "metadata": {}},
    ]
    monkeypatch.setattr("reasoning_gym.factory.create_dataset", lambda task, **settings: items)
    loaded = load_problems(DataSource(name=NAME, limit=2))
    assert ([problem.question for problem in loaded.problems], loaded.num_dropped_empty) == (["b"], 1)
