"""How far did an attempt get? It ended, it gave its answer in the form asked for, the verifier found one, it is right.

Judged from the completion and its deciding verdict; the form is judged from the text, whatever the verifier accepts.
"""

from collections.abc import Callable
from enum import StrEnum

from reasoning_grpo.eval.runs import Run
from reasoning_grpo.rewards.tags import extract_answer
from reasoning_grpo.schema import AnswerForm, Attempt, Outcome

NOT_EXTRACTED = frozenset({Outcome.NO_ANSWER, Outcome.MALFORMED})


class Stage(StrEnum):
    """Where an attempt stopped on its way to an answer; every attempt has exactly one."""

    TRUNCATED = "truncated"  # the limit came before its end
    NOT_IN_FORM = "not_in_form"  # it ended without an answer where the prompt asked for it
    NOT_EXTRACTED = "not_extracted"  # the answer is there, and the verifier did not find it
    ANSWERED = "answered"  # right or wrong


def stage_of(run: Run) -> Callable[[Attempt], Stage]:
    """Return the function that says how far an attempt of this run got.

    A run that does not know its prompt's form (a scored file) counts any place an answer is commonly given in.
    """
    form = AnswerForm(run.conditions.get("answer_form", AnswerForm.PLAIN))
    prompt = run.conditions.get("prompt")
    prefilled = isinstance(prompt, dict) and bool(prompt.get("think_prefilled"))

    def stage(attempt: Attempt) -> Stage:
        if attempt.completion.truncated:
            return Stage.TRUNCATED
        found = extract_answer(attempt.completion.text, form, strict_form=True, think_prefilled=prefilled)
        if found.text is None:
            return Stage.NOT_IN_FORM
        return Stage.NOT_EXTRACTED if run.verdict(attempt).outcome in NOT_EXTRACTED else Stage.ANSWERED

    return stage
