"""`reasoning-grpo demo`: benchmark, train, benchmark again, on a model that ships with the package.

Everything here is a call that any other run makes too: the recipe is `recipes/demo-arithmetic.toml`, the suite is
`arithmetic`.
"""

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reasoning_grpo import storage
from reasoning_grpo.commands.options import parse_options
from reasoning_grpo.config import Recipe, find_recipe, load_recipe

if TYPE_CHECKING:
    from reasoning_grpo.eval.metrics import PairedComparison
    from reasoning_grpo.eval.runs import Run
    from reasoning_grpo.schema import Verdict

RECIPE = "demo-arithmetic"
SUITE = "arithmetic"


@dataclass(frozen=True, kw_only=True)
class DemoArgs:
    """Train a tiny shipped model with GRPO and measure what it learned: offline, no GPU, under five minutes.

    The model (shipped, made by examples/make_demo_model.py) solves arithmetic stories, at first often by a careless
    guess. Rewarded for right answers only, it learns to think step by step.
    """

    seed: int = 0
    """Seeds sampling, shuffling and the held-out split; the benchmark's problems stay the same."""
    steps: int | None = None
    """Training steps; by default the recipe's."""
    out: Path = Path("out/demo")
    """A folder for this demo is made inside this one."""


@dataclass(frozen=True, kw_only=True)
class DemoResult:
    """Both benchmarks and where the run is."""

    before: "Run"
    after: "Run"
    comparison: "PairedComparison"
    folder: Path
    run_dir: Path
    model_dir: Path
    seconds: float
    seed: int

    def as_record(self) -> dict[str, object]:
        """Return the figures of `result.json`."""
        from reasoning_grpo.eval.metrics import accuracy, mean_tokens

        before, after = (accuracy(list(verdicts_of(run).values())) for run in (self.before, self.after))
        return {
            "accuracy_before": before.value,
            "accuracy_after": after.value,
            "ci_before": before.interval,
            "ci_after": after.interval,
            "num_problems": self.comparison.num_problems,
            "wins": self.comparison.wins,
            "losses": self.comparison.losses,
            "p_value": self.comparison.p_value,
            "mean_tokens_before": mean_tokens(self.before.attempts),
            "mean_tokens_after": mean_tokens(self.after.attempts),
            "seconds": self.seconds,
            "seed": self.seed,
            "run_dir": str(self.run_dir),
            "model_dir": str(self.model_dir),
        }


def run(verb: str, args: Sequence[str]) -> int:
    """Run the demo and print what changed."""
    options = parse_options(DemoArgs, args, "reasoning-grpo demo")
    recipe = demo_recipe(options.seed, options.steps)
    from reasoning_grpo.commands.process import prepare_process

    prepare_process()
    result = demo(recipe, options.out)
    print_demo(result)
    return 0


def demo_recipe(seed: int, steps: int | None) -> Recipe:
    """Return the demo's recipe with this seed."""
    recipe = load_recipe(find_recipe(RECIPE))
    train = recipe.train if steps is None else dataclasses.replace(recipe.train, steps=steps)
    return dataclasses.replace(recipe, seed=seed, train=train)


def demo(recipe: Recipe, out: Path) -> DemoResult:
    """Benchmark, train, benchmark again; write `result.json` last."""
    started = time.monotonic()
    from reasoning_grpo.eval.backends.opening import ModelOptions
    from reasoning_grpo.eval.benchmark import benchmark
    from reasoning_grpo.eval.metrics import compare_paired
    from reasoning_grpo.eval.suite import load_suite
    from reasoning_grpo.train import train

    suite = load_suite(SUITE)
    folder = storage.new_folder(out, "demo")
    _, before = benchmark(suite, ModelOptions(model=recipe.model.name), out=folder / "bench-before")
    trained = train(dataclasses.replace(recipe, output_dir=str(folder)), name="run")
    _, after = benchmark(suite, ModelOptions(model=str(trained.model_dir)), out=folder / "bench-after")
    result = DemoResult(
        before=before,
        after=after,
        comparison=compare_paired(verdicts_of(before), verdicts_of(after)),
        folder=folder,
        run_dir=trained.run_dir,
        model_dir=trained.model_dir,
        seconds=time.monotonic() - started,
        seed=recipe.seed,
    )
    storage.write_json(folder / "result.json", result.as_record())
    return result


def print_demo(result: DemoResult) -> None:
    """Print accuracy before and after, one problem's two answers, and where everything is."""
    from reasoning_grpo.eval.metrics import accuracy

    record = result.as_record()
    index = _changed_problem(result)
    problem = result.after.problems[index]
    print(f"\nOne of the {record['num_problems']} problems: {problem.question}  (right answer: {problem.answer})")
    for name, run in (("before", result.before), ("after", result.after)):
        attempt = run.attempts[index]
        print(f"  {name}: {attempt.completion.text.strip()}  -> {run.verdict(attempt).outcome}")
    p_value = result.comparison.p_value
    before, after = (accuracy(list(verdicts_of(run).values())) for run in (result.before, result.after))
    print(f"\naccuracy before:  {before}  (95 % interval, {record['num_problems']} problems)")
    print(f"accuracy after:   {after}")
    print(
        f"difference:       {100 * result.comparison.difference:+.1f} points, exact McNemar p = {p_value:.1g} "
        f"({result.comparison.wins} problems gained, {result.comparison.losses} lost)"
    )
    print(
        f"answer length:    {record['mean_tokens_before']:.0f} -> {record['mean_tokens_after']:.0f} tokens on average"
    )
    print(f"time:             {result.seconds:.0f} s")
    print(f"run folder:       {result.run_dir}")
    print(f"trained model:    {result.model_dir}")
    print(f"result:           {result.folder / 'result.json'}")


def verdicts_of(run: "Run") -> "dict[str, Verdict]":
    """Return the deciding verdict of each problem, by problem id; a greedy run has one."""
    return {attempt.problem_id: run.verdict(attempt) for attempt in run.attempts}


def _changed_problem(result: DemoResult) -> int:
    """Return the index of a problem that training put right, or 0 where there is none."""
    before, after = verdicts_of(result.before), verdicts_of(result.after)
    gained = [i for i, p in enumerate(result.after.problems) if after[p.id].passed and not before[p.id].passed]
    return gained[0] if gained else 0
