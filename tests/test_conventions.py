"""Other projects' graders: what each one is known to do, right or wrong, and the published numbers they give."""

import functools
import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reasoning_grpo.cli import main
from reasoning_grpo.rewards import RewardSpec, RewardTerm, load_verifier
from reasoning_grpo.rewards.conventions import CONVENTIONS
from reasoning_grpo.rewards.conventions.constants import constant
from reasoning_grpo.rewards.conventions.qwen import equal, strip_string
from reasoning_grpo.schema import Completion, Problem

BASE, RL = "Qwen/Qwen2.5-3B-Instruct", "starzmustdie/Qwen-2.5-3B-rlft"


def passes(name: str, gold: str, text: str, source: str = "") -> bool:
    verdict = load_verifier(CONVENTIONS[name])(
        Completion(text=text), Problem(id="p", question="", answer=gold, source=source)
    )
    assert not isinstance(verdict, float)
    return bool(getattr(verdict, "passed", verdict))


@pytest.mark.parametrize(
    ("name", "gold", "text", "right"),
    [
        ("last-number", "72", "so 70 and then 72.", True),
        ("last-number", "72", "#### 72 of 80", False),  # the last number is 80, whatever was marked
        ("last-number", "1200", "She earns $1,200", True),
        ("last-number", "72", "72.50", False),
        ("last-number", "72", "no number", False),
        ("gsm8k-hash", "72", "#### 72", True),
        ("gsm8k-hash", "72", "#### 72.", False),  # field.md: verl's gsm8k.py too
        ("gsm8k-hash", "72", "#### $72", False),
        ("gsm8k-hash", "72", r"\boxed{72}", False),
        ("gsm8k-hash", "1200", "#### 1,200", True),
        ("strict-box", r"\frac{1}{2}", r"\boxed{\dfrac12}", True),
        ("strict-box", r"\frac{1}{2}", r"\boxed{0.5}", True),  # the one decimal the MATH paper knows
        ("strict-box", r"\frac{1}{4}", r"\boxed{0.25}", False),
        ("strict-box", "1,2", r"\boxed{2,1}", False),
        ("strict-box", "5", r"\boxed{5\text{ cm}}", True),
        ("strict-box", "5", r"<think>\boxed{5}", True),  # a box in an open thought counts
        ("strict-box", "5", "The answer is 5.", False),
        ("qwen", "72", "The answer is 72.", True),
        ("qwen", "72", "so 70, then 72", True),
        ("qwen", "0.5", r"\boxed{50}", True),  # a factor of 100 either way
        ("qwen", "10000", r"\boxed{10001}", True),  # 1e-4 relative
        ("qwen", "10000", r"\boxed{10002}", False),
        ("qwen", r"64,\frac{1}{4}", r"\boxed{64}", True),  # of a list the first element
        ("qwen", r"\frac{2016}{2017^{2}}", r"\boxed{\frac{1}{2018}}", True),
        ("qwen", "x+1", r"\boxed{1+x}", True),
        ("qwen", "72", "", False),
        ("qwen", "2:3", r"\boxed{\frac{2}{3}}", True),  # a colon divides
        ("qwen", r"\frac{4}{3+3i}x", r"\boxed{\frac{2}{3}(1-i)x}", False),  # `i` is a letter like any other
        ("qwen", r"x^2+x", r"\boxed{x(x+1)}", False),  # x of x+1
        ("qwen", r"\dot{x}_0+1", r"\boxed{1+\dot{x}_0}", False),  # no formula
        ("qwen", "Ezra'class", r"\boxed{\text{Ezra's class}}", True),
        ("math-verify", r"3\sqrt{13}", r"\boxed{3\sqrt{13}}", True),
        ("math-verify", "72", "The answer is 73", False),
        ("math-verify", "42", r"<think>\boxed{42}", True),  # it reads open thoughts
    ],
)
def test_a_convention_judges_as_its_model_does(name: str, gold: str, text: str, right: bool) -> None:
    assert passes(name, gold, text) is right


OURS = ["qwen", "last-number", "strict-box", "gsm8k-hash"]
PIECES = (
    r"\boxed{", "boxed", "{", "}", "(", ")", "[", ",", "=", r"\text{", r"\frac", r"\sqrt", "^", "_", "9", "1.0", ".",
    "#### ", "the answer is ", "final answer is $", "$. I hope", "$", "<think>", "%", "e", "-", "\\", "\n", " ", "\x00",
    "\ud800",
)  # fmt: skip
HOSTILE = st.one_of(
    st.text(st.characters(), max_size=80),
    st.lists(st.sampled_from(PIECES), max_size=40).map("".join),
    st.builds(lambda piece, times, end: piece * times + end, st.sampled_from(PIECES), st.integers(0, 3_000), st.text()),
)


@pytest.mark.parametrize("name", OURS)
@settings(max_examples=150, deadline=None)
@given(text=HOSTILE, gold=HOSTILE)
def test_no_convention_raises_on_any_text_or_gold(name: str, text: str, gold: str) -> None:
    for completion in (text, rf"\boxed{{{text}}}"):
        passes(name, gold, completion)
        passes(name, completion, gold)


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize(
    "piece", ["9", "9.", "(", r"\boxed{", r"\text{", r"\sqrt ", "the answer is ", ",", "=", "\n", "\ud800"]
)
def test_no_convention_raises_on_a_million_characters(name: str, piece: str) -> None:
    text = piece * (1_000_000 // len(piece))
    assert not passes(name, "42", text)
    assert not passes(name, "42", rf"\boxed{{{text}}}")
    assert not passes(name, text, r"\boxed{42}")


@pytest.mark.slow
def test_math_verify_answers_to_hostile_text() -> None:
    for text in ("", "\x00", "\ud800", r"\boxed{", "boxed{" * 2_000, "9" * 5_000, r"\boxed{" + "(" * 5_000 + "}"):
        assert not passes("math-verify", "42", text)
        assert not passes("math-verify", text, r"\boxed{42}")


@pytest.mark.parametrize(
    ("gold", "answer", "right"),
    [
        ("5", "5.0" + " " * 1_995, True),  # 1,998 characters: normalised
        ("5", "5.0" + "\\!" * 1_000, False),  # 2,003: compared as it is spelled
        ("9" * 3_000, "9" * 3_000, True),
        ("(" * 9 + "1,2" + ")" * 9, "(" * 9 + "1.0,3.0" + ")" * 9, False),
    ],
)
def test_qwen_normalises_answers_up_to_its_cap(gold: str, answer: str, right: bool) -> None:
    assert equal(strip_string(answer), strip_string(gold)) is right


def test_code_in_an_answer_is_never_run(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    for name in CONVENTIONS:
        assert not passes(name, "x+1", f"\\boxed{{open('{marker}','w')}}")
    assert not marker.exists()


@pytest.mark.parametrize(
    ("text", "value"),
    [("\\frac{1}{4}", 0.25), ("2^{3}-1", 7.0), ("-3\\cdot2", -6.0), ("\\sqrt{16}/2", 2.0), ("2(3)", 6.0),
     ("x+1", None), ("1+", None), ("(1", None), ("9^{9^{9}}", None), ("1/0", None), ("", None)],
)  # fmt: skip
def test_constants_are_read_as_floats_or_not_at_all(text: str, value: float | None) -> None:
    assert constant(text) == value


@pytest.mark.skipif(not os.environ.get("REASONING_GRPO_OUTPUTS"), reason="REASONING_GRPO_OUTPUTS is not set")
@pytest.mark.parametrize(
    ("name", "dataset", "base", "rl"),
    [  # percent, as the outputs' README states them
        ("qwen", "gsm8k", 86.6, 87.3),
        ("qwen", "svamp", 93.1, 94.1),
        ("qwen", "olympiadbench", 25.8, 31.1),
        ("qwen", "minerva_math", 25.7, 30.5),
        ("qwen", "amc23", 42.5, 37.5),
        ("qwen", "aime24", 6.7, 13.3),  # this and the next two as the rows' labels say
        ("qwen", "mawps", 97.2, 97.3),
        ("qwen", "asdiv", 93.7, 93.5),
        ("last-number", "gsm8k", 81.3, 87.1),
        ("math-verify", "gsm8k", 86.7, 87.3),
    ],
)
def test_a_convention_gives_the_published_numbers_on_stored_outputs(
    name: str, dataset: str, base: float, rl: float
) -> None:
    assert _accuracy(name, dataset, BASE) == pytest.approx(base, abs=0.1)
    assert _accuracy(name, dataset, RL) == pytest.approx(rl, abs=0.1)


@pytest.mark.skipif(not os.environ.get("REASONING_GRPO_OUTPUTS"), reason="REASONING_GRPO_OUTPUTS is not set")
@pytest.mark.parametrize(
    "where",
    [["--where", "dataset=amc23", "--where", f"model={RL}"], ["--where", "dataset=amc23", f"model={RL}"]],
    ids=["each flag", "one flag"],
)
def test_score_grades_stored_outputs_by_a_convention(where: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", str(_outputs()), "--convention", "qwen", *where, "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)["all"]
    assert (summary["num_passed"], summary["num_rows"]) == (15, 40)  # 37.5 %
    assert summary["agreement"]["only_label"] == summary["agreement"]["only_verifier"] == 0


def _accuracy(name: str, dataset: str, model: str) -> float:
    rows = [row for row in _rows() if row["dataset"] == dataset and row["model"] == model]
    spec = RewardSpec(terms=(RewardTerm(name="c", verifier=CONVENTIONS[name]),))
    scored = spec.score_batch(
        [Completion(text=row["response"]) for row in rows],
        [Problem(id="p", question="", answer=row["gold"], source=row["dataset"]) for row in rows],
    )
    return 100 * sum(one.verdicts["c"].passed for one in scored) / len(rows)


def _outputs() -> Path:
    return Path(os.environ["REASONING_GRPO_OUTPUTS"]) / "rg_qwen3b_base_vs_rl" / "outputs.jsonl.gz"


@functools.cache
def _rows() -> list[dict[str, Any]]:
    with gzip.open(_outputs(), "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def test_math_verify_is_asked_again_after_texts_that_hung_it_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("math_verify")
    from reasoning_grpo.rewards.conventions import math_verify

    monkeypatch.setattr(math_verify._process(), "_num_kills", 10**6)
    assert math_verify._process().has_given_up is False
    assert passes("math-verify", "72", "The answer is 72")
