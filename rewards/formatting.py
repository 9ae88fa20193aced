r"""Did the completion have the form that the prompt asked for? Judged from `AnswerFormat`, never from the gold's value.

`format_strict` is all or nothing; `format_graded` pays for separate claims. Neither pays for a shell: a thought or an
answer of blanks, punctuation or the prompt's own placeholder is empty, and neither pays for a copy of the question or
for more answers than the gold has (substance.py). Both know what the prompt prefilled: with `think_prefilled` a text
may come with or without its opening `<think>`. Tags count exactly as the prompt writes them, in lower case.

Left out: thoughts between other markers (gpt-oss channels, Magistral's `[THINK]`); their text counts as visible.
"""

from dataclasses import dataclass

from reasoning_grpo.rewards.registry import verifier
from reasoning_grpo.rewards.substance import hollowness, is_filled
from reasoning_grpo.rewards.tags import MAX_TEXT_CHARS, extract_answer, find_boxes, statements
from reasoning_grpo.schema import AnswerForm, AnswerFormat, Completion, Outcome, Problem, Verdict

_PLAIN = AnswerFormat()


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What is right about the form of one completion; every claim is also a line of `format_graded`.

    `has_thought`: exactly one closed, non-empty `<think>` block, first of all (True when none is asked for and no think
    tag is left open). `has_answer`: exactly one complete, non-empty answer in the asked form, after the thought.
    `has_nothing_else`: there is an answer, and nothing that the form has no place for before, between or after.
    """

    has_thought: bool
    has_answer: bool
    has_nothing_else: bool


@verifier("format")
def format_strict(completion: Completion, problem: Problem, *, answer_format: AnswerFormat = _PLAIN) -> Verdict:
    """Score 1 (PASS) when every claim of `Form` holds, else 0 (MALFORMED)."""
    missing = _hollow(completion, problem, answer_format) or _missing(read_form(completion.text, answer_format))
    outcome = Outcome.MALFORMED if missing else Outcome.PASS
    return Verdict(score=0.0 if missing else 1.0, outcome=outcome, detail=missing)


@verifier("format_graded")
def format_graded(completion: Completion, problem: Problem, *, answer_format: AnswerFormat = _PLAIN) -> Verdict:
    """Score the share of claims that hold: a thought (if asked for), an answer, an answer and nothing else.

    Without an answer of its own, in whatever form, a completion earns nothing.
    """
    hollow = _hollow(completion, problem, answer_format)
    if hollow:
        return Verdict(score=0.0, outcome=Outcome.MALFORMED, detail=hollow)
    form = read_form(completion.text, answer_format)
    paid = [form.has_answer, form.has_nothing_else]
    if answer_format.think:
        paid.append(form.has_thought)
    score = sum(paid) / len(paid)
    outcome = Outcome.PASS if all(paid) else Outcome.PARTIAL if any(paid) else Outcome.MALFORMED
    return Verdict(score=score, outcome=outcome, detail=_missing(form))


def read_form(text: str, answer_format: AnswerFormat) -> Form:
    """Judge the form of a whole completion."""
    if len(text) > MAX_TEXT_CHARS:
        return Form(has_thought=False, has_answer=False, has_nothing_else=False)
    before, thought, rest = _split_thought(text, answer_format)
    has_thought = _is_right_thought(thought, answer_format)
    if thought is None and (answer_format.think or _num_think_tags(text)):
        rest = ""  # an open or missing thought: nothing after it counts as the answer
    has_answer, is_alone = _JUDGES[answer_format.form](rest, answer_format)
    return Form(
        has_thought=has_thought,
        has_answer=has_answer,
        has_nothing_else=has_answer and is_alone and not before.strip() and not _num_think_tags(rest),
    )


def _split_thought(text: str, answer_format: AnswerFormat) -> tuple[str, str | None, str]:
    """Return what stands before `<think>`, the thought (None unless exactly one block closes), and the rest."""
    if answer_format.think_prefilled and "<think>" not in text:
        text = "<think>" + text
    if text.count("<think>") != 1 or text.count("</think>") != 1:
        return "", None, text
    before, _, after = text.partition("<think>")
    thought, closing, rest = after.partition("</think>")
    return (before, thought, rest) if closing else ("", None, text)


def _is_right_thought(thought: str | None, answer_format: AnswerFormat) -> bool:
    if thought is None:
        return not answer_format.think
    return is_filled(thought) or not answer_format.think


def _hollow(completion: Completion, problem: Problem, answer_format: AnswerFormat) -> str:
    """Return why nothing is to be earned, "" for a completion with an answer of its own, in whatever form."""
    return hollowness(completion.text, problem, answer_format) or ""


def _num_think_tags(text: str) -> int:
    return text.count("<think>") + text.count("</think>")


def _judge_tags(rest: str, answer_format: AnswerFormat) -> tuple[bool, bool]:
    """One `<answer>` block; outside of it only blanks, or the reasoning before it when no thought is asked for."""
    if rest.count("<answer>") != 1 or rest.count("</answer>") != 1:
        return False, False
    before, _, after = rest.partition("<answer>")
    behind = after.partition("</answer>")[2]
    is_alone = not behind.strip() and (not answer_format.think or not before.strip())
    return _has_answer(rest, AnswerForm.TAGS), is_alone


def _judge_boxed(rest: str, answer_format: AnswerFormat) -> tuple[bool, bool]:
    r"""One statement of complete boxes; text may stand round it, since the prompt asks for a box within prose."""
    return _has_answer(rest, AnswerForm.BOXED), statements(rest, find_boxes(rest)) == 1


def _judge_hash(rest: str, answer_format: AnswerFormat) -> tuple[bool, bool]:
    """One `####` line, the last line with anything on it."""
    lines = [line for line in rest.splitlines() if line.strip()]
    is_last = bool(lines) and lines[-1].lstrip().startswith("####")
    return is_last and _has_answer(rest, AnswerForm.HASH), rest.count("####") == 1


def _judge_plain(rest: str, answer_format: AnswerFormat) -> tuple[bool, bool]:
    """Nothing was asked for: any answer that can be found is well formed."""
    return _has_answer(rest, AnswerForm.PLAIN), True


_JUDGES = {
    AnswerForm.TAGS: _judge_tags,
    AnswerForm.BOXED: _judge_boxed,
    AnswerForm.HASH: _judge_hash,
    AnswerForm.PLAIN: _judge_plain,
}


def _has_answer(rest: str, form: AnswerForm) -> bool:
    """True for an answer in the asked form with something in it, and that not the prompt's placeholder."""
    answer = extract_answer(rest, form, strict_form=True).text
    return answer is not None and is_filled(answer)


def _missing(form: Form) -> str:
    """Say which claims fail, "" when none does."""
    claims = {
        "no closed, filled thought": form.has_thought,
        "no single, complete answer in the asked form": form.has_answer,
        "text or tags where there should be none": form.has_nothing_else or not form.has_answer,
    }
    return "; ".join(claim for claim, holds in claims.items() if not holds)
