"""Run the demo for several seeds; write the table and the picture the README shows.

    python benchmarks/demo_seeds.py --seeds 0 1 2 3 4

Finished seeds are kept in the output folder and not run again.
"""

import hashlib
import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from reasoning_grpo import storage
from reasoning_grpo.commands.demo import RECIPE, demo, demo_recipe
from reasoning_grpo.commands.process import prepare_process
from reasoning_grpo.config import Recipe, find_recipe, load_recipe, recipe_to_table

HERE = Path(__file__).resolve().parent
HEAD = "| seed | accuracy before | accuracy after | gain | p | tokens before | after | seconds |\n" + 8 * "|---" + "|"


@dataclass(frozen=True, kw_only=True)
class Args:
    """Run the demo for several seeds."""

    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Seeds of sampling, shuffling and the held-out split."""
    out: Path = Path("out/demo-seeds")
    """Runs and results are kept here."""
    table: Path = HERE / "demo_seeds.md"
    """The table written."""
    picture: Path = HERE.parent / "docs" / "demo.png"
    """The picture written."""


def main(args: Args) -> None:
    """Run what is missing, then write table and picture."""
    prepare_process()
    results = [run_seed(seed, args.out) for seed in args.seeds]
    args.table.write_text(table(results), encoding="utf-8")
    draw(results, args.picture)
    print(table(results))


def run_seed(seed: int, out: Path) -> dict[str, Any]:
    """Return the demo's result for one seed, from disk where the same recipe and model have made it."""
    recipe = demo_recipe(seed, None)
    path = out / f"seed-{seed}-{fingerprint(recipe)}.json"
    if not path.is_file():
        out.mkdir(parents=True, exist_ok=True)
        storage.write_json(path, demo(recipe, out).as_record())
    result: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return result


def fingerprint(recipe: Recipe) -> str:
    """Return a short hash of the recipe and of the model's weights."""
    weights = (Path(recipe.model.name) / "model.safetensors").read_bytes()
    text = json.dumps(recipe_to_table(recipe), sort_keys=True).encode()
    return hashlib.sha256(text + weights).hexdigest()[:12]


def table(results: Sequence[dict[str, Any]]) -> str:
    """Return the Markdown table with where and with what it was measured."""
    manifest = json.loads((Path(results[0]["run_dir"]) / "manifest.json").read_text("utf-8"))
    hardware, versions = manifest["hardware"], manifest["versions"]
    rows = [row(result) for result in results]
    train = load_recipe(find_recipe(RECIPE)).train
    return "\n".join(
        (
            "# The demo, seed by seed",
            "",
            f"`python benchmarks/demo_seeds.py` on {manifest['started'][:10]}: {hardware['num_cpus']} cores "
            f"({hardware['processor']}), Python {platform.python_version()}, torch {versions['torch']}, "
            f"trl {versions['trl']}, transformers {versions['transformers']}. Greedy accuracy on "
            f"{results[0]['num_problems']} problems of the test split; p is McNemar's exact one. "
            f"{train.steps} steps of {train.prompts_per_step} x {train.num_generations} completions, learning rate "
            f"{train.learning_rate:g}. The time is that of the whole demo, both benchmarks included.",
            "",
            HEAD,
            *rows,
            "",
        )
    )


def row(result: dict[str, Any]) -> str:
    """Return one line of the table."""
    before, after = 100 * result["accuracy_before"], 100 * result["accuracy_after"]
    return (
        f"| {result['seed']} | {before:.1f} % | {after:.1f} % | {after - before:+.1f} | {result['p_value']:.0e} "
        f"| {result['mean_tokens_before']:.0f} | {result['mean_tokens_after']:.0f} | {result['seconds']:.0f} |"
    )


def draw(results: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw held-out accuracy and the length of completions over the steps, one line per seed."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9.0, 3.2), constrained_layout=True)
    for result in results:
        run_dir = Path(result["run_dir"])
        heldout = read(run_dir / "heldout.jsonl")
        left.plot(
            [r["step"] for r in heldout],
            [100 * r["accuracy"] for r in heldout],
            marker="o",
            markersize=3,
            label=f"seed {result['seed']}",
        )
        steps = [r for r in read(run_dir / "metrics.jsonl") if r.get("completions/mean_length") is not None]
        right.plot([r["step"] for r in steps], [r["completions/mean_length"] for r in steps], linewidth=1)
    left.set(title="Held-out accuracy, greedy (%)", xlabel="GRPO step", ylim=(0, 103))
    right.set(title="Tokens per completion, sampled", xlabel="GRPO step")
    left.legend(fontsize=8, frameon=False)
    for axis in (left, right):
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def read(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a JSONL file."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


if __name__ == "__main__":
    main(tyro.cli(Args))
