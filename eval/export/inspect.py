"""inspect's log as one `.json` file (log version 2, form of inspect-ai 0.3.285).

An attempt is a sample: `epoch` is its number from 1. A right one scores `C`, one without an answer `N`, any other `I`;
one whose gold cannot be graded has no score. The verdict's reason is the score's explanation, the rest its metadata.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reasoning_grpo import storage
from reasoning_grpo.eval.export.common import file_name, model_name, prompt_of, task_name, whole_value
from reasoning_grpo.eval.measures import measures
from reasoning_grpo.eval.runs import Run
from reasoning_grpo.schema import Attempt, Outcome, Problem, Verdict

LOG_VERSION = 2
_VALUES = {Outcome.PASS: "C", Outcome.NO_ANSWER: "N"}


def export(run: Run, path: Path) -> list[Path]:
    """Write the run's log and return its path; in a folder it gets a name by which inspect's viewer lists it."""
    record = log_record(run)
    if path.is_dir():
        spec = record["eval"]
        time, task = spec["created"].replace(":", "-"), spec["task"].replace("_", "-")
        path /= f"{file_name(time)}_{task}_{spec['eval_id']}.json"
    storage.write_text(path, json.dumps(record, indent=1, allow_nan=False) + "\n")
    return [path]


def log_record(run: Run) -> dict[str, Any]:
    """Return the log."""
    problems = {problem.id: problem for problem in run.problems}
    samples = [_sample(run, problems[attempt.problem_id], attempt) for attempt in run.attempts]
    created = str(run.facts.get("started") or storage.now())
    stats = {"started_at": created, "completed_at": created, "model_usage": {}}
    record = {
        "version": LOG_VERSION,
        "status": "success",
        "eval": _spec(run, created),
        "plan": {"name": "plan", "steps": [], "config": {}},
        "results": _results(run),
        "stats": stats,
        "samples": samples,
    }
    return dict(whole_value(storage.finite(record)))


def _spec(run: Run, created: str) -> dict[str, Any]:
    identity = hashlib.sha256(json.dumps([run.label, created]).encode()).hexdigest()[:22]
    num_samples = max((attempt.sample + 1 for attempt in run.attempts), default=1)
    return {
        "eval_id": identity,
        "run_id": identity,
        "created": created,
        "task": task_name(run),
        "task_id": identity,
        "task_version": 0,
        "dataset": {"name": task_name(run), "samples": len(run.problems), "shuffled": False},
        "model": model_name(run),
        "config": {"epochs": num_samples},
        "metadata": {"conditions": dict(run.conditions), "facts": dict(run.facts), "label": run.label},
    }


def _results(run: Run) -> dict[str, Any]:
    figures = measures(run)
    shown = {"accuracy": figures["accuracy"], "stderr": figures["standard_error"]}
    # inspect's metrics are numbers: one that cannot be had is left out
    metrics = {name: {"name": name, "value": value} for name, value in shown.items() if value == value}
    score = {
        "name": run.term,
        "scorer": run.term,
        "scored_samples": figures["num_graded"],
        "unscored_samples": figures["num_ungradable"],
        "metrics": metrics,
    }
    return {"total_samples": len(run.attempts), "completed_samples": len(run.attempts), "scores": [score]}


def _sample(run: Run, problem: Problem, attempt: Attempt) -> dict[str, Any]:
    prompt, verdict, model = prompt_of(run, problem.id, problem.question), run.verdict(attempt), model_name(run)
    message = {"role": "assistant", "content": attempt.completion.text, "source": "generate", "model": model}
    stop = "max_tokens" if attempt.completion.truncated else "stop"
    output: dict[str, Any] = {"model": model, "choices": [{"message": message, "stop_reason": stop}]}
    if attempt.completion.num_tokens is not None:
        output["usage"] = {
            "output_tokens": attempt.completion.num_tokens,
            "total_tokens": attempt.completion.num_tokens,
        }
    return {
        "id": problem.id,
        "epoch": attempt.sample + 1,
        "input": prompt,
        "target": problem.answer,
        "messages": [{"role": "user", "content": prompt, "source": "input"}, message],
        "output": output,
        "scores": _scores(run.term, verdict),
        "metadata": {"question": problem.question, "outcome": str(verdict.outcome), **problem.meta},
    }


def _scores(term: str, verdict: Verdict) -> Mapping[str, Any]:
    if verdict.outcome is Outcome.UNGRADABLE:
        return {}
    told = {"outcome": str(verdict.outcome), "score": verdict.score, "stage": verdict.stage, "place": verdict.place}
    value = _VALUES.get(verdict.outcome, "I")
    return {term: {"value": value, "answer": verdict.extracted, "explanation": verdict.detail, "metadata": told}}
