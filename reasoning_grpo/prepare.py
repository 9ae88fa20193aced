"""Recipe -> a run that can start. Everything that can be wrong is found here, before the run folder exists."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase, set_seed
from trl import GRPOConfig

from reasoning_grpo.batching import BatchPlan, plan_batches
from reasoning_grpo.config import Recipe
from reasoning_grpo.data.prompts import PromptStyle, RenderedPrompt, get_style, render
from reasoning_grpo.data.sources import DataSource, load_problems
from reasoning_grpo.data.splits import drop_overlap, split_heldout
from reasoning_grpo.engine.decoding import can_decode
from reasoning_grpo.errors import DataError, RecipeError
from reasoning_grpo.models import load_model, load_tokenizer
from reasoning_grpo.processes import process_state
from reasoning_grpo.rewards.compose import RewardSpec
from reasoning_grpo.schema import Problem
from reasoning_grpo.trl_config import grpo_config
from reasoning_grpo.trl_rollout import left_to_trl

SHARDING_VARIABLES = ("ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED")  # set by `accelerate launch`


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A run that can start: every reference resolved, every file read."""

    recipe: Recipe
    style: PromptStyle
    spec: RewardSpec
    tokenizer: PreTrainedTokenizerBase
    model: PreTrainedModel
    problems: tuple[Problem, ...]
    prompts: tuple[RenderedPrompt, ...]
    heldout: tuple[Problem, ...]
    plan: BatchPlan
    counts: dict[str, Any]


def prepare(recipe: Recipe) -> Prepared:
    """Load and check everything the run needs; writes nothing.

    Raises:
        UserError: what cannot be used, where it stands and the remedy.
    """
    set_seed(recipe.seed)
    style = get_style(recipe.prompt.style)
    RewardSpec(terms=recipe.rewards).check()
    plan = plan_batches(
        recipe.train.prompts_per_step,
        recipe.train.num_generations,
        recipe.train.micro_batch_size,
        process_state().num_processes,
    )
    config = grpo_config(recipe, plan, Path(recipe.output_dir))  # the errors of [trl], before anything is loaded
    if recipe.train.max_resampling_rounds:
        _check_resampling(config, plan)
    tokenizer = load_tokenizer(recipe.model.name, recipe.model.revision)
    loaded, heldout, counts = _load_data(recipe)
    rendered = [render(style, problem.question, tokenizer) for problem in loaded]
    model = load_model(recipe.model, **(config.model_init_kwargs or {}))
    if recipe.train.max_resampling_rounds and not can_decode(model):
        raise _no_resampling(f"`{recipe.model.name}` is driven by transformers' own `generate`")
    problems, prompts = _drop_long_prompts(loaded, rendered, tokenizer, _max_prompt_tokens(recipe, model))
    heldout_prompts = [render(style, problem.question, tokenizer) for problem in heldout]
    kept_heldout, _ = _drop_long_prompts(heldout, heldout_prompts, tokenizer, _context_left(recipe, model))
    counts.update(
        num_problems=len(problems),
        num_dropped_long_prompt=len(loaded) - len(problems),
        num_heldout=len(kept_heldout),
        num_dropped_long_heldout=len(heldout) - len(kept_heldout),
    )
    if len(problems) < plan.prompts_per_step:
        raise _too_few_problems(recipe, plan, len(problems), len(loaded) - len(problems), model)
    if recipe.train.max_resampling_rounds and len(problems) == plan.prompts_per_step:
        raise _no_resampling(f"a step holds all {len(problems)} training problems, so that none is left to draw")
    spec = RewardSpec(terms=recipe.rewards, answer_format=prompts[0].answer_format)
    spec.check()
    return Prepared(
        recipe=recipe,
        style=style,
        spec=spec,
        tokenizer=tokenizer,
        model=model,
        problems=tuple(problems),
        prompts=tuple(prompts),
        heldout=tuple(kept_heldout),
        plan=plan,
        counts=counts,
    )


def _check_resampling(config: GRPOConfig, plan: BatchPlan) -> None:
    """Raise RecipeError where groups cannot be replaced: it takes our decode loop and whole groups on every device."""
    others = [f"trl.{name}" for name in left_to_trl(config)]
    others += [f"trl.{name}" for name in ("fsdp", "deepspeed") if getattr(config, name)]
    others += [name for name in SHARDING_VARIABLES if os.environ.get(name, "").lower() == "true"]
    if others:
        raise _no_resampling(f"`{others[0]}` leaves generation to TRL")
    if plan.prompts_per_step % plan.world_size:
        raise _no_resampling(
            f"{plan.prompts_per_step} prompts x {plan.num_generations} completions over {plan.world_size} devices "
            "split a group between two",
            "make `train.prompts_per_step` a multiple of the devices or ",
        )


def _no_resampling(cause: str, other_remedy: str = "") -> RecipeError:
    return RecipeError(
        f"groups without signal cannot be replaced: {cause}; {other_remedy}set `train.max_resampling_rounds = 0`"
    )


def _load_data(recipe: Recipe) -> tuple[list[Problem], list[Problem], dict[str, Any]]:
    """Return training problems, held-out problems and what was dropped on the way."""
    loaded = load_problems(recipe.data)
    excluded: list[Problem] = []
    for source in recipe.exclude:
        excluded.extend(load_problems(source).problems)
    problems, overlapping = drop_overlap(loaded.problems, excluded)
    heldout: list[Problem] = []
    num_in_heldout = 0
    if recipe.heldout.every:
        candidates = problems if recipe.heldout.source is None else _heldout_source(recipe.heldout.source, excluded)
        problems, heldout = _split(recipe, problems, candidates)
        problems, copies = drop_overlap(problems, heldout)
        num_in_heldout = len(copies)
    counts = {
        "origin": loaded.origin,
        "fingerprint": loaded.fingerprint,
        "num_dropped_empty_answer": loaded.num_dropped_empty,
        "num_dropped_in_benchmark": len(overlapping),
        "dropped_in_benchmark": [problem.id for problem in overlapping[:100]],
        "num_dropped_in_heldout": num_in_heldout,
    }
    return problems, heldout, counts


def _heldout_source(source: DataSource, excluded: list[Problem]) -> list[Problem]:
    """Return another set's problems without the benchmarks': a checkpoint must not be chosen on those."""
    return drop_overlap(load_problems(source).problems, excluded)[0]


def _split(recipe: Recipe, problems: list[Problem], candidates: list[Problem]) -> tuple[list[Problem], list[Problem]]:
    """Return training and held-out problems; the held-out ones are chosen by hash, not by their place in the file."""
    settings = recipe.heldout
    if len(candidates) <= settings.num_problems:
        name = (settings.source or recipe.data).name
        raise DataError(
            f"`heldout.num_problems` is {settings.num_problems} and `{name}` has {len(candidates)} problems for it "
            "(those of `exclude` left out); hold out fewer, name another `heldout.source`, or set `heldout.every = 0`"
        )
    kept, heldout = split_heldout(candidates, num_heldout=settings.num_problems, seed=recipe.seed)
    return (kept if settings.source is None else problems), heldout


def _context_left(recipe: Recipe, model: PreTrainedModel) -> int | None:
    """Return how many prompt tokens the model's context holds beside a completion of full length; None: no limit."""
    context = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if context is None:
        return None
    if recipe.train.max_completion_tokens >= context:
        raise RecipeError(
            f"`train.max_completion_tokens` is {recipe.train.max_completion_tokens} and the context of "
            f"`{recipe.model.name}` holds {context} tokens, prompt included; lower it"
        )
    return int(context) - recipe.train.max_completion_tokens


def _too_few_problems(
    recipe: Recipe, plan: BatchPlan, num_left: int, num_too_long: int, model: PreTrainedModel
) -> DataError:
    said = f"{num_left} training problems are left of `{recipe.data.name}` and a step needs {plan.prompts_per_step}"
    if not num_too_long:
        return DataError(f"{said}; lower `train.prompts_per_step` or use more data")
    limit, own = _max_prompt_tokens(recipe, model), recipe.train.max_prompt_tokens
    remedy = "raise `train.max_prompt_tokens`" if limit == own else "lower `train.max_completion_tokens`"
    return DataError(f"{said}: {num_too_long} have a prompt of more than {limit} tokens; {remedy}, or use other data")


def _max_prompt_tokens(recipe: Recipe, model: PreTrainedModel) -> int | None:
    limits = [n for n in (recipe.train.max_prompt_tokens, _context_left(recipe, model)) if n is not None]
    return min(limits) if limits else None


def _drop_long_prompts(
    problems: Sequence[Problem],
    prompts: Sequence[RenderedPrompt],
    tokenizer: PreTrainedTokenizerBase,
    limit: int | None,
) -> tuple[list[Problem], list[RenderedPrompt]]:
    if limit is None or not prompts:
        return list(problems), list(prompts)
    lengths = [len(ids) for ids in tokenizer([p.text for p in prompts])["input_ids"]]
    kept = [(a, b) for a, b, n in zip(problems, prompts, lengths, strict=True) if n <= limit]
    return [problem for problem, _ in kept], [prompt for _, prompt in kept]
