"""Runs written by hand: `"1"` right, `"0"` wrong, `"-"` no answer, `"?"` ungradable, `"t"` truncated and silent."""

from collections.abc import Mapping, Sequence
from typing import Any

from reasoning_grpo.eval.runs import Run
from reasoning_grpo.schema import Attempt, Completion, Outcome, Problem, Verdict

TERM = "accuracy"
OUTCOMES = {
    "1": Outcome.PASS,
    "0": Outcome.FAIL,
    "-": Outcome.NO_ANSWER,
    "?": Outcome.UNGRADABLE,
    "t": Outcome.NO_ANSWER,
}
GOLD = "7"


def run_of(
    marks: Mapping[str, str], *, label: str = "run", meta: Mapping[str, Mapping[str, Any]] | None = None, **facts: Any
) -> Run:
    """Return a run of one attempt per mark: `{"a": "10", "b": "11"}` are two problems with two samples each."""
    problems = [
        Problem(id=id_, question=f"question {id_}", answer=GOLD, meta=(meta or {}).get(id_, {})) for id_ in marks
    ]
    attempts = [_attempt(id_, sample, mark) for id_, row in marks.items() for sample, mark in enumerate(row)]
    return Run(label=label, problems=tuple(problems), attempts=tuple(attempts), term=TERM, **facts)


def answers_of(rows: Mapping[str, Sequence[str]]) -> Run:
    """Return a run of boxed answers; those equal to the gold's text are right."""
    problems = [Problem(id=id_, question=id_, answer=GOLD) for id_ in rows]
    attempts = [
        _attempt(id_, sample, "1" if answer == GOLD else "0", answer)
        for id_, row in rows.items()
        for sample, answer in enumerate(row)
    ]
    return Run(label="answers", problems=tuple(problems), attempts=tuple(attempts), term=TERM)


def _attempt(id_: str, sample: int, mark: str, answer: str = "") -> Attempt:
    text = answer or {"1": GOLD, "0": "9"}.get(mark)
    completion = Completion(
        text=rf"So \boxed{{{text}}}" if text else "I do not know", num_tokens=10, truncated=mark == "t"
    )
    outcome = OUTCOMES[mark]
    score = None if mark == "?" else float(mark == "1")
    verdict = Verdict(score=score, outcome=outcome, extracted=text)
    return Attempt(problem_id=id_, sample=sample, completion=completion, verdicts={TERM: verdict}, reward=score)
