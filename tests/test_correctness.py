import json
import os
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reasoning_grpo.rewards import accuracy, correctness, verify
from reasoning_grpo.rewards.correctness import MAX_ANSWER_CHARS, accuracy_batch
from reasoning_grpo.rewards.normal import normalise
from reasoning_grpo.rewards.numeric import parse_quantity, same_number
from reasoning_grpo.rewards.workers import Reply, Status
from reasoning_grpo.schema import AnswerForm, AnswerFormat, Completion, Outcome, Problem

GOLDEN = [
    json.loads(line)
    for line in (Path(__file__).parent / "golden" / "equality.jsonl").read_text(encoding="utf-8").splitlines()
]
BOXED = AnswerFormat(form=AnswerForm.BOXED)


def _problem(answer: str) -> Problem:
    return Problem(id="p", question="", answer=answer)


@pytest.mark.parametrize("row", GOLDEN, ids=[f"{row['gold']} | {row['answer']}" for row in GOLDEN])
def test_golden_pairs_are_judged_in_both_directions(row: dict[str, Any]) -> None:
    verdict = verify(row["gold"], f"<answer>{row['answer']}</answer>")
    assert verdict.outcome is (Outcome.PASS if row["equal"] else Outcome.FAIL), verdict.detail


@pytest.mark.parametrize("gold", sorted({row["gold"] for row in GOLDEN}))
@pytest.mark.parametrize(
    "template",
    ["\\boxed{%s}", "#### %s", "<answer>%s</answer>", "The answer is %s.", "<think>a</think>\n$$\\boxed{%s}$$"],
)
def test_a_gold_passes_in_every_place_an_answer_may_stand(gold: str, template: str) -> None:
    assert verify(gold, template % gold).passed


@pytest.mark.parametrize(
    ("gold", "text", "outcome", "score"),
    [
        ("42", r"\boxed{42}", Outcome.PASS, 1.0),
        ("42", r"\boxed{41}", Outcome.FAIL, 0.0),
        ("42", "no idea", Outcome.NO_ANSWER, 0.0),
        ("42", r"<think>\boxed{42}", Outcome.NO_ANSWER, 0.0),
        ("", r"\boxed{42}", Outcome.UNGRADABLE, None),
        ("  ", "", Outcome.UNGRADABLE, None),
        ("0", r"\boxed{}", Outcome.NO_ANSWER, 0.0),
    ],
)
def test_each_kind_of_failure_has_its_own_outcome(gold: str, text: str, outcome: Outcome, score: float | None) -> None:
    verdict = verify(gold, text)
    assert (verdict.outcome, verdict.score) == (outcome, score)


@pytest.mark.parametrize(
    ("gold", "answer", "stage"),
    [("42", "42", "text"), ("0.5", "1/2", "number"), ("B", "C", "choice"), (r"\text{east}", "seat", "words"),
     ("42", "24=42", "evasion"), ("4t", "4s", "letters"), ("x+1", "1+x", "symbolic")],
)  # fmt: skip
def test_the_detail_names_the_stage_that_decided(gold: str, answer: str, stage: str) -> None:
    assert verify(gold, f"\\boxed{{{answer}}}").detail == stage


def test_a_power_tower_times_out_with_score_zero_and_soon() -> None:
    start = time.monotonic()
    verdict = verify("42", r"\boxed{10^{10^{10}}}", deadline_seconds=0.5)
    assert (verdict.outcome, verdict.score) == (Outcome.TIMEOUT, 0.0)
    assert time.monotonic() - start < 30.0  # it would take for ever; the slack is for a machine under load


def test_a_gold_that_times_out_against_itself_is_ungradable(monkeypatch: pytest.MonkeyPatch) -> None:
    late = Reply(Status.LATE, detail="no verdict within 2 s")
    monkeypatch.setattr(correctness, "run_jobs", lambda requests, deadline_seconds: [late] * len(requests))
    verdict = verify("x+1001", r"\boxed{x+1002}")
    assert (verdict.outcome, verdict.score) == (Outcome.UNGRADABLE, None)


def test_one_bomb_in_a_batch_leaves_the_other_verdicts_alone() -> None:
    texts = [r"\boxed{1+x}", r"\boxed{10^{10^{10}}+x}", r"\boxed{x+1}", r"\boxed{x+2}"]
    verdicts = accuracy_batch([Completion(text=t) for t in texts], [_problem("x+1")] * 4, deadline_seconds=1.0)
    assert [v.outcome for v in verdicts] == [Outcome.PASS, Outcome.TIMEOUT, Outcome.PASS, Outcome.FAIL]


def test_a_huge_answer_is_wrong_without_being_computed() -> None:
    assert verify("42", "\\boxed{" + "1+" * MAX_ANSWER_CHARS + "1}").outcome is Outcome.FAIL
    assert verify("42", "\\boxed{" + "(" * 500 + "42" + ")" * 500 + "}").outcome is Outcome.FAIL


def test_a_huge_gold_still_passes_by_its_own_spelling() -> None:
    gold = "1+" * MAX_ANSWER_CHARS + "1"
    assert verify(gold, f"\\boxed{{{gold}}}").passed
    assert verify(gold, r"\boxed{1}").outcome is Outcome.UNGRADABLE


def test_code_in_an_answer_is_never_run(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    for code in (
        f"open('{marker}','w')",
        f"__import__('os').system('touch {marker}')",
        f"sympify(\"open('{marker}','w')\")",
    ):
        for gold in ("42", "x+1", r"\begin{pmatrix}1\\2\end{pmatrix}"):
            assert not verify(gold, f"<answer>{code}</answer>").passed
    assert not marker.exists()


def test_strict_form_refuses_a_right_answer_in_another_place() -> None:
    text = Completion(text="#### 42")
    assert accuracy(text, _problem("42"), answer_format=BOXED).passed
    verdict = accuracy(text, _problem("42"), answer_format=BOXED, strict_form=True)
    assert verdict.outcome is Outcome.NO_ANSWER


def test_a_prefilled_thought_without_an_end_has_no_answer() -> None:
    prefilled = AnswerFormat(form=AnswerForm.BOXED, think=True, think_prefilled=True)
    verdict = accuracy(Completion(text=r"perhaps \boxed{42}"), _problem("42"), answer_format=prefilled)
    assert verdict.outcome is Outcome.NO_ANSWER


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("-1,500", Fraction(-1500)),
        (r"\frac{-1}{2}", Fraction(-1, 2)),
        (r"3\frac{1}{2}", Fraction(7, 2)),  # 3 + 1/2
        ("11/13", Fraction(11, 13)),
        (".05", Fraction(1, 20)),
        ("−5", Fraction(-5)),
        ("1.5 million", Fraction(1_500_000)),
        ("2 dozen eggs", Fraction(24)),
        (r"1.2\times10^{-2}", Fraction(3, 250)),  # 0.012 = 12/1000
    ],
)
def test_plain_numbers_are_read_exactly(text: str, value: Fraction) -> None:
    quantity = parse_quantity(text)
    assert quantity is not None and quantity.value == value


@pytest.mark.parametrize(
    "text", ["1/0", "9,99", "42x", "4t", "42!", "1e5000", "10^{99999}", "9" * 3000, r"\pi", "1 2", ""]
)
def test_what_is_no_plain_number_is_left_to_other_stages(text: str) -> None:
    assert parse_quantity(text) is None


@given(st.integers(), st.integers(min_value=1))
def test_a_fraction_equals_itself_in_every_spelling(top: int, bottom: int) -> None:
    assert same_number(f"{top}/{bottom}", f"\\frac{{{top}}}{{{bottom}}}")
    assert same_number(f"{top}/{bottom}", f"{top * 3}/{bottom * 3}")
    assert same_number(f"{top}/{bottom}", f"{top + 1}/{bottom}") is False


@settings(max_examples=300)
@given(st.text(st.characters(), max_size=60))
def test_normalising_twice_changes_no_plain_number(text: str) -> None:
    assert parse_quantity(normalise(text)) == parse_quantity(text)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.sampled_from(
                ["\\frac", "{", "}", "^", "_", "\\sqrt", "x", "=", ",", "\\text{or}", "(", "]", "7", "%", "\\\\", "$"]
            ),
            st.text(st.characters(), max_size=3),
        ),
        max_size=12,
    ).map("".join),
    st.sampled_from(["42", r"\frac{1}{2}", "x+1", r"\text{east}", "(1,2)"]),
)
def test_no_answer_however_odd_raises_or_is_ungradable(answer: str, gold: str) -> None:
    verdict = verify(gold, f"<answer>{answer}</answer>", deadline_seconds=1.0)
    assert verdict.outcome is not Outcome.UNGRADABLE


@pytest.mark.parametrize(
    "text", ["\x00" * 10, "\ud800", "\\boxed{\x00}", "\\boxed{\ud800}", "x" * 1_000_000, "{" * 1_000_000]
)
def test_nul_surrogates_and_a_megabyte_are_no_answer_or_wrong(text: str) -> None:
    assert verify("x+1", text).score == 0.0


def _rows(variable: str, name: str) -> Iterator[dict[str, Any]]:
    folder = os.environ.get(variable)
    if not folder:
        pytest.skip(f"set {variable} to the folder that holds {name}")
    with (Path(folder) / name).open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def test_every_gsm8k_gold_passes_its_own_verifier_in_every_form() -> None:
    golds = {row["answer"] for row in _rows("REASONING_GRPO_DATA", "gsm8k/test.jsonl")}
    for template in ("\\boxed{%s}", "#### %s", "<answer>%s</answer>", "The answer is %s.", "#### $%s"):
        assert [gold for gold in golds if not verify(gold, template % gold).passed] == []


def test_every_math500_gold_passes_in_a_box_and_its_neighbour_fails() -> None:
    golds = [row["answer"] for row in _rows("REASONING_GRPO_DATA", "math500/test.jsonl")]
    assert [gold for gold in golds if not verify(gold, f"\\boxed{{{gold}}}").passed] == []
    assert [gold for gold in golds if verify(gold, f"\\boxed{{{gold}+1}}").passed] == []
