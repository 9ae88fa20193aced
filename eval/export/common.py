"""What every export needs: names, and text that any JSON reader takes."""

import re
from collections.abc import Mapping
from typing import Any

from reasoning_grpo.eval.runs import Run

MAX_NAME_CHARS = 80


def whole(text: str) -> str:
    """Return the text with each lone surrogate as U+FFFD: strict readers refuse a file that has one."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def whole_value(value: Any) -> Any:
    """Return a JSON value with all its texts made whole."""
    if isinstance(value, str):
        return whole(value)
    if isinstance(value, Mapping):
        return {whole(str(key)): whole_value(item) for key, item in value.items()}
    return [whole_value(item) for item in value] if isinstance(value, (list, tuple)) else value


def task_name(run: Run) -> str:
    """Return the name of what was asked, in letters, digits and `_`."""
    suite = run.conditions.get("suite")
    name = suite.get("name") if isinstance(suite, Mapping) else suite
    return re.sub(r"\W", "_", str(name or run.label))[:MAX_NAME_CHARS] or "run"


def model_name(run: Run) -> str:
    """Return the model's name as the run knows it, else the run's label."""
    model = run.facts.get("model")
    name = model.get("name") if isinstance(model, Mapping) else model
    return str(name or run.label)


def file_name(name: str) -> str:
    """Return a name that no system refuses and no path is made of: a run's names may be anything."""
    return re.sub(r'[\x00-\x1f"<>:/|\\?*\[\]]+', "__", whole(name)).lstrip(".")[:MAX_NAME_CHARS] or "run"


def prompt_of(run: Run, problem_id: str, question: str) -> str:
    """Return the prompt the model saw; the question where nobody wrote the prompt down."""
    return run.prompts.get(problem_id, question)
