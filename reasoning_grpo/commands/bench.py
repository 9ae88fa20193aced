"""`reasoning-grpo bench SUITE --model M` and `reasoning-grpo bench --resume FOLDER`."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from reasoning_grpo.commands.options import parse_options
from reasoning_grpo.errors import UserError
from reasoning_grpo.eval.suite import Suite, load_suite

if TYPE_CHECKING:
    from reasoning_grpo.eval.runs import Run

# What may change when a run goes on; all else is part of what was asked.
_RESUMABLE = (
    "model",
    "api_key_env",
    "tokenizer",
    "concurrency",
    "deadline_seconds",
    "batch_size",
)
# What only some backends read.
_READ_BY = {
    "batch_size": ("transformers",),
    "dtype": ("transformers", "vllm"),
    "revision": ("transformers", "vllm"),
    "endpoint": ("openai",),
    "api_key_env": ("openai",),
    "tokenizer": ("openai",),
    "concurrency": ("openai",),
    "deadline_seconds": ("openai",),
}
_OF_SETTINGS = ("samples", "temperature", "top_p", "top_k", "min_p", "seed")


@dataclass(frozen=True, kw_only=True)
class BenchArgs:
    """Measure a model on a suite, with intervals, and write every attempt down.

    A run that was stopped or died goes on with `reasoning-grpo bench --resume FOLDER`; with `--samples` it takes more
    samples of each problem and keeps the ones it has.
    """

    suite: Annotated[str | None, tyro.conf.Positional] = None
    """A suite (`reasoning-grpo suites`), a suite TOML of your own, or a JSONL, CSV or Parquet file of problems."""
    model: str | None = None
    """Hub id or local folder, for instance a run's `best`; with a server, the name it gives its model."""
    resume: Path | None = None
    """Go on with the benchmark in this folder, or take more samples."""
    samples: int | None = None
    """Samples of each problem; 1 unless said. More than one needs a temperature."""
    temperature: float | None = None
    """0, the default, is greedy."""
    top_p: float | None = None
    """Draw from the likeliest tokens that hold this share; 1 for all."""
    top_k: int | None = None
    """Draw from this many likeliest tokens; 0 for all."""
    min_p: float | None = None
    """Draw from tokens at least this likely, relative to the likeliest."""
    seed: int | None = None
    """Chooses the samples; 0 unless said."""
    limit: int | None = None
    """Ask only the first N problems."""
    prompt: str | None = None
    """Prompt style; by default the suite's, else the one the model was trained on, else one that fits the model."""
    verifier: str | None = None
    """What counts as right: a name, `pkg.mod:fn` or `./file.py:fn`; `accuracy` unless said."""
    max_completion_tokens: int | None = None
    """Limit per answer; by default the suite's."""
    batch_size: int | None = None
    """Most answers generated at once; lower it when memory runs out."""
    dtype: Literal["auto", "float32", "bfloat16"] | None = None
    """Type of the weights; auto is bfloat16 on a GPU that has it, float32 elsewhere, whatever they were saved in."""
    revision: str | None = None
    """Branch, tag or commit of a hub model."""
    backend: Literal["transformers", "vllm", "openai"] | None = None
    """Where the model runs: in this process (default), in vLLM, or behind a server that speaks OpenAI's protocol."""
    base_url: str | None = None
    """The server's address, such as http://127.0.0.1:8000/v1; nothing is sent anywhere else."""
    endpoint: Literal["chat", "completions"] | None = None
    """Send messages, which the server renders (default), or the rendered prompt."""
    api_key_env: str | None = None
    """Environment variable that holds the server's key; without it no key is sent."""
    tokenizer: str | None = None
    """For `--endpoint completions`: folder or hub id of the tokenizer whose chat template renders the prompt."""
    concurrency: int | None = None
    """Requests to the server at a time; 16 unless said."""
    deadline_seconds: float | None = None
    """Most time for one answer of the server, further tries included; 1800 unless said."""
    out: Path | None = None
    """A folder for this benchmark is made inside this one; `out/bench` unless said."""


def run(verb: str, args: Sequence[str]) -> int:
    """Benchmark, or go on with one, and print the result."""
    options = parse_options(BenchArgs, args, "reasoning-grpo bench")
    folder, measured = _resumed(options) if options.resume else _begun(options)
    print_result(folder, measured)
    return 0


def print_result(folder: Path, run: "Run") -> None:
    """Print the result for a person, with the figures of `result.json`.

    Raises:
        UserError: nothing could be graded.
    """
    record = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    conditions, facts = run.conditions, run.facts
    if not record["num_graded"]:
        raise UserError(
            f"no gold of `{conditions['suite']}` can be graded by `{conditions['verifier']['reference']}`; see the "
            f"verdicts in `{folder / 'attempts.jsonl'}` and the golds with `reasoning-grpo audit`"
        )
    samples = f", {facts['samples']} samples of each" if facts["samples"] > 1 else ""
    print(f"suite:     {conditions['suite']}: {len(run.problems)} problems{samples}")
    print(f"model:     {facts['model']}")
    print(f"accuracy:  {_accuracy(record)}, {record['num_correct']} of {record['num_graded']} right")
    print(
        f"asked:     prompt style {conditions['prompt']['style']}, judged by {conditions['verifier']['reference']}, at "
        f"most {conditions['max_completion_tokens']} tokens"
    )
    for name in ("pass_at_k", "maj_at_k"):
        if len(record[name]) > 1:
            print(f"{name.replace('_at_', '@') + ':':<11}{_at_k(record[name])}")
    for line in _figures(record):
        print(line)
    print(f"attempts:  {folder / 'attempts.jsonl'}")


def _at_k(figures: Mapping[str, Any]) -> str:
    known = {k: row["value"] for k, row in figures.items() if row["value"] is not None}
    return ", ".join(f"{100 * value:.1f} % at {k}" for k, value in known.items())


def _accuracy(record: Mapping[str, Any]) -> str:
    share = f"{100 * record['accuracy']:.1f} %"
    if record["ci_low"] is None:
        return share
    return f"{share} [{100 * record['ci_low']:.1f}, {100 * record['ci_high']:.1f}] (95 % interval)"


def _figures(record: Mapping[str, Any]) -> list[str]:
    """Return the lines on outcomes, lengths and what was cut off."""
    counts = ", ".join(f"{name} {count}" for name, count in record["outcomes"].items() if count)
    lines = [f"outcomes:  {counts}"]
    if record["mean_tokens"] is not None:
        speed = f", {record['tokens_per_second']:.0f} tokens/s" if record["tokens_per_second"] else ""
        lines.append(f"length:    {record['mean_tokens']:.0f} tokens on average{speed}")
    if record["num_truncated"]:
        lines.append(
            f"cut off:   {record['num_truncated']} of {record['num_attempts']} answers reached the limit; raise it "
            "with `--max-completion-tokens` if they were still going somewhere"
        )
    return lines


def _begun(options: BenchArgs) -> tuple[Path, "Run"]:
    if options.suite is None or options.model is None:
        raise UserError("name a suite and a model: `reasoning-grpo bench SUITE --model M`")
    suite = _suite(options, options.suite)
    asked = _asked(options)
    _check_drawn(asked)
    from reasoning_grpo.eval.backends.opening import ModelOptions
    from reasoning_grpo.eval.benchmark import benchmark, settings_for

    names = {field.name for field in dataclasses.fields(ModelOptions)}
    settings = settings_for(suite, **{name: asked[name] for name in _OF_SETTINGS if name in asked})
    model = ModelOptions(**{name: value for name, value in asked.items() if name in names})
    _check_read(asked, model.backend)
    _prepare(model.backend)
    verifier, out = options.verifier or "accuracy", options.out or Path("out/bench")
    return benchmark(suite, model, settings=settings, prompt=options.prompt, verifier=verifier, out=out)


def _resumed(options: BenchArgs) -> tuple[Path, "Run"]:
    assert options.resume is not None
    asked = _asked(options)
    for name in asked:
        if name not in (*_RESUMABLE, "samples", "resume"):
            raise UserError(
                f"a benchmark goes on as it was asked, so `{_flag(name)}` cannot be given with `--resume`; leave it "
                "out, or start a new benchmark"
            )
    from reasoning_grpo.eval.benchmark import resume
    from reasoning_grpo.eval.folder import read_plan

    backend = read_plan(options.resume)["facts"]["backend"]
    _check_read(asked, backend)
    _prepare(backend)
    changes = {name: value for name, value in asked.items() if name in _RESUMABLE}
    return resume(options.resume, samples=options.samples, **changes)


def _asked(options: BenchArgs) -> Mapping[str, Any]:
    """Return what was given on the command line."""
    named = {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}
    return {name: value for name, value in named.items() if value is not None}


def _check_read(asked: Mapping[str, Any], backend: str) -> None:
    """Refuse an option that the backend would leave unread."""
    for name, readers in _READ_BY.items():
        if name in asked and backend not in readers:
            known = " and ".join(f"`{reader}`" for reader in readers)
            raise UserError(f"`{_flag(name)}` means nothing to the backend `{backend}`, only to {known}; leave it out")


def _check_drawn(asked: Mapping[str, Any]) -> None:
    """Refuse what shapes a draw where nothing is drawn."""
    for name in ("top_p", "top_k", "min_p"):
        if name in asked and not asked.get("temperature"):
            raise UserError(
                f"`{_flag(name)}` means nothing at temperature 0, where the likeliest token is taken; leave it out, or "
                "add `--temperature 0.6`, say"
            )


def _flag(name: str) -> str:
    return "SUITE" if name == "suite" else f"--{name.replace('_', '-')}"


def _prepare(backend: str) -> None:
    """Make the process ready for a model in it; a server's client needs none of it."""
    if backend != "openai":
        from reasoning_grpo.commands.process import prepare_process

        prepare_process()


def _suite(options: BenchArgs, reference: str) -> Suite:
    for name in ("limit", "max_completion_tokens"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise UserError(f"`{_flag(name)}` is {value}; it must be at least 1")
    suite = load_suite(reference)
    if options.max_completion_tokens is not None:
        suite = dataclasses.replace(suite, max_completion_tokens=options.max_completion_tokens)
    if options.limit is not None:
        suite = dataclasses.replace(suite, data=dataclasses.replace(suite.data, limit=options.limit))
    return suite
