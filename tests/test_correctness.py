import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reasoning_grpo.rewards import accuracy, correctness, verify
from reasoning_grpo.rewards.answers.grading import MAX_ANSWER_CHARS
from reasoning_grpo.rewards.correctness import accuracy_batch
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
    [("42", "42", "text"), ("42", "41", "number"), ("B", "C", "expression"), (r"\text{east}", "seat", "words"),
     ("42", "1, 2", "kind"), ("42", r"\foo", "unread"), ("1,2", "3,4", "list"),
     (r"x \equiv 1", r"x \equiv 2", "symbolic"), ("42", "9^{9^{9^{9}}}", "budget"), ("42", "", "extraction")],
)  # fmt: skip
def test_the_verdict_names_the_stage_that_decided(gold: str, answer: str, stage: str) -> None:
    assert verify(gold, f"\\boxed{{{answer}}}").stage == stage


def test_the_verdict_says_what_was_extracted_from_where_in_what_time_and_why_not() -> None:
    verdict = verify("42", r"So \boxed{41}.")
    assert (verdict.extracted, verdict.place, verdict.detail) == ("41", "boxed", "'41' is not '42'")
    assert verdict.seconds is not None and 0.0 < verdict.seconds < 10.0
    assert verdict == verify("42", r"So \boxed{41}."), "the seconds differ, the verdicts are equal"


@pytest.mark.parametrize("answer", ["9^{9^{9^{9}}}", "(10^{10})!", r"\sin(10^{10^{10}})", "2^{2^{2^{65536}}}"])
def test_what_no_machine_can_compute_is_a_timeout_at_once(answer: str) -> None:
    start = time.monotonic()
    verdict = verify("42", f"\\boxed{{{answer}}}")
    assert (verdict.outcome, verdict.score) == (Outcome.TIMEOUT, 0.0)
    assert time.monotonic() - start < 1.0


def test_a_power_beyond_all_memory_is_still_compared_exactly() -> None:
    assert verify(r"10^{10^{10}}", r"\boxed{100^{5\cdot 10^9}}").passed  # 10^(2 * 5e9)
    assert verify("42", r"\boxed{10^{10^{10}}}").outcome is Outcome.FAIL


def test_an_answer_whose_worker_died_is_ungradable_not_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    dead = Reply(Status.CRASH, detail="the worker died twice")
    monkeypatch.setattr(correctness, "run_jobs", lambda requests, deadline_seconds: [dead] * len(requests))
    verdict = verify(r"x \equiv 1", r"\boxed{x \equiv 2}")
    assert (verdict.outcome, verdict.score) == (Outcome.UNGRADABLE, None)


def test_one_bomb_in_a_batch_leaves_the_other_verdicts_alone() -> None:
    texts = [r"\boxed{1+x}", r"\boxed{9^{9^{9^{9}}}+x}", r"\boxed{x+1}", r"\boxed{x+2}"]
    verdicts = accuracy_batch([Completion(text=t) for t in texts], [_problem("x+1")] * 4)
    assert [v.outcome for v in verdicts] == [Outcome.PASS, Outcome.TIMEOUT, Outcome.PASS, Outcome.FAIL]


@pytest.mark.parametrize(
    ("gold", "answer", "option", "passes"),
    [
        ("0.3333", r"\frac{1}{3}", {}, False),
        ("0.3333", r"\frac{1}{3}", {"relative_tolerance": 1e-3}, True),  # 0.0000333 / 0.3333 = 1e-4
        ("0.3333", "0.34", {"relative_tolerance": 1e-3}, False),
        ("50", r"50\%", {}, True),
        ("50", r"50\%", {"percent": "exact"}, False),
        ("0.5", r"50\%", {"percent": "exact"}, True),
        (r"5\text{ cm}", "5", {}, True),
        (r"5\text{ cm}", "5", {"units": "required"}, False),
        (r"5\text{ cm}", "5 cm", {"units": "required"}, True),
        ("10", "9+1", {}, True),
        ("10", "9+1", {"literal": True}, False),
        ("10", "10.0", {"literal": True}, True),
    ],
)
def test_each_option_changes_what_it_says(gold: str, answer: str, option: dict[str, Any], passes: bool) -> None:
    assert verify(gold, f"\\boxed{{{answer}}}", **option).passed is passes


@pytest.mark.parametrize("option", [{"percent": "loos"}, {"units": "none"}, {"relative_tolerance": 2.0}])
def test_a_wrong_option_names_the_right_ones(option: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"`{next(iter(option))}`"):
        verify("1", r"\boxed{1}", **option)


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
