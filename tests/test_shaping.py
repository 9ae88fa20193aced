r"""Terms of shape: their values worked out by hand, and that no shell, copy or enumeration earns any of them."""

import gzip
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from reasoning_grpo.errors import VerifierError
from reasoning_grpo.rewards import RewardSpec, RewardTerm
from reasoning_grpo.rewards.language import count_letters, language
from reasoning_grpo.rewards.repetition import repetition
from reasoning_grpo.rewards.shaping import cosine_length, soft_overlong
from reasoning_grpo.rewards.substance import Hollow, hollowness, is_copied, num_values
from reasoning_grpo.rewards.tag_count import tag_count
from reasoning_grpo.schema import AnswerForm, AnswerFormat, Completion, Outcome, Problem

PROBLEM = Problem(id="gsm8k/test/7", question="A farmer has six rows of seven trees. How many trees?", answer="42")
BOXED = AnswerFormat(form=AnswerForm.BOXED)
TAGS = AnswerFormat(form=AnswerForm.TAGS, think=True)
LENGTH = {"max_tokens": 100}
TERMS: dict[str, dict[str, Any]] = {
    "format": {},
    "format_graded": {},
    "soft_overlong": {**LENGTH, "buffer_tokens": 20},
    "cosine_length": LENGTH,
    "repetition": {},
    "language": {},
    "tag_count": {},
}


def tokens(num_tokens: int, text: str = r"so \boxed{42}", *, truncated: bool = False) -> Completion:
    return Completion(text=text, num_tokens=num_tokens, truncated=truncated)


@pytest.mark.parametrize(
    ("num_tokens", "score"),
    # max 100, buffer 20: full up to 80, then (100 - n) / 20
    [(0, 1.0), (80, 1.0), (85, 0.75), (90, 0.5), (100, 0.0), (500, 0.0)],
)
def test_soft_overlong_falls_linearly_over_the_buffer(num_tokens: int, score: float) -> None:
    assert soft_overlong(tokens(num_tokens), PROBLEM, max_tokens=100, buffer_tokens=20).score == score


def test_soft_overlong_pays_for_no_answer_only_when_told_to() -> None:
    empty = tokens(0, "")
    assert soft_overlong(empty, PROBLEM, max_tokens=100, buffer_tokens=20).score == 0.0
    assert soft_overlong(empty, PROBLEM, max_tokens=100, buffer_tokens=20, needs_answer=False).score == 1.0


@pytest.mark.parametrize("term", [soft_overlong, cosine_length])
def test_a_term_of_length_without_a_token_count_is_an_error(term: Any) -> None:
    options = {"buffer_tokens": 20} if term is soft_overlong else {}
    with pytest.raises(VerifierError, match="unknown for problem 'gsm8k/test/7'"):
        term(Completion(text=r"\boxed{42}"), PROBLEM, max_tokens=100, **options)


@pytest.mark.parametrize(
    ("num_tokens", "text", "score"),
    [  # right: 0.5 + 0.25 (1 + cos(pi n / 100)); wrong: 0; at the limit: 0
        (0, r"\boxed{42}", 1.0),
        (50, r"\boxed{42}", 0.75),
        (100, r"\boxed{42}", 0.0),
        (10, r"\boxed{41}", 0.0),
    ],
)
def test_cosine_length_pays_right_answers_less_the_longer_they_are(num_tokens: int, text: str, score: float) -> None:
    assert cosine_length(tokens(num_tokens, text), PROBLEM, max_tokens=100).score == pytest.approx(score)


def test_cosine_length_takes_the_papers_values() -> None:
    # Rewards 2 to 1 and -10 to 0 of arXiv:2502.03373, mapped by (r + 10) / 12; half way 1.5 and -5.
    paper: dict[str, Any] = {"right_short": 1.0, "right_long": 11 / 12, "wrong_short": 0.0, "wrong_long": 10 / 12}
    right = cosine_length(tokens(50), PROBLEM, max_tokens=100, **paper)
    wrong = cosine_length(tokens(50, r"\boxed{41}"), PROBLEM, max_tokens=100, **paper)
    assert right.score == pytest.approx(11.5 / 12)
    assert wrong.score == pytest.approx(5 / 12)


def test_cosine_length_counts_a_truncated_answer_as_exceeding() -> None:
    assert cosine_length(tokens(50, truncated=True), PROBLEM, max_tokens=100).score == 0.0


def test_cosine_length_abstains_where_the_gold_cannot_be_graded() -> None:
    empty = Problem(id="p", question="", answer="")
    assert cosine_length(tokens(5), empty, max_tokens=100).outcome is Outcome.UNGRADABLE


def test_cosine_length_refuses_rewards_outside_of_the_unit_interval() -> None:
    with pytest.raises(VerifierError, match=r"`wrong_short` is -10"):
        cosine_length(tokens(5), PROBLEM, max_tokens=100, wrong_short=-10.0)


def test_repetition_is_the_share_of_new_ngrams() -> None:
    # Words: a b a b a b \ boxed { 42 }; pairs: 10, different: ab ba b\ \boxed boxed{ {42 42} = 7.
    verdict = repetition(Completion(text=r"a b a b a b \boxed{42}"), PROBLEM, ngram_words=2)
    assert verdict.score == pytest.approx(7 / 10)


def test_a_loop_scores_near_nothing_and_plain_working_full() -> None:
    loop = Completion(text="so we add seven again and get more " * 200 + r"\boxed{42}")
    working = Completion(text=r"Six rows of seven trees: 7, 14, 21, 28, 35, 42. So there are \boxed{42} trees.")
    assert (repetition(loop, PROBLEM).score or 0.0) < 0.02
    assert repetition(working, PROBLEM).score == 1.0


def test_language_is_the_share_of_letters_in_the_script() -> None:
    # Latin letters: "six rows" = 7 and "so" = 2; Han: 3 of 12 in all. The formula, x and the box count for none.
    text = r"six rows 所以是 so $x\cdot y$ is: \boxed{42}"
    counts = count_letters(text)
    assert (counts["latin"], counts["han"]) == (7 + 2 + 2, 3)
    assert language(Completion(text=text), PROBLEM).score == pytest.approx(11 / 14)
    assert language(Completion(text=text), PROBLEM, script="han").score == pytest.approx(3 / 14)


def test_language_without_words_scores_nothing() -> None:
    assert language(Completion(text=r"$6\cdot7=$ \boxed{42}"), PROBLEM).score == 0.0


def test_an_unknown_script_names_the_close_one() -> None:
    with pytest.raises(VerifierError, match="did you mean 'cyrillic'"):
        language(Completion(text="x"), PROBLEM, script="cyrilic")


@pytest.mark.parametrize(
    ("text", "prefilled", "score"),
    [
        ("<think>six sevens</think><answer>42</answer>", False, 1.0),
        ("six sevens</think><answer>42</answer>", False, 0.75),
        ("six sevens</think><answer>42</answer>", True, 1.0),  # the prompt wrote `<think>`: three tags are wanted
        ("</think>six sevens<think>\n</think><answer>42</answer>", False, 0.75),  # `</think>` twice
        ("<think></think><answer></answer>", False, 0.0),
    ],
)
def test_tag_count_pays_for_each_tag_the_model_has_to_write(text: str, prefilled: bool, score: float) -> None:
    answer_format = AnswerFormat(form=AnswerForm.TAGS, think=True, think_prefilled=prefilled)
    assert tag_count(Completion(text=text), PROBLEM, answer_format=answer_format).score == score


def test_tag_count_without_tags_in_the_prompt_is_an_error() -> None:
    with pytest.raises(VerifierError, match="no tags to count"):
        tag_count(Completion(text="42"), PROBLEM)


@pytest.mark.parametrize(
    ("answer", "count"),
    [("42", 1), ("1,234", 1), (r"1{,}234", 1), ("(1,2)", 1), ("1, 2", 2), ("7 or 8", 2), (r"7\text{ or }8", 2),
     ("A/B/C", 3), (r"\frac{x}{y}", 1), ("x/y", 1), (r"3\pm2", 2), ("24=42", 2), ("x=42", 1), (r"1,\ldots,9", 1000),
     (r"\{1,2\}", 2), ("12 dogs and cats", 1), ("42 and 24", 2), (r"\begin{pmatrix}1\\2\end{pmatrix}", 1),
     (r"\begin{cases}1\\2\end{cases}", 2), ("A. Or B. Or C", 3), (r"42 (or 24)", 2)],
)  # fmt: skip
def test_the_values_an_answer_offers_are_counted(answer: str, count: int) -> None:
    assert num_values(answer) == count


def test_a_restated_question_is_no_copy_once_work_follows() -> None:
    assert is_copied(PROBLEM.question, PROBLEM.question)
    assert is_copied(f"<think>{PROBLEM.question}</think>", PROBLEM.question)
    assert is_copied(f"<think>{PROBLEM.question}</think> So the answer is 42.", PROBLEM.question)
    working = " Seven trees stand in each row, so six rows make six times seven trees, which is 42."
    assert not is_copied(PROBLEM.question + working, PROBLEM.question)


HACKS = {
    "nothing": "",
    "blanks": " \n\t ",
    "an empty box": r"\boxed{}",
    "dots": "<think>...</think><answer>...</answer>",
    "bare tags": "<think></think><answer></answer>",
    "the placeholder": "<think>your reasoning</think>\n<answer>the final answer</answer>",
    "no idea": "<think>hm hm hm hm</think><answer>I don't know.</answer>",
    "the question": f"<think>{PROBLEM.question}</think><answer>{PROBLEM.question}</answer>",
    "the question in a box": f"\\boxed{{{PROBLEM.question}}}",
    "a list": "<think>one of these will do</think><answer>" + ", ".join(map(str, range(1, 101))) + "</answer>",
    "boxes": "".join(f"\\boxed{{{n}}}\n" for n in range(1, 101)),
    "choices": "<think>one of these will do</think><answer>A or B or C or D</answer>",
    "alternatives": r"It is \boxed{41\text{ or }42}",
    "lines": "#### 41\n#### 42",
}


@pytest.mark.parametrize("term", TERMS)
@pytest.mark.parametrize("hack", HACKS)
def test_no_hack_earns_any_term(hack: str, term: str) -> None:
    for form in AnswerForm:
        answer_format = AnswerFormat(form=form, think=True)
        if hack == "lines" and form is not AnswerForm.HASH:
            continue  # where no `####` is asked for, the last one wins
        assert _reward(term, HACKS[hack], PROBLEM, answer_format) == 0.0


def _reward(term: str, text: str, problem: Problem, answer_format: AnswerFormat, *, gated: bool = False) -> float:
    terms = [RewardTerm(name="shape", verifier=term, options=TERMS[term], gated_by="right" if gated else None)]
    if gated:
        terms.append(RewardTerm(name="right", verifier="accuracy"))
    spec = RewardSpec(terms=tuple(terms), answer_format=answer_format)
    return spec.score(tokens(10, text), problem).reward or 0.0


CORPUS = os.environ.get("REASONING_GRPO_VERIFIER_CORPUS")


def _problem(row: dict[str, Any]) -> Problem:
    return Problem(id="p", question="", answer=row["gold"])


def _corpus() -> list[dict[str, Any]]:
    with gzip.open(Path(CORPUS or "") / "corpus.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


@pytest.mark.skipif(not CORPUS, reason="REASONING_GRPO_VERIFIER_CORPUS is not set")
@pytest.mark.parametrize("term", TERMS)
def test_no_empty_or_enumerated_answer_of_the_corpus_earns_a_term(term: str) -> None:
    classes = ("adv_enumeration", "adv_multi_box", "ext_empty")
    rows = [row for row in _corpus() if row["class"] in classes]
    paid = [
        (row["pred"][:80], form)
        for row in rows
        for form in AnswerForm
        if _reward(
            term, row["pred"], Problem(id="p", question="", answer=row["gold"]), AnswerFormat(form=form, think=True)
        )
    ]
    assert rows
    assert paid == []


@pytest.mark.slow
@pytest.mark.skipif(not CORPUS, reason="REASONING_GRPO_VERIFIER_CORPUS is not set")
@pytest.mark.parametrize("term", TERMS)
def test_no_adversarial_answer_of_the_corpus_earns_a_gated_term(term: str) -> None:
    for row in _corpus():
        if row["class"].startswith("adv_") and row["class"] != "adv_bomb":  # bombs are for the verifier's own tests
            assert _reward(term, row["pred"], _problem(row), TAGS, gated=True) == 0.0, row["pred"][:80]


@pytest.mark.parametrize("term", TERMS)
def test_hostile_texts_take_linear_time(term: str) -> None:
    start = time.monotonic()
    for piece in (r"\[", r"\begin{pmatrix}", "<think>", r"\boxed{", "$", ",", "(", "a ", "<answer>", "#### "):
        _reward(term, piece * (900_000 // len(piece)), PROBLEM, TAGS)
    assert time.monotonic() - start < 60.0  # some seconds; quadratic time would be hours


def test_a_right_answer_earns_every_term() -> None:
    text = "<think>Six rows of seven trees make six times seven trees.</think><answer>42</answer>"
    assert {term: _reward(term, text, PROBLEM, TAGS) > 0.9 for term in TERMS} == dict.fromkeys(TERMS, True)


def test_a_formula_out_of_the_question_may_be_the_answer_but_the_question_may_not() -> None:
    question = r"Simplify $\frac{\sqrt{3}}{4\sqrt{2}-3}$ if it can be simplified."
    problem = Problem(id="p", question=question, answer=r"\frac{\sqrt{3}}{4\sqrt{2}-3}")
    work = "Nothing cancels, and the denominator has no square factor to take out of it. So "
    assert hollowness(f"{work}\\boxed{{{problem.answer}}}", problem, BOXED) is None
    assert hollowness(f"{work}\\boxed{{{question}}}", problem, BOXED) is Hollow.COPIED
    short = Problem(id="p", question="Factor $t^2-49$.", answer="(t-7)(t+7)")
    assert hollowness(f"{work}\\boxed{{{short.question}}}", short, BOXED) is Hollow.COPIED


def test_hollowness_names_its_reason() -> None:
    assert hollowness("", PROBLEM, BOXED) is Hollow.EMPTY
    assert hollowness(f"{PROBLEM.question} \\boxed{{7}}", PROBLEM, BOXED) is Hollow.COPIED
    assert hollowness(r"\boxed{41, 42}", PROBLEM, BOXED) is Hollow.ENUMERATED
    assert hollowness(r"so \boxed{42}", PROBLEM, BOXED) is None
