"""`reasoning-grpo train RECIPE.toml [--overrides]`."""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from reasoning_grpo.config import Recipe, check_keys, find_recipe, load_recipe, recipe_from_table, recipe_to_table
from reasoning_grpo.errors import RecipeError, UserError

if TYPE_CHECKING:
    from reasoning_grpo.train import TrainResult

DESCRIPTION = """Train a model as a recipe says.

RECIPE is a TOML file or the name of a shipped recipe (`reasoning-grpo recipes`). Every key below overrides the
recipe's; the defaults shown are the recipe's own. `--trl.KEY VALUE` sets any further key of TRL's GRPOConfig.
On several GPUs: `accelerate launch -m reasoning_grpo train RECIPE`."""


def run(verb: str, args: Sequence[str]) -> int:
    """Train and say where the model is."""
    reference, rest = _split_reference(args)
    recipe = override(load_recipe(find_recipe(reference)), rest)
    from reasoning_grpo.commands.process import prepare_process

    prepare_process()
    from reasoning_grpo.processes import process_state
    from reasoning_grpo.train import train

    result = train(recipe, name=Path(reference).stem)
    if process_state().is_main_process:
        print_result(result)
    return 0


def print_result(result: "TrainResult") -> None:
    """Print where the run and its model are, and what to do next."""
    print(f"run:   {result.run_dir}")
    if result.best_step:
        print(f"model: {result.model_dir} (best held-out accuracy, step {result.best_step})")
    elif result.best_step == 0:
        print(f"model: {result.model_dir} (final; no step beat the starting model on the held-out problems)")
    else:
        print(f"model: {result.model_dir}")
    print(f"next:  reasoning-grpo bench SUITE --model {result.model_dir}")


def override(recipe: Recipe, args: Sequence[str]) -> Recipe:
    """Return the recipe with the command line's changes; `--help` prints every key with the recipe's value."""
    table, rest = _take_trl(args)
    _check_flags(rest)
    # tyro shows and parses what the dataclasses hold; keys of TRL's that the recipe does not name are taken before it.
    changed = tyro.cli(
        Recipe,
        default=recipe,
        args=rest,
        prog="reasoning-grpo train RECIPE",
        description=DESCRIPTION,
        config=(tyro.conf.AvoidSubcommands, tyro.conf.SuppressFixed),
    )
    merged = recipe_to_table(changed)
    merged["trl"] = {**merged.get("trl", {}), **table}
    return recipe_from_table(merged)


def _split_reference(args: Sequence[str]) -> tuple[str, list[str]]:
    if args and not args[0].startswith("-"):
        return args[0], list(args[1:])
    if args and args[0] in ("-h", "--help"):
        return "gsm8k-qwen2.5-0.5b", list(args)
    raise UserError("name a recipe first: `reasoning-grpo train RECIPE.toml [--train.steps 10 …]`")


def _take_trl(args: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Split off `--trl.KEY VALUE` and `--trl.KEY=VALUE`."""
    table: dict[str, Any] = {}
    rest: list[str] = []
    pending = iter(args)
    for arg in pending:
        if not arg.startswith("--trl."):
            rest.append(arg)
            continue
        key, equals, value = arg.removeprefix("--trl.").partition("=")
        if not equals:
            value = next(pending, "")
            if not value:
                raise RecipeError(f"`{arg}` needs a value: `{arg} VALUE`")
        table[key.replace("-", "_")] = _toml_value(value)
    return table, rest


def _check_flags(args: Sequence[str]) -> None:
    """Refuse a misspelt key in the words of a misspelt recipe key, before tyro does so in its own."""
    for arg in args:
        keys = arg.removeprefix("--").partition("=")[0].replace("-", "_").split(".")
        keys[-1] = keys[-1].removeprefix("no_")  # tyro's way to switch a boolean off
        if arg.startswith("--") and arg != "--help" and not any(key.isdigit() for key in keys):
            table: Any = {}
            for key in reversed(keys):
                table = {key: table}
            check_keys(table, Recipe, "")


def _toml_value(text: str) -> Any:
    """Read a value as TOML would (1e-6 is a number, true a boolean); anything else is text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
