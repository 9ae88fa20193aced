import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reasoning_grpo.rewards.formatting import format_graded, format_strict
from reasoning_grpo.schema import AnswerForm, AnswerFormat, Completion, Outcome, Problem

GOLDEN = [
    json.loads(line)
    for line in (Path(__file__).parent / "golden" / "format.jsonl").read_text(encoding="utf-8").splitlines()
]
PROBLEM = Problem(id="p", question="6 x 7?", answer="42")
TAGS = AnswerFormat(form=AnswerForm.TAGS, think=True)
EMPTY_PIECES = ["\\boxed{}", "####", " ", "\n", ".", "…", "{}", "-", "#", "\\text{ }", "\\boxed{ "]
FILLED_PIECES = ["\\boxed{7}", "\\boxed{", "#### 7", "x", "\n"]
ALL_FORMATS = [AnswerFormat(form=form, think=think) for form in AnswerForm for think in (False, True)]


def _format(row: dict[str, Any]) -> AnswerFormat:
    return AnswerFormat(form=AnswerForm(row["form"]), think=row["think"], think_prefilled=row["prefilled"])


def _problem(row: dict[str, Any]) -> Problem:
    return Problem(id="p", question="6 x 7?", answer=row.get("gold", "42"))


@pytest.mark.parametrize("row", GOLDEN, ids=[f"{row['form']}: {row['why']}" for row in GOLDEN])
def test_golden_forms_pass_or_are_malformed(row: dict[str, Any]) -> None:
    verdict = format_strict(Completion(text=row["text"]), _problem(row), answer_format=_format(row))
    assert verdict.outcome is (Outcome.PASS if row["strict"] else Outcome.MALFORMED)
    assert verdict.score == float(row["strict"])


@pytest.mark.parametrize("row", GOLDEN, ids=[f"{row['form']}: {row['why']}" for row in GOLDEN])
def test_golden_forms_have_their_graded_score(row: dict[str, Any]) -> None:
    verdict = format_graded(Completion(text=row["text"]), _problem(row), answer_format=_format(row))
    assert verdict.score == pytest.approx(row["graded"])


def test_trailing_text_after_answer_is_malformed() -> None:
    text = "<think>six sevens</think><answer>42</answer>."
    assert format_strict(Completion(text=text), PROBLEM, answer_format=TAGS).outcome is Outcome.MALFORMED


def test_a_wrong_answer_in_the_right_form_passes() -> None:
    text = "<think>six sevens</think><answer>41</answer>"
    assert format_strict(Completion(text=text), PROBLEM, answer_format=TAGS).passed


def test_a_malformed_verdict_says_what_is_missing() -> None:
    verdict = format_strict(Completion(text="<think>six sevens</think>42"), PROBLEM, answer_format=TAGS)
    assert verdict.detail == "no single, complete answer in the asked form"


def test_partial_credit_is_partial_and_not_a_pass() -> None:
    text = "<think>six sevens</think><answer>42</answer> bye"
    assert format_graded(Completion(text=text), PROBLEM, answer_format=TAGS).outcome is Outcome.PARTIAL


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from(["<think>", "</think>", "<answer>", "</answer>", *EMPTY_PIECES]),
        max_size=10,
    ).map("".join)
)
def test_no_shell_of_tags_blanks_and_points_earns_anything(text: str) -> None:
    for answer_format in ALL_FORMATS:
        assert format_graded(Completion(text=text), PROBLEM, answer_format=answer_format).score == 0.0


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from(["<think>", "</think>", "<answer>", "</answer>", *FILLED_PIECES]),
        max_size=8,
    ).map("".join)
)
def test_strict_passes_exactly_where_graded_is_full(text: str) -> None:
    for answer_format in ALL_FORMATS:
        strict = format_strict(Completion(text=text), PROBLEM, answer_format=answer_format)
        graded = format_graded(Completion(text=text), PROBLEM, answer_format=answer_format)
        assert strict.passed == graded.passed
