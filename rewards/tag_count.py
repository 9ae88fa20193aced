"""A term for a model that has yet to learn its tags: one share per tag, before whole blocks are right."""

from reasoning_grpo.errors import VerifierError
from reasoning_grpo.rewards.registry import verifier
from reasoning_grpo.rewards.shaping import shaped
from reasoning_grpo.rewards.substance import hollowness
from reasoning_grpo.schema import AnswerForm, AnswerFormat, Completion, Outcome, Problem, Verdict

_PLAIN = AnswerFormat()


@verifier("tag_count")
def tag_count(completion: Completion, problem: Problem, *, answer_format: AnswerFormat = _PLAIN) -> Verdict:
    """Score the share of the tags the prompt asks for that stand exactly once and in their order.

    open-r1's tag count reward, which pays a quarter for each of four tags; here what the prompt wrote itself is not
    paid for, and a text without an answer of its own earns nothing however many tags it has.
    """
    tags = wanted_tags(answer_format)
    if not tags:
        raise VerifierError(
            "tag_count has no tags to count: the prompt style asks for none; drop the term or choose `chat-tags`"
        )
    hollow = hollowness(completion.text, problem, answer_format)
    if hollow is not None:
        return Verdict(score=0.0, outcome=Outcome.MALFORMED, detail=hollow)
    missing = [tag for tag in tags if tag not in _in_order(completion.text, tags)]
    return shaped(1.0 - len(missing) / len(tags), f"missing, repeated or out of order: {missing}" if missing else "")


def wanted_tags(answer_format: AnswerFormat) -> list[str]:
    """Return the tags the model has to write itself, in order."""
    thought = ["<think>", "</think>"] if answer_format.think else []
    answer = ["<answer>", "</answer>"] if answer_format.form is AnswerForm.TAGS else []
    return thought[answer_format.think_prefilled :] + answer


def _in_order(text: str, tags: list[str]) -> list[str]:
    """Return the tags that stand once and behind every wanted tag before them that does."""
    found: list[str] = []
    end = -1
    for tag in tags:
        place = text.find(tag)
        if text.count(tag) == 1 and place > end:
            found.append(tag)
            end = place
    return found
