"""Recipes: what is read, what is refused, and in which words."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from reasoning_grpo.commands.train import override
from reasoning_grpo.config import find_recipe, load_recipe, recipe_from_table, recipe_to_table
from reasoning_grpo.errors import RecipeError, UserError

SHIPPED = sorted((Path(__file__).parent.parent / "reasoning_grpo" / "recipes").glob("*.toml"))


def table(**changes: Any) -> dict[str, Any]:
    return {"model": {"name": "org/model"}, "data": {"name": "gsm8k"}, **changes}


def refusal(**changes: Any) -> str:
    with pytest.raises(RecipeError) as caught:
        recipe_from_table(table(**changes))
    return str(caught.value)


def test_a_recipe_needs_only_a_model_and_data() -> None:
    recipe = recipe_from_table(table())
    assert (recipe.train.num_generations, recipe.rewards[0].verifier, recipe.model.lora.r) == (8, "accuracy", 0)


def test_a_misspelt_key_names_its_place_and_the_nearest_key() -> None:
    assert refusal(train={"num_generation": 8}) == (
        "unknown key `train.num_generation`; did you mean 'num_generations'?"
    )


def test_a_misspelt_key_in_a_list_names_the_entry() -> None:
    terms = [{"name": "accuracy", "verifier": "accuracy"}, {"name": "format", "verifer": "format"}]
    assert refusal(rewards=terms) == "unknown key `rewards[1].verifer`; did you mean 'verifier'?"


def test_a_wrong_type_names_the_key_and_the_value() -> None:
    assert refusal(train={"steps": "8"}) == '`train.steps` is "8"; input should be a valid integer'


def test_a_boolean_is_no_number() -> None:
    assert refusal(train={"steps": True}).startswith("`train.steps` is true")


def test_a_missing_key_is_named() -> None:
    with pytest.raises(RecipeError, match=r"`model\.name` is missing"):
        recipe_from_table({"model": {}, "data": {"name": "gsm8k"}})


def test_a_group_of_one_is_refused_with_the_reason() -> None:
    assert refusal(train={"num_generations": 1}) == (
        "`train.num_generations` is 1; a group needs at least 2 completions: an advantage is relative to the rest of "
        "its group"
    )


@pytest.mark.parametrize("rate", [0.0, -1e-6, float("inf")])
def test_a_learning_rate_that_is_no_positive_number_is_refused(rate: float) -> None:
    assert "`train.learning_rate`" in refusal(train={"learning_rate": rate})


def test_trl_may_not_repeat_a_key_of_ours() -> None:
    assert refusal(trl={"max_completion_length": 5}) == (
        "`trl.max_completion_length` is 5; it is decided by `train.max_completion_tokens`; remove it from [trl]"
    )


@pytest.mark.parametrize("key", ["save_only_model", "ignore_data_skip"])
def test_trl_may_not_take_a_checkpoint_apart(key: str) -> None:
    complaint = refusal(trl={key: True})
    assert complaint.startswith(f"`trl.{key}` is True; ")
    assert complaint.endswith("; remove it from [trl]")
    assert "decided by" not in complaint


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_that_numpy_cannot_take_is_refused(seed: int) -> None:
    assert refusal(seed=seed) == f"`seed` is {seed}; it must be between 0 and 2^32 - 1, as numpy's seeds are"


def test_a_recipe_survives_being_written_and_read() -> None:
    recipe = recipe_from_table(
        table(
            rewards=[{"name": "a", "verifier": "accuracy"}, {"name": "f", "verifier": "format", "gated_by": "a"}],
            exclude=[{"name": "gsm8k", "split": "test"}],
            heldout={"source": {"name": "svamp", "split": "test", "options": {"shuffle": True}}},
            trl={"beta": 0.04},
        )
    )
    assert recipe_from_table(recipe_to_table(recipe)) == recipe


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.stem))
def test_every_shipped_recipe_is_valid_down_to_trls_keys(path: Path) -> None:
    from reasoning_grpo.trl_config import check_trl_keys

    recipe = load_recipe(path)
    check_trl_keys(recipe.trl)
    assert path.read_text("utf-8").startswith("# "), "`reasoning-grpo recipes` shows the first comment"


def test_files_beside_a_recipe_are_found_from_anywhere(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text(
        '[model]\nname = "../model"\n[data]\nname = "./train.jsonl"\n'
        '[[rewards]]\nname = "mine"\nverifier = "./mine.py:fn"\n'
    )
    recipe = load_recipe(path)
    assert recipe.model.name == str(tmp_path.parent / "model")
    assert recipe.data.name == str(tmp_path / "train.jsonl")
    assert recipe.rewards[0].verifier == f"{tmp_path}/mine.py:fn"


@pytest.mark.parametrize(
    ("text", "words"),
    [("[model\n", "is not valid TOML"), ("\xff\xfe", "cannot be read"), (None, "no recipe at")],
)
def test_a_file_that_is_no_recipe_is_refused_by_name(tmp_path: Path, text: str | None, words: str) -> None:
    path = tmp_path / "r.toml"
    if text is not None:
        path.write_bytes(text.encode("latin-1"))
    with pytest.raises(RecipeError, match=words) as caught:
        load_recipe(path)
    assert str(path) in str(caught.value)


def test_an_unknown_trl_key_gets_a_suggestion() -> None:
    from reasoning_grpo.trl_config import check_trl_keys

    with pytest.raises(RecipeError, match=r"unknown key `trl\.epsilon_hihg`; did you mean 'epsilon_high'\?"):
        check_trl_keys({"epsilon_hihg": 0.28})


def test_a_trl_value_of_the_wrong_type_is_refused() -> None:
    from reasoning_grpo.trl_config import check_trl_keys

    with pytest.raises(RecipeError, match=r"`trl\.beta` is 'much'"):
        check_trl_keys({"beta": "much"})


def test_the_command_line_overrides_a_recipe_at_any_depth() -> None:
    recipe = recipe_from_table(table(trl={"beta": 0.1}))
    args = ["--train.steps", "3", "--model.lora.r", "8", "--trl.beta=0.2", "--trl.epsilon-high", "0.28", "--seed", "7"]
    changed = override(recipe, args)
    assert (changed.train.steps, changed.model.lora.r, changed.seed) == (3, 8, 7)
    assert changed.trl == {"beta": 0.2, "epsilon_high": 0.28}
    assert dataclasses.replace(changed, train=recipe.train, model=recipe.model, trl=recipe.trl, seed=0) == recipe


def test_an_override_is_checked_like_the_recipe() -> None:
    with pytest.raises(UserError, match=r"^`train\.num_generations` is 1; a group needs at least 2 completions"):
        override(recipe_from_table(table()), ["--train.num-generations", "1"])


def test_a_shipped_recipe_is_found_by_name() -> None:
    assert find_recipe("math-qwen2.5-1.5b").is_file()
    with pytest.raises(RecipeError, match="`gsm9k`"):
        find_recipe("gsm9k")


def test_a_shipped_recipe_that_names_a_folder_names_one_that_ships() -> None:
    folders = [load_recipe(path).model.name for path in SHIPPED]
    local = [name for name in folders if name.startswith("/")]
    assert [Path(name).joinpath("config.json").is_file() for name in local] == [True]  # the demo's


def test_a_negative_number_of_rounds_is_refused() -> None:
    assert refusal(train={"max_resampling_rounds": -1}) == (
        "`train.max_resampling_rounds` is -1; 0 replaces no group, N tries up to N fresh prompts in its place"
    )


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("min_p", 2.0, "less than or equal to 1"),
        ("top_p", -0.5, "greater than or equal to 0"),
        ("top_p", float("nan"), "a finite number"),
        ("top_k", -1, "greater than or equal to 0"),
        ("num_iterations", 0, "greater than or equal to 1"),
        ("beta", -0.1, "greater than or equal to 0"),
        ("repetition_penalty", 0.0, "greater than 0"),
        ("adam_beta2", 1.0, "less than 1"),
    ],
)
def test_a_trl_number_out_of_range_is_refused_before_a_run_begins(key: str, value: float, words: str) -> None:
    from reasoning_grpo.trl_config import check_trl_keys

    with pytest.raises(RecipeError, match=rf"`trl\.{key}` is {value}; .*{words}"):
        check_trl_keys({key: value})


@pytest.mark.parametrize(("key", "value"), [("beta", "0.04"), ("top_k", "5"), ("mask_truncated_completions", "yes")])
def test_text_is_no_number_and_no_boolean_for_trl_either(key: str, value: str) -> None:
    from reasoning_grpo.trl_config import check_trl_keys

    with pytest.raises(RecipeError, match=rf"`trl\.{key}` is '{value}'; input should be a valid"):
        check_trl_keys({key: value})


def test_a_whole_number_may_stand_for_a_share_of_trls() -> None:
    from reasoning_grpo.trl_config import check_trl_keys

    check_trl_keys({"top_p": 1, "beta": 0, "warmup_steps": 5, "epsilon_high": None})


def test_every_choice_that_is_offered_is_taken() -> None:
    from reasoning_grpo.trl_config import CHOICES, check_trl_keys

    for key, choices in CHOICES.items():
        for choice in choices:
            check_trl_keys({key: choice})


def test_every_range_is_of_a_key_that_trl_has() -> None:
    from trl import GRPOConfig

    from reasoning_grpo.trl_config import RANGES

    assert set(RANGES) <= {field.name for field in dataclasses.fields(GRPOConfig)}
