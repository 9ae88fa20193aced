r"""The audit names every mistake it was built to find, and passes the reward that makes none."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from reasoning_grpo.rewards.auditing.audit import Report, Role, audit
from reasoning_grpo.rewards.auditing.judges import gated, judge_for
from reasoning_grpo.rewards.watched import Call, Judged
from reasoning_grpo.schema import AnswerForm, AnswerFormat, Completion, Outcome, Problem, Verdict

BROKEN = Path(__file__).parent / "fixtures" / "broken_rewards.py"
BOXED = AnswerFormat(form=AnswerForm.BOXED)
HASH = AnswerFormat(form=AnswerForm.HASH)
TAGS = AnswerFormat(form=AnswerForm.TAGS, think=True)
PREFILLED = AnswerFormat(form=AnswerForm.TAGS, think=True, think_prefilled=True)
MEASURED = [r"15\text{ m}", r"24\text{ m}", r"90\text{ m}"]
GOLDS = ["72", "18", "1250", r"\frac{1}{2}", r"\frac{3}{4}", "-7"]


def problems(golds: list[str]) -> list[Problem]:
    question = "A farmer has some trees and {} more come to stand in a row. How many are there?"
    return [Problem(id=f"p{i}", question=question.format(i), answer=gold) for i, gold in enumerate(golds)]


def audited(
    name: str,
    golds: list[str] = GOLDS,
    answer_format: AnswerFormat = BOXED,
    *,
    role: Role = Role.ACCURACY,
    contract: bool = False,
    **options: Any,
) -> Report:
    ref = f"{BROKEN}:{name}" if is_broken(name) else name
    call = Call(ref=ref, answer_format=answer_format, options=options)
    with judge_for(call, deadline_seconds=3.0) as judge:
        return audit(
            judge,
            problems(golds),
            answer_format=answer_format,
            role=role,
            call=call if contract else None,
            deadline_seconds=3.0,
        )


def is_broken(name: str) -> bool:
    return f"\ndef {name}(" in BROKEN.read_text("utf-8")


def fatal(report: Report) -> set[str]:
    return {finding.code for finding in report.findings if finding.is_fatal}


@pytest.mark.parametrize(
    ("name", "golds", "answer_format", "code"),
    [
        ("first_number_of_gold", [r"3\sqrt{13}", "6-5i", "1,-2"], BOXED, "gold_rejected:boxed"),
        ("careful", GOLDS, AnswerFormat(), "gold_rejected:hash"),  # TRL on GSM8K: only boxes are read
        ("careful", GOLDS, AnswerFormat(), "gold_rejected:plain"),
        ("careful", GOLDS, AnswerFormat(), "gold_rejected:tags"),
        ("hash_line_without_point", ["72", "18", "9"], HASH, "preserving_rejected:trailing period"),
        ("hash_line_without_point", ["72", "18", "9"], HASH, "preserving_rejected:currency added"),
        ("spelling_only", GOLDS, BOXED, "preserving_rejected:decimal"),
        ("spelling_only", GOLDS, BOXED, "preserving_rejected:dfrac"),
        ("close_floats", [r"\frac{1}{2006!}", "5"], BOXED, "changed_accepted:number inside"),
        ("last_side", GOLDS, BOXED, "changed_accepted:chained equality"),
        ("box_anywhere", GOLDS, BOXED, "changed_accepted:open thought"),
        ("box_anywhere", GOLDS, BOXED, "changed_accepted:only in the thought"),
        ("substring", GOLDS, BOXED, "changed_accepted:mentioned"),
        ("substring", GOLDS, BOXED, "changed_accepted:answer list"),
        ("substring", GOLDS, BOXED, "changed_accepted:ten times"),
        ("reversed_substring", GOLDS, BOXED, "changed_accepted:empty"),
        ("any_of", GOLDS, BOXED, "changed_accepted:alternatives"),
        ("any_of", GOLDS, BOXED, "changed_accepted:answer list"),
        ("first_number_of_gold", [r"3\sqrt{13}", "6-5i", r"2\pi"], BOXED, "changed_accepted:leading number"),
        ("unclosed_box", GOLDS, BOXED, "changed_accepted:truncated"),
        ("failure_is_zero", GOLDS, BOXED, "gold_rejected:boxed"),
        ("absolute_tolerance", GOLDS, BOXED, "changed_accepted:off by 0.001"),
        ("relative_tolerance", GOLDS, BOXED, "changed_accepted:off by 1e-4 of it"),
        ("relative_tolerance", GOLDS, BOXED, "changed_accepted:off by 1e-6 of it"),
        ("percent_agnostic", GOLDS, BOXED, "changed_accepted:hundred times"),
        ("percent_agnostic", GOLDS, BOXED, "changed_accepted:hundredth"),
        ("unit_stripping", MEASURED, BOXED, "changed_accepted:other unit"),
        ("unit_stripping", MEASURED, BOXED, "changed_accepted:other size"),
        ("unit_stripping", MEASURED, BOXED, "changed_accepted:other power"),
        ("unit_contained", MEASURED, BOXED, "changed_accepted:unit as a rate"),
        ("unit_contained", MEASURED, BOXED, "changed_accepted:unit in a product"),
        ("unit_stripping", GOLDS, BOXED, "changed_accepted:scale word thousand"),  # written in `\text`
        ("scale_words_dropped", GOLDS, BOXED, "changed_accepted:scale word hundred"),
        ("scale_words_dropped", GOLDS, BOXED, "changed_accepted:scale word thousand"),
        ("scale_words_dropped", GOLDS, BOXED, "changed_accepted:scale word million"),
        ("scale_words_dropped", GOLDS, BOXED, "changed_accepted:scale word dozen"),
        ("scale_words_dropped", GOLDS, BOXED, "changed_accepted:scale word halves"),
    ],
)
def test_a_planted_mistake_is_named(name: str, golds: list[str], answer_format: AnswerFormat, code: str) -> None:
    report = audited(name, golds, answer_format)
    assert code in fatal(report)
    assert not report.is_fit


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("alarm", "contract:threads"),
        ("silent_alarm", "contract:threads"),
        ("hangs", "contract:deadline"),
        ("pool_without_end", "contract:deadline"),
        ("raises", "contract:raises"),
        ("recursive", "contract:raises"),
        ("above_one", "contract:range"),
        ("none_at_times", "contract:range"),
        ("moody", "contract:determinism"),
        ("evaluates", "contract:code"),
        ("exits", "contract:dies"),
    ],
)
def test_a_broken_contract_is_named(name: str, code: str) -> None:
    assert code in fatal(audited(name, ["72"], contract=True))


@pytest.mark.parametrize(
    ("name", "answer_format", "code"),
    [
        ("thought_format", PREFILLED, "form_refused:tags, `<think>` left to the prompt"),
        ("thought_format", TAGS, "malformed_accepted:empty thought"),
        ("thought_format", TAGS, "hollow_paid:empty shell"),
        ("lines_format", TAGS, "malformed_accepted:lines after the answer"),
        ("lines_format", TAGS, "hollow_paid:placeholder"),
    ],
)
def test_a_planted_mistake_of_form_is_named(name: str, answer_format: AnswerFormat, code: str) -> None:
    assert code in fatal(audited(name, GOLDS, answer_format, role=Role.FORM))


@pytest.mark.parametrize(("name", "code"), [("pays_short", "hollow_paid:nothing"), ("pays_tags", "hollow_paid:dots")])
def test_a_term_of_shape_that_pays_for_a_shell_is_named(name: str, code: str) -> None:
    assert code in fatal(audited(name, GOLDS, TAGS, role=Role.SHAPE))


def test_a_verifier_without_a_mistake_on_its_golds_keeps_its_contract() -> None:
    report = audited("careful", ["72", "18", "-7"], contract=True)
    assert not [finding.code for finding in report.findings if finding.code.startswith("contract:")]
    assert report.golds_accepted == report.num_golds == 3


@pytest.mark.parametrize("answer_format", [AnswerFormat(), BOXED, HASH, TAGS, PREFILLED], ids=str)
def test_our_own_accuracy_is_fit_for_every_prompt(answer_format: AnswerFormat) -> None:
    report = audited("accuracy", [*GOLDS, r"3\sqrt{13}", r"\text{(C)}", "(1,-2)", "2,3,5"], answer_format)
    assert [finding for finding in report.findings if finding.is_fatal] == []
    assert report.golds_accepted == report.num_golds


@pytest.mark.parametrize("name", ["format", "format_graded"])
@pytest.mark.parametrize(
    "answer_format", [BOXED, HASH, TAGS, PREFILLED, AnswerFormat(form=AnswerForm.BOXED, think=True)], ids=str
)
def test_our_own_format_is_fit_for_every_prompt(name: str, answer_format: AnswerFormat) -> None:
    assert audited(name, GOLDS, answer_format, role=Role.FORM).findings == ()


@pytest.mark.parametrize(
    ("name", "options"),
    [("soft_overlong", {"max_tokens": 100, "buffer_tokens": 20}), ("cosine_length", {"max_tokens": 100}),
     ("repetition", {}), ("language", {}), ("tag_count", {})],
)  # fmt: skip
def test_our_own_shaping_pays_for_no_shell(name: str, options: dict[str, Any]) -> None:
    assert audited(name, GOLDS, TAGS, role=Role.SHAPE, **options).findings == ()


@pytest.mark.slow
def test_our_own_accuracy_keeps_its_contract() -> None:
    assert not fatal(audited("accuracy", ["72", r"\frac{1}{2}"], contract=True))


@pytest.mark.parametrize(
    ("gate", "outcome", "score"),
    [
        (Verdict(score=1.0, outcome=Outcome.PASS), "partial", 0.5),
        (Verdict(score=0.0, outcome=Outcome.FAIL), "fail", 0.0),
        (Verdict(score=0.5, outcome=Outcome.PARTIAL), "fail", 0.0),
        (Verdict(score=None, outcome=Outcome.UNGRADABLE), "ungradable", None),
    ],
)
def test_a_gated_term_is_paid_where_its_gate_passed_and_abstains_with_it(
    gate: Verdict, outcome: str, score: float | None
) -> None:
    half = Judged(verdict=Verdict(score=0.5, outcome=Outcome.PARTIAL))
    pair = Completion(text="5"), problems(["5"])[0]
    (judged,) = gated(lambda pairs: [half], lambda pairs: [Judged(verdict=gate)], "right")([pair])
    assert judged.verdict is not None
    assert (judged.verdict.outcome, judged.verdict.score) == (outcome, score)


def test_golds_in_trouble_are_listed() -> None:
    report = audited("accuracy", ["5", "1,2", r"\approx 3.2", " ", "x=70=71"])
    assert report.troubles == {"p1": "multi-valued", "p2": "ambiguous", "p3": "empty", "p4": "ambiguous"}


def test_a_repeated_gold_is_rewritten_once_and_accepted_each_time() -> None:
    once, thrice = audited("accuracy", ["5"]), audited("accuracy", ["5", "5", "5"])
    assert thrice.golds_accepted == 3
    assert thrice.num_preserving == once.num_preserving


DATA = os.environ.get("REASONING_GRPO_DATA")


@pytest.mark.slow
@pytest.mark.skipif(not DATA, reason="REASONING_GRPO_DATA is not set")
@pytest.mark.parametrize("name", ["gsm8k/test", "math500/test"])
def test_our_own_accuracy_is_fit_for_real_golds(name: str) -> None:
    lines = (Path(DATA or "") / f"{name}.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    golds = [Problem(id=row["id"], question=row["problem"], answer=row["answer"]) for row in rows]
    call = Call(ref="accuracy")
    with judge_for(call, deadline_seconds=5.0) as judge:
        report = audit(judge, golds, answer_format=AnswerFormat())
    assert report.golds_accepted == report.num_golds
    assert report.mutants_accepted < 0.001 * report.num_mutants
    assert report.preserving_rejected < 0.005 * report.num_preserving
    assert report.is_fit
