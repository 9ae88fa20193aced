"""`reasoning-grpo bench SUITE --model M`."""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from reasoning_grpo.errors import UserError
from reasoning_grpo.eval.suite import Suite, load_suite

if TYPE_CHECKING:
    from reasoning_grpo.eval.harness import BenchmarkResult


@dataclass(frozen=True, kw_only=True)
class BenchArgs:
    """Measure a model's greedy accuracy, with its 95 % interval, and write every attempt down."""

    suite: Annotated[str, tyro.conf.Positional]
    """A suite (`reasoning-grpo suites`), a suite TOML of your own, or a JSONL, CSV or Parquet file of problems."""
    model: str
    """Hub id or local folder, for instance a run's `best`."""
    limit: int | None = None
    """Ask only the first N problems."""
    prompt: str | None = None
    """Prompt style; by default the one the model was trained on, else one that fits the model."""
    verifier: str = "accuracy"
    """What counts as right: a name, `pkg.mod:fn` or `./file.py:fn`."""
    max_completion_tokens: int | None = None
    """Limit per answer; by default the suite's."""
    batch_size: int = 128
    """Most answers generated at once; lower it when memory runs out."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Type of the weights; auto is bfloat16 on a GPU that has it, float32 elsewhere, whatever they were saved in."""
    revision: str | None = None
    """Branch, tag or commit of a hub model."""
    out: Path = Path("out/bench")
    """A folder for this benchmark is made inside this one."""


def run(verb: str, args: Sequence[str]) -> int:
    """Benchmark and print the result."""
    options = tyro.cli(BenchArgs, args=list(args), prog="reasoning-grpo bench")
    suite = _suite(options)
    from reasoning_grpo.commands.process import prepare_process

    prepare_process()
    from reasoning_grpo.eval.benchmark import benchmark

    folder, result = benchmark(
        suite,
        options.model,
        revision=options.revision,
        dtype=options.dtype,
        prompt=options.prompt,
        verifier=options.verifier,
        batch_size=options.batch_size,
        out=options.out,
    )
    if not result.accuracy.num_graded:
        raise UserError(
            f"no gold of `{suite.name}` can be graded by `{options.verifier}`; see the verdicts in "
            f"`{folder / 'attempts.jsonl'}` and the golds with `reasoning-grpo audit`"
        )
    print_result(suite, options.model, folder, result)
    return 0


def print_result(suite: Suite, model: str, folder: Path, result: "BenchmarkResult") -> None:
    """Print the result for a person."""
    record = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    print(f"suite:     {suite.name}: {suite.title}")
    print(f"model:     {model}")
    print(f"accuracy:  {result.accuracy} (95 % interval), {record['num_correct']} of {record['num_graded']} right")
    print(f"asked:     prompt style {record['prompt']}, judged by {record['verifier']}")
    print(f"score:     {record['mean_score']:.3f} on average")
    outcomes = ", ".join(f"{name} {count}" for name, count in record["outcomes"].items() if count)
    print(f"outcomes:  {outcomes}; truncated {record['num_truncated']}")
    print(f"length:    {record['mean_tokens']:.0f} tokens on average, {record['tokens_per_second']:.0f} tokens/s")
    print(f"attempts:  {folder / 'attempts.jsonl'}")


def _suite(options: BenchArgs) -> Suite:
    for name in ("limit", "max_completion_tokens", "batch_size"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise UserError(f"`--{name.replace('_', '-')}` is {value}; it must be at least 1")
    suite = load_suite(options.suite)
    if options.max_completion_tokens is not None:
        suite = dataclasses.replace(suite, max_completion_tokens=options.max_completion_tokens)
    if options.limit is not None:
        suite = dataclasses.replace(suite, data=dataclasses.replace(suite.data, limit=options.limit))
    return suite
