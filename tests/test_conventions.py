"""Other projects' graders: what each one is known to do, right or wrong, and the published numbers they give."""

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

from reasoning_grpo.rewards import RewardSpec, RewardTerm, load_verifier
from reasoning_grpo.rewards.conventions import CONVENTIONS
from reasoning_grpo.rewards.conventions.constants import constant
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
        ("math-verify", r"3\sqrt{13}", r"\boxed{3\sqrt{13}}", True),
        ("math-verify", "72", "The answer is 73", False),
        ("math-verify", "42", r"<think>\boxed{42}", True),  # it reads open thoughts
    ],
)
def test_a_convention_judges_as_its_model_does(name: str, gold: str, text: str, right: bool) -> None:
    assert passes(name, gold, text) is right


@pytest.mark.parametrize("name", ["qwen", "last-number", "strict-box", "gsm8k-hash"])
def test_no_convention_raises_on_hostile_text(name: str) -> None:
    for text in (
        "",
        "\x00",
        "\ud800",
        "\\boxed",
        "\\boxed{",
        "boxed{" * 2000,
        "9" * 5000,
        "\\boxed{" + "(" * 5000 + "}",
    ):
        assert not passes(name, "42", text)


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
        ("last-number", "gsm8k", 81.3, 87.1),
        ("math-verify", "gsm8k", 86.7, 87.3),
    ],
)
def test_a_convention_gives_the_published_numbers_on_stored_outputs(
    name: str, dataset: str, base: float, rl: float
) -> None:
    assert _accuracy(name, dataset, BASE) == pytest.approx(base, abs=0.1)
    assert _accuracy(name, dataset, RL) == pytest.approx(rl, abs=0.1)


def _accuracy(name: str, dataset: str, model: str) -> float:
    rows = [row for row in _rows() if row["dataset"] == dataset and row["model"] == model]
    spec = RewardSpec(terms=(RewardTerm(name="c", verifier=CONVENTIONS[name]),))
    scored = spec.score_batch(
        [Completion(text=row["response"]) for row in rows],
        [Problem(id="p", question="", answer=row["gold"], source=row["dataset"]) for row in rows],
    )
    return 100 * sum(one.verdicts["c"].passed for one in scored) / len(rows)


def _rows() -> list[dict[str, Any]]:
    path = Path(os.environ["REASONING_GRPO_OUTPUTS"]) / "rg_qwen3b_base_vs_rl" / "outputs.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def test_math_verify_is_asked_again_after_texts_that_hung_it_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("math_verify")
    from reasoning_grpo.rewards.conventions import math_verify

    monkeypatch.setattr(math_verify._process(), "_num_kills", 10**6)
    assert math_verify._process().has_given_up is False
    assert passes("math-verify", "72", "The answer is 72")
