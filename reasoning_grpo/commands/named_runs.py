"""Runs as a person named them on the command line."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reasoning_grpo.eval.runs import Run


def load_named(path: Path) -> "Run":
    """Read a run; a file is called by its whole name, dots included.

    Raises:
        DataError: there is no readable run.
    """
    from reasoning_grpo.eval.runs import load_run

    run = load_run(path)
    return named_by_place(run, path) if path.is_file() else run


def named_by_place(run: "Run", path: Path) -> "Run":
    """Return the run under the name of its folder or file."""
    return replace(run, label=path.resolve().name.removesuffix(".gz").removesuffix(".jsonl"))
