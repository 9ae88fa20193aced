"""lm-eval's output folder: `MODEL/results_TIME.json` and `MODEL/samples_TASK_TIME.jsonl` (form of lm-eval 0.4.13).

A problem is one row with all its samples under `resps`; `exact_match` is the share of them that are right. A problem
whose gold cannot be graded has a row without a metric. The verdicts stand under `doc.verdicts`, which lm-eval keeps.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from reasoning_grpo import storage
from reasoning_grpo.errors import UserError
from reasoning_grpo.eval.export.common import file_name, model_name, prompt_of, task_name, whole_value
from reasoning_grpo.eval.measures import measures
from reasoning_grpo.eval.runs import Run
from reasoning_grpo.schema import Attempt, Outcome, Problem

METRIC = "exact_match"
FILTER = "none"


def export(run: Run, folder: Path) -> list[Path]:
    """Write the run below a folder, which is made if need be, and return the files: samples, then results.

    Raises:
        UserError: the place is a file, or cannot be written.
    """
    place = folder / file_name(model_name(run))
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"no folder at `{place}`: {error.strerror}; name another one with `--out`") from None
    time = datetime.now().isoformat().replace(":", "-")
    samples, results = place / f"samples_{task_name(run)}_{time}.jsonl", place / f"results_{time}.json"
    rows = list(sample_rows(run))
    storage.write_text(samples, "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows))
    storage.write_json(results, results_record(run, rows))
    return [samples, results]


def sample_rows(run: Run) -> Iterator[dict[str, Any]]:
    """Yield a row of the samples file for each problem that has attempts."""
    grouped = run.by_problem()
    for number, problem in enumerate(run.problems):
        if grouped[problem.id]:
            yield dict(whole_value(storage.finite(_row(run, number, problem, grouped[problem.id]))))


def results_record(run: Run, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the results file."""
    task, model, figures = task_name(run), model_name(run), measures(run)
    error = figures["standard_error"]
    hashes = "".join(row["doc_hash"] + row["prompt_hash"] + row["target_hash"] for row in rows)
    return dict(
        whole_value(
            storage.finite(
                {
                    "results": {
                        task: {
                            "name": task,
                            "alias": task,
                            "sample_len": len(rows),
                            f"{METRIC},{FILTER}": figures["accuracy"],
                            f"{METRIC}_stderr,{FILTER}": "N/A" if math.isnan(error) else error,
                        }
                    },
                    "group_subtasks": {task: []},
                    "configs": {task: {"task": task, "output_type": "generate_until"}},
                    "versions": {task: 1},
                    "n-shot": {task: 0},
                    "higher_is_better": {task: {METRIC: True}},
                    "n-samples": {task: {"original": len(run.problems), "effective": len(rows)}},
                    "config": {"model": "reasoning-grpo", "model_args": {"pretrained": model}},
                    "model_source": "reasoning-grpo",
                    "model_name": model,
                    "task_hashes": {task: _hash(hashes)},
                    "reasoning_grpo": {"conditions": dict(run.conditions), "facts": dict(run.facts)},
                }
            )
        )
    )


def _row(run: Run, number: int, problem: Problem, attempts: Sequence[Attempt]) -> dict[str, Any]:
    prompt = prompt_of(run, problem.id, problem.question)
    verdicts = [run.verdict(attempt) for attempt in attempts]
    graded = [verdict.passed for verdict in verdicts if verdict.outcome is not Outcome.UNGRADABLE]
    doc = {
        "id": problem.id,
        "question": problem.question,
        "answer": problem.answer,
        "meta": dict(problem.meta),
        "verdicts": [storage.plain(verdict) for verdict in verdicts],
    }
    answers = [verdict.extracted or "" for verdict in verdicts]
    return {
        "doc_id": number,
        "doc": doc,
        "target": problem.answer,
        "arguments": {"gen_args_0": {"arg_0": prompt, "arg_1": {}}},
        "resps": [[attempt.completion.text for attempt in attempts]],
        "filtered_resps": answers if len(answers) == 1 else [answers],
        "filter": FILTER,
        "metrics": [METRIC] if graded else [],
        "doc_hash": _hash(json.dumps([problem.id, problem.question, problem.answer])),
        "prompt_hash": _hash(prompt),
        "target_hash": _hash(problem.answer),
        **({METRIC: sum(graded) / len(graded)} if graded else {}),
    }


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
