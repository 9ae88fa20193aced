"""What replacing groups without signal buys on the demo's model, at equal numbers of generated completions.

    python benchmarks/dynamic_sampling.py --seeds 0 1 2 3

For every group size and seed: a run that replaces groups, one with as many steps that keeps them, and one that keeps
them with as many steps as cost the same number of completions. All start from the shipped model; accuracy is greedy, on
the 512 problems of the test split.
"""

import dataclasses
import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from reasoning_grpo.commands.demo import SUITE, demo_recipe
from reasoning_grpo.commands.process import prepare_process
from reasoning_grpo.config import HeldoutConfig, Recipe

HERE = Path(__file__).resolve().parent
NAMES = ("replaces", "keeps, equal steps", "keeps, equal completions")
HEAD = (
    "| group | run | steps | completions | groups with signal | left out: all right | all wrong | accuracy after |\n"
    + 8 * "|---"
    + "|"
)


@dataclass(frozen=True, kw_only=True)
class Args:
    """Compare runs with and without dynamic sampling."""

    seeds: tuple[int, ...] = (0, 1, 2, 3)
    """Seeds of sampling and shuffling."""
    groups: tuple[int, ...] = (4, 16)
    """Completions per prompt; a small group is silent more often."""
    completions: int = 128
    """Completions per step: as many prompts as that allows."""
    steps: int = 4
    """Steps of the runs that replace groups."""
    max_rounds: int = 3
    """`train.max_resampling_rounds` of these runs."""
    out: Path = Path("out/dynamic-sampling")
    """Runs are kept here."""
    table: Path = HERE / "dynamic_sampling.md"
    """The table written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a run generated, what of it carried gradient, and what came out."""

    num_steps: int
    num_completions: int
    signal_share: float
    replaced: Counter[str]
    accuracy: float


def main(args: Args) -> None:
    """Run everything and write the table."""
    prepare_process()
    rows = []
    for group in args.groups:
        runs = zip(*(compare(args, group, seed) for seed in args.seeds), strict=True)
        rows += [row(group, name, of_name) for name, of_name in zip(NAMES, runs, strict=True)]
    text = table(args, rows)
    args.table.write_text(text, encoding="utf-8")
    print(text)


def compare(args: Args, group: int, seed: int) -> tuple[Run, ...]:
    """Return the three runs of NAMES."""
    replacing = run(recipe(args, group, seed, args.steps, args.max_rounds))
    equal_cost = math.ceil(replacing.num_completions / args.completions)
    return replacing, *(run(recipe(args, group, seed, steps, 0)) for steps in (args.steps, equal_cost))


def recipe(args: Args, group: int, seed: int, steps: int, max_rounds: int) -> Recipe:
    """Return the demo's recipe with these numbers, and without held-out problems, which would cost most of the time."""
    base = demo_recipe(seed, steps)
    train = dataclasses.replace(
        base.train,
        num_generations=group,
        prompts_per_step=args.completions // group,
        max_resampling_rounds=max_rounds,
    )
    return dataclasses.replace(base, train=train, heldout=HeldoutConfig(every=0), output_dir=str(args.out))


def run(recipe: Recipe) -> Run:
    """Train and measure."""
    from reasoning_grpo.eval.backends.opening import ModelOptions
    from reasoning_grpo.eval.benchmark import benchmark
    from reasoning_grpo.eval.measures import measures
    from reasoning_grpo.eval.suite import load_suite
    from reasoning_grpo.train import train

    trained = train(recipe)
    _, result = benchmark(load_suite(SUITE), ModelOptions(model=str(trained.model_dir)), out=trained.run_dir / "bench")
    rollouts = read(trained.run_dir / "rollouts" / "rank-0.jsonl")
    steps = [row for row in read(trained.run_dir / "metrics.jsonl") if "groups/mixed" in row]
    causes = Counter(row["replaced"] for row in rollouts if row["replaced"])
    return Run(
        num_steps=recipe.train.steps,
        num_completions=len(rollouts),
        signal_share=sum(row["groups/mixed"] for row in steps) / len(steps),
        replaced=Counter({cause: count // recipe.train.num_generations for cause, count in causes.items()}),
        accuracy=measures(result)["accuracy"],
    )


def read(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a JSONL file."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def row(group: int, name: str, runs: Sequence[Run]) -> str:
    """Return one line of the table: means over the seeds, and every seed's accuracy."""
    causes = [mean([run.replaced[cause] for run in runs]) for cause in ("all_right", "all_wrong")]
    cells = [
        str(group),
        name,
        f"{mean([run.num_steps for run in runs]):.0f}",
        f"{mean([run.num_completions for run in runs]):.0f}",
        f"{mean([run.signal_share for run in runs]):.0%}",
        *(f"{count:.0f}" for count in causes),
        f"{mean([run.accuracy for run in runs]):.1%} ({', '.join(f'{run.accuracy:.1%}' for run in runs)})",
    ]
    return f"| {' | '.join(cells)} |"


def mean(values: Sequence[float]) -> float:
    """Return the mean."""
    return sum(values) / len(values)


def table(args: Args, rows: Sequence[str]) -> str:
    """Return the Markdown table with what it was measured on."""
    from machine import machine, told

    return "\n".join(
        (
            "# Dynamic sampling on the demo's model",
            "",
            f"`python benchmarks/dynamic_sampling.py` ({told(machine())}): the demo's recipe with "
            f"{args.completions} completions a step, `max_resampling_rounds = {args.max_rounds}` or 0. "
            f"Means over the seeds {', '.join(map(str, args.seeds))}. Groups with signal are those a step was made of; "
            "what was left out is counted in groups of the whole run. Before training the model solves 35.0 %.",
            "",
            HEAD,
            *rows,
            "",
        )
    )


if __name__ == "__main__":
    main(tyro.cli(Args))
