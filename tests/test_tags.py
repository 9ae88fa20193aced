import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reasoning_grpo.rewards.markers import has_content, tidy
from reasoning_grpo.rewards.tags import MAX_TEXT_CHARS, Place, extract_answer, parse
from reasoning_grpo.schema import AnswerForm

GOLDEN = [
    json.loads(line)
    for line in (Path(__file__).parent / "golden" / "extraction.jsonl").read_text(encoding="utf-8").splitlines()
]
MARKUP = [
    "<think>",
    "</think>",
    "<answer>",
    "</answer>",
    "\\boxed{",
    "\\boxed",
    "{",
    "}",
    "####",
    "answer is",
    "\n",
    "4",
]


@pytest.mark.parametrize("row", GOLDEN, ids=[row["why"] for row in GOLDEN])
def test_golden_texts_give_their_answer_and_its_place(row: dict[str, Any]) -> None:
    found = extract_answer(row["text"])
    assert (found.text, found.place) == (row["answer"], row["place"])


@pytest.mark.parametrize("row", [row for row in GOLDEN if row["answer"] is None], ids=lambda row: row["why"])
def test_a_missing_answer_says_why(row: dict[str, Any]) -> None:
    assert extract_answer(row["text"]).detail


def test_thought_and_visible_part_are_separated() -> None:
    parsed = parse("<think>plan</think>\nsay <answer>1</answer>")
    assert (parsed.thought, parsed.visible, parsed.answers) == ("plan", "\nsay <answer>1</answer>", ("1",))


def test_a_prefilled_thought_that_never_closes_has_no_answer() -> None:
    assert extract_answer(r"still thinking \boxed{42}", think_prefilled=True).text is None


def test_without_prefilling_a_text_without_tags_is_visible() -> None:
    assert extract_answer(r"not thinking \boxed{42}").text == "42"


@pytest.mark.parametrize(
    ("form", "expected"),
    [(AnswerForm.TAGS, None), (AnswerForm.BOXED, "42"), (AnswerForm.HASH, None), (AnswerForm.PLAIN, "42")],
)
def test_the_strict_form_takes_a_box_only_where_one_was_asked_for(form: AnswerForm, expected: str | None) -> None:
    assert extract_answer(r"so \boxed{42}", form, strict_form=True).text == expected


@pytest.mark.parametrize("form", list(AnswerForm))
def test_the_lenient_form_takes_a_box_whatever_was_asked_for(form: AnswerForm) -> None:
    assert extract_answer(r"so \boxed{42}", form).text == "42"


def test_the_strict_hash_form_ignores_a_later_sentence() -> None:
    found = extract_answer("#### 42\nThe answer is 41.", AnswerForm.HASH, strict_form=True)
    assert (found.text, found.place) == ("42", Place.HASH)


def test_under_the_hash_form_a_worded_line_is_an_answer_and_no_heading() -> None:
    text = "The answer is 5\n#### yes\nmore"
    assert extract_answer(text, AnswerForm.HASH).text == "yes"
    assert extract_answer(text).text == "5"


def test_a_text_beyond_the_cap_has_no_answer() -> None:
    box = r"\boxed{42}"
    assert extract_answer("x" * (MAX_TEXT_CHARS - len(box)) + box).text == "42"
    assert extract_answer("x" * (MAX_TEXT_CHARS - len(box) + 1) + box).text is None


@pytest.mark.parametrize(
    "unit",
    [*MARKUP, "\\boxed{5},", "\\boxed 5 ", "answer to ", "#### Step ", "Answer:", " ", "*", "!", "\\,", "A: ", "a. B"],
)
def test_a_megabyte_of_anything_is_read_in_linear_time(unit: str) -> None:
    text = (unit * (MAX_TEXT_CHARS // len(unit) + 1))[:MAX_TEXT_CHARS]
    start = time.process_time()
    extract_answer(text)
    extract_answer("Answer: " + text[:-8])
    assert time.process_time() - start < 10.0  # both take about half a second; quadratic time would take minutes


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(MARKUP), st.text(st.characters(), max_size=4)), max_size=30).map("".join))
def test_no_markup_however_broken_raises(text: str) -> None:
    for form in AnswerForm:
        for strict_form in (False, True):
            found = extract_answer(text, form, strict_form=strict_form)
            assert (found.text is None) == (found.place is Place.NONE)
            assert found.text is None or has_content(found.text)


@pytest.mark.parametrize("text", ["\x00", "\ud800", "\\boxed{\x00\ud800}", "<answer>\ud800</answer>", "\u202e24"])
def test_nul_and_lone_surrogates_are_only_text(text: str) -> None:
    extract_answer(text)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [(" **42**. ", "42"), ("5!", "5!"), ("`x`", "x"), ("42<|im_end|>", "42"), ("5\\,", "5"), (".5", ".5")],
)
def test_decoration_goes_and_meaning_stays(raw: str, expected: str) -> None:
    assert tidy(raw) == expected


@pytest.mark.parametrize("text", ["0", "∅", r"\{\}", r"\emptyset", "-1", "no"])
def test_zero_and_the_empty_set_are_content(text: str) -> None:
    assert has_content(text)
