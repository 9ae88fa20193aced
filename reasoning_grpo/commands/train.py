"""`reasoning-grpo train RECIPE.toml [--overrides]` and `reasoning-grpo train --resume RUN_FOLDER`."""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from reasoning_grpo.commands.options import parse_options
from reasoning_grpo.config import Recipe, check_keys, find_recipe, load_recipe, recipe_from_table, recipe_to_table
from reasoning_grpo.errors import RecipeError, UserError

if TYPE_CHECKING:
    from reasoning_grpo.train import TrainResult

DESCRIPTION = """Train a model as a recipe says.

RECIPE is a TOML file or the name of a shipped recipe (`reasoning-grpo recipes`). Every key below overrides the
recipe's; the defaults shown are the recipe's own. `--trl.KEY VALUE` sets any further key of TRL's GRPOConfig.
A run that was stopped or died goes on with `reasoning-grpo train --resume RUN_FOLDER`.
On several GPUs: `accelerate launch -m reasoning_grpo train RECIPE`."""


def run(verb: str, args: Sequence[str]) -> int:
    """Train, or go on with a run, and say where the model is."""
    run_dir, rest = _take_resume(args)
    reference, rest = _split_reference(rest, default=str(run_dir / "recipe.toml") if run_dir else None)
    if run_dir and not (run_dir / "manifest.json").is_file():
        raise UserError(f"`{run_dir}` is no run folder: it has no manifest.json; name the folder that `train` printed")
    recipe = override(load_recipe(find_recipe(reference)), rest)
    from reasoning_grpo.commands.process import prepare_process

    prepare_process()
    from reasoning_grpo.processes import process_state
    from reasoning_grpo.train import resume, train

    result = resume(run_dir, recipe) if run_dir else train(recipe, name=Path(reference).stem)
    if process_state().is_main_process:
        _print_result(result)
    return 0


def _print_result(result: "TrainResult") -> None:
    """Print where the run and its model are, and what to do next."""
    print(f"run:   {result.run_dir}")
    if result.stopped_early:
        drop = result.stopped_early
        print(
            f"stop:  step {drop['step']}: held-out accuracy fell below that of step {drop['best_step']} twice in a row "
            f"({drop['losses']} problems lost, {drop['wins']} gained, p = {drop['p_value']:.1g})"
        )
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
    changed = parse_options(
        Recipe,
        rest,
        "reasoning-grpo train RECIPE",
        default=recipe,
        description=DESCRIPTION,
        config=(tyro.conf.AvoidSubcommands, tyro.conf.SuppressFixed),
    )
    merged = recipe_to_table(changed)
    merged["trl"] = {**merged.get("trl", {}), **table}
    return recipe_from_table(merged)


def _take_resume(args: Sequence[str]) -> tuple[Path | None, list[str]]:
    """Split off `--resume RUN_FOLDER` and `--resume=RUN_FOLDER`."""
    rest = list(args)
    for index, arg in enumerate(args):
        name, equals, value = arg.partition("=")
        if name != "--resume":
            continue
        end = index + (1 if equals else 2)
        folder = value if equals else "".join(rest[index + 1 : end])
        if not folder:
            raise UserError("`--resume` needs the run's folder: `reasoning-grpo train --resume RUN_FOLDER`")
        return Path(folder), rest[:index] + rest[end:]
    return None, rest


def _split_reference(args: Sequence[str], default: str | None = None) -> tuple[str, list[str]]:
    if args and not args[0].startswith("-"):
        return args[0], list(args[1:])
    if default:
        return default, list(args)
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
