"""Runs as a person named them on the command line."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reasoning_grpo.eval.runs import Run


def named_by_place(run: "Run", path: Path) -> "Run":
    """Return the run under the name of its folder or file: two runs of one model would have one label."""
    return replace(run, label=path.resolve().name.removesuffix(".gz").removesuffix(".jsonl"))
