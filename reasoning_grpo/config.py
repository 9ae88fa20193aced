"""Recipes: what a training run is, as frozen dataclasses read from TOML.

Types are checked strictly (pydantic), unknown keys are errors with a suggestion, and ranges are checked where the field
lives. The same dataclasses make the command-line overrides, so a field's docstring is its `--help`.
"""

import dataclasses
import json
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from reasoning_grpo.data.sources import DataSource
from reasoning_grpo.errors import RecipeError, UserError, did_you_mean
from reasoning_grpo.rewards.compose import RewardTerm

# What the recipe's own fields decide: [trl] may not say it a second time.
OWNED_TRL_KEYS: Mapping[str, str] = {
    "output_dir": "output_dir",
    "run_name": "output_dir",
    "seed": "seed",
    "max_steps": "train.steps",
    "num_train_epochs": "train.steps",
    "num_generations": "train.num_generations",
    "per_device_train_batch_size": "train.micro_batch_size",
    "gradient_accumulation_steps": "train.prompts_per_step",
    "steps_per_generation": "train.prompts_per_step",
    "generation_batch_size": "train.prompts_per_step",
    "max_completion_length": "train.max_completion_tokens",
    "temperature": "train.temperature",
    "learning_rate": "train.learning_rate",
    "bf16": "train.precision",
    "fp16": "train.precision",
    "save_steps": "train.save_every",
    "save_strategy": "train.save_every",
    "save_total_limit": "train.keep_checkpoints",
    "eval_strategy": "heldout.every",
    "eval_steps": "heldout.every",
    "do_eval": "heldout.every",
    "eval_on_start": "heldout.every",
    "load_best_model_at_end": "heldout.every",
    "reward_weights": "rewards[].weight",
    "remove_unused_columns": "data",
    "resume_from_checkpoint": "`train --resume`",
    "save_only_model": "nothing: a checkpoint holds all that `train --resume` needs",
    "ignore_data_skip": "nothing: `train --resume` goes on with the next problems",
    "disable_tqdm": "nothing: progress is shown by reasoning-grpo",
}


def _require(claim: bool, place: str, value: object, remedy: str) -> None:
    if not claim:
        raise RecipeError(f"`{place}` is {value!r}; {remedy}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraConfig:
    """Train low-rank adapters instead of all weights (Hu et al., arXiv:2106.09685). Needs the `lora` extra."""

    r: int = 0
    """Rank of the adapters; 0 trains all weights. 16 is a common start."""
    alpha: int = 32
    """Scale of the adapters; the update is multiplied by alpha / r."""
    dropout: float = 0.0
    """Dropout on the adapters' input; 0 keeps old and new log-probabilities comparable."""
    target_modules: str = "all-linear"
    """Which layers get an adapter: `all-linear`, or module names joined by commas."""

    def __post_init__(self) -> None:
        _require(self.r >= 0, "model.lora.r", self.r, "0 trains all weights, 16 is a common start")
        _require(self.alpha >= 1, "model.lora.alpha", self.alpha, "it must be at least 1")
        _require(self.r > 0 or self.alpha == 32, "model.lora.r", self.r, "set it where you set `model.lora.alpha`")
        _require(0.0 <= self.dropout < 1.0, "model.lora.dropout", self.dropout, "it must lie in [0, 1)")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """The model to start from."""

    name: str
    """Hub id or local folder."""
    revision: str | None = None
    """Branch, tag or commit on the hub; name one to make a run repeatable."""
    dtype: Literal["auto", "float32", "bfloat16"] = "float32"
    """Type the weights are held in. float32 is what GRPO's small learning rates need: bfloat16 weights round most
    updates below 1e-5 away."""
    lora: LoraConfig = field(default_factory=LoraConfig)


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptConfig:
    """How a question becomes a prompt."""

    style: str = "chat-tags"
    """Name of a prompt style; `reasoning-grpo styles` lists them with the answer form each one asks for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """The GRPO loop."""

    steps: int = 100
    """Optimizer steps; one step sees `prompts_per_step` x `num_generations` completions."""
    prompts_per_step: int = 16
    """Distinct prompts per step, over all devices."""
    num_generations: int = 8
    """Completions per prompt: the group that a reward is compared with. At least 2."""
    max_completion_tokens: int = 512
    """Longest completion; what reaches it without an end token counts as truncated."""
    max_prompt_tokens: int | None = None
    """Training problems with a longer prompt are dropped with a count, as are those whose prompt and longest completion
    do not fit into the model's context."""
    learning_rate: float = 1e-6
    """AdamW's peak learning rate."""
    temperature: float = 1.0
    """Sampling temperature of the rollouts."""
    micro_batch_size: int = 8
    """Completions per forward and backward pass and device: memory against speed, never the result. Short completions
    come in larger numbers, as many as fit into the positions of this many of the longest."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Arithmetic of forward and backward; auto is bfloat16 on a GPU that has it, float32 elsewhere."""
    max_resampling_rounds: int = 0
    """Dynamic sampling (DAPO): how often within a step the groups that are all right, all wrong or ungradable are
    replaced by fresh prompts, decided by the first reward term alone. A step then learns from more groups and generates
    more; on the demo each step gained by it and each generated completion lost (benchmarks/dynamic_sampling.md). What
    has no signal after the last round stays in the step. 0 replaces nothing."""
    save_every: int = 50
    """Steps between checkpoints to resume from; a run that is stopped or fails saves one more. 0 saves only then."""
    keep_checkpoints: int = 2
    """Checkpoints kept on disk, the newest ones."""

    def __post_init__(self) -> None:
        for name in ("steps", "prompts_per_step", "max_completion_tokens", "micro_batch_size", "keep_checkpoints"):
            _require(getattr(self, name) >= 1, f"train.{name}", getattr(self, name), "it must be at least 1")
        _require(
            self.num_generations >= 2,
            "train.num_generations",
            self.num_generations,
            "a group needs at least 2 completions: an advantage is relative to the rest of its group",
        )
        _require(
            self.max_resampling_rounds >= 0,
            "train.max_resampling_rounds",
            self.max_resampling_rounds,
            "0 replaces no group, N tries up to N fresh prompts in its place",
        )
        _require(self.save_every >= 0, "train.save_every", self.save_every, "0 saves none, N saves every N steps")
        _require(
            self.max_prompt_tokens is None or self.max_prompt_tokens >= 1,
            "train.max_prompt_tokens",
            self.max_prompt_tokens,
            "it must be at least 1, or be left out",
        )
        for name in ("learning_rate", "temperature"):
            value = getattr(self, name)
            _require(math.isfinite(value) and value > 0, f"train.{name}", value, "it must be a positive number")


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldoutConfig:
    """Greedy accuracy on problems the run never trains on; it chooses the best checkpoint."""

    every: int = 25
    """Steps between measurements; the start and the end are always measured. 0 measures never and keeps no best."""
    num_problems: int = 100
    """How many problems are held out; taken from `data` unless `source` names another set."""
    source: DataSource | None = None
    """Where the held-out problems come from, if not from `data`. Do not name the benchmark: a checkpoint chosen on the
    test set makes the test set's number too good."""

    stop_on_drop: bool = True
    """End the run when accuracy is significantly below the best one, on the same problems, twice in a row (exact
    McNemar test, p < 0.01)."""

    def __post_init__(self) -> None:
        _require(self.every >= 0, "heldout.every", self.every, "0 switches it off, N measures every N steps")
        _require(self.num_problems >= 1, "heldout.num_problems", self.num_problems, "it must be at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A training run."""

    model: ModelConfig
    data: DataSource
    exclude: tuple[DataSource, ...] = ()
    """Benchmarks whose problems must not be trained on; verbatim matches are dropped with a count."""
    prompt: PromptConfig = field(default_factory=PromptConfig)
    rewards: tuple[RewardTerm, ...] = (RewardTerm(name="accuracy", verifier="accuracy"),)
    """Reward terms; the reward is the weighted sum of their scores. The first one decides what counts as right."""
    train: TrainConfig = field(default_factory=TrainConfig)
    heldout: HeldoutConfig = field(default_factory=HeldoutConfig)
    seed: int = 0
    """Seeds sampling, shuffling and the held-out split."""
    output_dir: str = "out/train"
    """Run folders are made inside this one."""
    trl: Mapping[str, Any] = field(default_factory=dict)
    """Further keys of TRL's GRPOConfig, passed on unchanged."""

    def __post_init__(self) -> None:
        _require(0 <= self.seed < 2**32, "seed", self.seed, "it must be between 0 and 2^32 - 1, as numpy's seeds are")
        _require(bool(self.rewards), "rewards", "[]", "name at least one `[[rewards]]` term")
        for key in self.trl:
            owner = OWNED_TRL_KEYS.get(key, "")
            reason = owner.removeprefix("nothing: ") if owner.startswith("nothing: ") else f"it is decided by `{owner}`"
            _require(not owner, f"trl.{key}", self.trl[key], f"{reason}; remove it from [trl]")


def find_recipe(reference: str) -> Path:
    """Return the path of a recipe file, or of the shipped recipe with that name.

    Raises:
        RecipeError: neither is there.
    """
    path = Path(reference)
    if path.suffix == ".toml" or path.exists():
        return path
    folder = Path(str(resources.files("reasoning_grpo").joinpath("recipes")))
    shipped = folder / f"{reference}.toml"
    if not shipped.is_file():
        hint = did_you_mean(reference, (file.stem for file in folder.glob("*.toml")))
        raise RecipeError(f"no recipe file and no shipped recipe is called `{reference}`{hint}")
    return shipped


def load_recipe(path: Path) -> Recipe:
    """Read a recipe; references to files (`./x.py:fn`, `./data.jsonl`) become relative to the recipe's folder.

    Raises:
        RecipeError: the file is missing, is no TOML, or does not describe a run; the message names the key.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RecipeError(f"no recipe at `{path}`; `reasoning-grpo recipes` lists the shipped ones") from None
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"`{path}` cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"`{path}` is not valid TOML: {error}") from None
    try:
        return anchored(recipe_from_table(table), path.resolve().parent)
    except RecipeError as error:
        raise RecipeError(f"{path}: {error}") from None


def recipe_from_table(table: Mapping[str, Any]) -> Recipe:
    """Build a recipe from parsed TOML, checking keys, types and ranges.

    Raises:
        RecipeError: with the dotted key, the value and what was expected.
    """
    from pydantic import TypeAdapter, ValidationError

    check_keys(table, Recipe, "")
    try:
        # JSON mode is what makes strict types fit TOML: arrays may become tuples, but "8" never becomes 8.
        return TypeAdapter(Recipe).validate_json(_to_json(table), strict=True)
    except ValidationError as error:
        raise RecipeError(_first_sentence(error)) from None


def recipe_to_table(recipe: Recipe) -> dict[str, Any]:
    """Return the recipe as a table that `recipe_from_table` reads back to an equal recipe."""
    table: dict[str, Any] = _plain(dataclasses.asdict(recipe))
    return table


def _to_json(table: Mapping[str, Any]) -> str:
    try:
        return json.dumps(table)
    except TypeError as error:
        raise RecipeError(f"a recipe holds text, numbers, booleans, lists and tables only: {error}") from None


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def check_keys(table: Any, cls: type, place: str) -> None:
    """Refuse keys no field has, at any depth, before types are looked at: a typo is the commonest mistake."""
    if not isinstance(table, Mapping):
        return
    fields = {f.name: f.type for f in dataclasses.fields(cls)}
    for key, value in table.items():
        where = f"{place}{key}"
        if key not in fields:
            raise RecipeError(f"unknown key `{where}`{did_you_mean(key, fields)}")
        inner = _dataclass_in(fields[key])
        if inner is None:
            continue
        for index, item in enumerate(value) if isinstance(value, list) else ((None, value),):
            check_keys(item, inner, f"{where}." if index is None else f"{where}[{index}].")


def _dataclass_in(annotation: Any) -> type | None:
    """Return the dataclass in `X`, `X | None` or `tuple[X, ...]`."""
    for candidate in (annotation, *getattr(annotation, "__args__", ())):
        if isinstance(candidate, type) and dataclasses.is_dataclass(candidate):
            return candidate
    return None


def _first_sentence(error: Any) -> str:
    """Turn pydantic's first finding into one sentence: the key, the value, what was expected."""
    first = error.errors()[0]
    cause = (first.get("ctx") or {}).get("error")
    if isinstance(cause, UserError):
        return str(cause)
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "missing" or first["type"] == "missing_argument":
        return f"`{place}` is missing; a recipe must name it"
    return f"`{place}` is {json.dumps(first['input'])[:80]}; {first['msg'][0].lower()}{first['msg'][1:]}"


def anchored(recipe: Recipe, folder: Path, *, bare: bool = False) -> Recipe:
    """Return the recipe with its file references absolute, so that it says the same from any folder.

    `./x`, `../x` and `~/x` always mean a file; with `bare`, so does a plain name that is a file or folder in `folder`.
    """

    def path(reference: str) -> str:
        return _absolute(reference, folder, bare=bare)

    def source(data: DataSource) -> DataSource:
        return dataclasses.replace(data, name=path(data.name))

    def term(reward: RewardTerm) -> RewardTerm:
        place, colon, function = reward.verifier.rpartition(":")
        return dataclasses.replace(reward, verifier=f"{path(place)}:{function}") if colon else reward

    held = recipe.heldout
    return dataclasses.replace(
        recipe,
        model=dataclasses.replace(recipe.model, name=path(recipe.model.name)),
        data=source(recipe.data),
        exclude=tuple(map(source, recipe.exclude)),
        heldout=dataclasses.replace(held, source=source(held.source)) if held.source else held,
        rewards=tuple(map(term, recipe.rewards)),
    )


def _absolute(reference: str, folder: Path, *, bare: bool) -> str:
    if reference.startswith("~"):
        return str(Path(reference).expanduser())
    is_file = reference.startswith(("./", "../")) or (bare and (folder / reference).exists())
    return str((folder / reference).resolve()) if is_file else reference
