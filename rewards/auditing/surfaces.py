r"""Whole completions for an audit: an answer written in each form a prompt permits, and the tricks around it.

A prompt that asks for a form permits that form; one that asks for nothing permits all of them. A prompt that ends with
an open thought leaves the completion without its opening tag: with us it is put back, a stock TRL reward never sees it,
so both ways are written.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from reasoning_grpo.rewards.auditing.near_misses import neighbour
from reasoning_grpo.rewards.substance import num_values
from reasoning_grpo.schema import AnswerForm, AnswerFormat

_WORK = "Let me work through this step by step, and check each step twice."
_FORMS: Mapping[str, Callable[[str], str]] = {
    "boxed": lambda answer: f"So the answer is $\\boxed{{{answer}}}$.",
    "hash": lambda answer: f"#### {_on_a_line(answer)}",
    "tags": lambda answer: f"<answer>{answer}</answer>",
    "plain": lambda answer: f"The answer is {_in_math(answer)}.",
}
_BY_FORM = {AnswerForm.BOXED: "boxed", AnswerForm.HASH: "hash", AnswerForm.TAGS: "tags"}


@dataclass(frozen=True, slots=True)
class Written:
    """A whole completion; `kind` names how it was written."""

    kind: str
    text: str


def permitted_forms(answer_format: AnswerFormat) -> list[str]:
    """Return the surface forms a prompt permits: `boxed`, `hash`, `tags`, `plain`."""
    form = _BY_FORM.get(answer_format.form)
    return list(_FORMS) if form is None else [form]


def write(answer: str, form: str, answer_format: AnswerFormat) -> str:
    """Write a completion with the answer in one form, after the thought the prompt asks for."""
    if answer_format.think:
        return f"<think>{_WORK}</think>\n{_FORMS[form](answer)}"
    return _FORMS[form](answer) if form == "tags" else f"{_WORK}\n{_FORMS[form](answer)}"


def right_ways(answer: str, answer_format: AnswerFormat) -> Iterator[Written]:
    """Write the answer in every way the prompt permits."""
    for form in permitted_forms(answer_format):
        text = write(answer, form, answer_format)
        yield Written(form, text)
        if answer_format.think_prefilled:
            yield Written(f"{form}, `<think>` left to the prompt", text.removeprefix("<think>"))


def tricks(gold: str, question: str, answer_format: AnswerFormat) -> Iterator[Written]:
    """Write completions that hold the gold's text and yet give no answer, or another one."""
    form = permitted_forms(answer_format)[0]
    said, wrong = _FORMS[form](gold), _FORMS[form](neighbour(gold))
    yield Written("empty", write("", form, answer_format))
    yield Written("nothing", "")
    yield Written("mentioned", _thinking(f"I thought about {gold} for long. I cannot decide.", answer_format))
    yield Written("open thought", f"<think>{_WORK} {said}")
    yield Written("only in the thought", f"<think>{_WORK} {said}</think>\nI am done.")
    yield Written("retracted", _thinking(f"{said} No, that is wrong: {wrong}", answer_format))
    if form in ("boxed", "tags"):
        yield Written("truncated", write(gold, form, answer_format).removesuffix("}$.").removesuffix("</answer>"))
    if question.strip():
        yield Written("prompt echo", write(question, form, answer_format))


def well_formed(gold: str, answer_format: AnswerFormat) -> Iterator[Written]:
    """Write completions in the form the prompt asks for: a form verifier must pay each in full."""
    yield from right_ways(gold, answer_format)
    form = permitted_forms(answer_format)[0]
    if answer_format.think:
        yield Written("a long thought", f"<think>\n{_WORK}\n\n{_WORK}\n</think>\n\n{_FORMS[form](gold)}\n")


def malformed(gold: str, answer_format: AnswerFormat) -> Iterator[Written]:
    """Write completions that break the form: a form verifier must not pay them in full."""
    form = permitted_forms(answer_format)[0]
    said, whole = _FORMS[form](gold), write(gold, form, answer_format)
    yield Written("open thought", f"<think>{_WORK} {said}")
    if answer_format.form in (AnswerForm.BOXED, AnswerForm.TAGS):
        yield Written("truncated", whole.removesuffix("}$.").removesuffix("</answer>"))
    if answer_format.form is AnswerForm.TAGS:
        yield Written("text after the answer", f"{whole} And so on.")
        yield Written("lines after the answer", f"{whole}\nAnd so on,\nand on.\n")
    if answer_format.form is AnswerForm.HASH:
        yield Written("lines after the answer", f"{whole}\nAnd so on.")
    if answer_format.think:
        yield Written("no thought", said)
        yield Written("empty thought", f"<think></think>\n{said}")
        yield Written("answer in the thought", f"<think>{_WORK} {said}</think>")
        yield Written("two thoughts", f"<think>{_WORK}</think>\n{whole}")


def hollow(gold: str, question: str, answer_format: AnswerFormat) -> Iterator[Written]:
    """Write completions without an answer of their own: no term of form or shape may pay anything for them."""
    form = permitted_forms(answer_format)[0]
    yield Written("nothing", "")
    yield Written("blanks", " \n ")
    yield Written("empty shell", "<think></think><answer></answer>")
    yield Written("empty answer", write("", form, answer_format))
    yield Written("dots", f"<think>...</think>\n{_FORMS[form]('...')}")
    yield Written("placeholder", f"<think>your reasoning</think>\n{_FORMS[form]('the final answer')}")
    yield Written("answer list", write(", ".join(map(str, range(1, 101))), form, answer_format))
    if num_values(gold) == 1:
        yield Written("alternatives", write("A or B or C or D", form, answer_format))
    if question.strip():
        yield Written("prompt echo", f"<think>{question}</think>\n{_FORMS[form](question)}")


def _thinking(text: str, answer_format: AnswerFormat) -> str:
    return f"<think>{_WORK}</think>\n{text}" if answer_format.think else text


def _in_math(answer: str) -> str:
    line = _on_a_line(answer)
    return f"${line}$" if "\\" in line and "$" not in line else line


def _on_a_line(answer: str) -> str:
    """A gold may hold line ends and a stray comma (MATH has both); whoever writes a sentence leaves them out."""
    return " ".join(answer.split()).rstrip(",")
