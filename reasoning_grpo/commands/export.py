"""`reasoning-grpo export RUN --format lm-eval|inspect --out PLACE`: a run for the viewers of other harnesses."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from reasoning_grpo import storage
from reasoning_grpo.commands.options import parse_options
from reasoning_grpo.errors import UserError


@dataclass(frozen=True, kw_only=True)
class ExportArgs:
    """Write a run as another harness would have logged it; that harness need not be installed.

    The verdicts stay ours: nothing is graded again.
    """

    run: Annotated[Path, tyro.conf.Positional]
    """A folder of `bench` or `regrade`, or a file of `score --out`."""
    format: Literal["lm-eval", "inspect"]
    """Whose log to write."""
    out: Path
    """For lm-eval a folder, which gets `MODEL/results_*.json` and `MODEL/samples_*.jsonl`; for inspect a .json file, or
    a folder that exists: the file gets a name there by which `inspect view` lists it."""


def run(verb: str, args: Sequence[str]) -> int:
    """Export and say where."""
    options = parse_options(ExportArgs, args, "reasoning-grpo export")
    if options.format == "inspect" and not options.out.is_dir():
        storage.check_output(options.out, options.run)
        if options.out.suffix != ".json":
            raise UserError(f"the output `{options.out}` does not end in `.json`, by which inspect knows its logs")
    from reasoning_grpo.eval.export import inspect, lm_eval

    export = inspect.export if options.format == "inspect" else lm_eval.export
    from reasoning_grpo.eval.runs import load_run

    for path in export(load_run(options.run), options.out):
        print(f"wrote {path}")
    return 0
