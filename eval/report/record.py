"""Everything a report says, as one record: `schema.json` beside this file is its form, Markdown and the page show it.

Accuracies are shares in [0, 1]; a comparison is in percentage points. What cannot be had is null.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from reasoning_grpo import storage
from reasoning_grpo.errors import UserError
from reasoning_grpo.eval.budget import budgets, curve
from reasoning_grpo.eval.compare import compare, footing, pair_up
from reasoning_grpo.eval.measures import measures
from reasoning_grpo.eval.overlap import overlap_figures
from reasoning_grpo.eval.runs import Run
from reasoning_grpo.schema import Problem

FORMAT = "reasoning-grpo-report"
SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainData:
    """Training problems to look for in the benchmark, and what a person calls them."""

    origin: str
    problems: Sequence[Problem]


def report_record(runs: Sequence[Run], train: TrainData | None = None) -> dict[str, Any]:
    """Return the record of one run, or of two with their comparison (the second minus the first).

    Raises:
        UserError: there is nothing to report, or two runs share no problem.
    """
    for run in runs:
        if not run.attempts:
            raise UserError(f"the run {run.label!r} has no attempts; there is nothing to report")
    at = budgets(runs)
    return {
        "format": FORMAT,
        "schema_version": SCHEMA_VERSION,
        "created": storage.now(),
        "runs": [run_record(run, at, train) for run in runs],
        "comparison": compare(pair_up(*runs)) if len(runs) == 2 else None,
    }


def run_record(run: Run, at: Sequence[int], train: TrainData | None = None) -> dict[str, Any]:
    """Return the record of one run; `overlapping` lists the ids of the problems found in the training data."""
    overlap: dict[str, Any] | None = None
    if train is not None:
        figures, ids = overlap_figures(run, train.problems, train.origin)
        overlap = {**figures, "problem_ids": [problem.id for problem in run.problems if problem.id in ids]}
    return {
        "label": run.label,
        "term": run.term,
        "conditions": dict(run.conditions),
        "facts": dict(run.facts),
        "measures": measures(run),
        "budget_curve": curve(run, at),
        "overlap": overlap,
    }


def notices(record: Mapping[str, Any]) -> list[str]:
    """Return what a reader must know before any figure: what two runs do not share."""
    return list(footing(record["comparison"])) if record["comparison"] else []


def schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a report."""
    text = resources.files("reasoning_grpo.eval.report").joinpath("schema.json").read_text("utf-8")
    return dict(json.loads(text))
