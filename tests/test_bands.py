"""The same completions under several graders."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from handmade_runs import answers_of, run_of

from reasoning_grpo.cli import main
from reasoning_grpo.eval.bands import (
    ACCURACY,
    LAST_NUMBER,
    STRICT_BOX,
    STRICT_FORM,
    band,
    band_for,
    disagreement,
    regraded,
)
from reasoning_grpo.eval.paired import PairedDifference, Tally, paired_difference
from reasoning_grpo.eval.runs import load_run
from reasoning_grpo.schema import Outcome

OUTPUTS = os.environ.get("REASONING_GRPO_OUTPUTS")
PAIR = ("Qwen/Qwen2.5-3B-Instruct", "starzmustdie/Qwen-2.5-3B-rlft")


def found(wins: int, losses: int, ties: int = 100) -> PairedDifference:
    def tally(before: int, after: int) -> Tally:
        return Tally(right_before=before, num_before=1, right_after=after, num_after=1)

    return paired_difference([tally(0, 1)] * wins + [tally(1, 0)] * losses + [tally(1, 1)] * ties)


def test_a_run_is_graded_again_from_its_completions() -> None:
    # The stored verdict says wrong; the box holds 7.0, which is the gold 7 by value and not by text.
    run = answers_of({"a": ["7.0"]})
    assert run.verdict(run.attempts[0]).outcome is Outcome.FAIL
    assert [regraded(run, choice).attempts[0].verdicts["accuracy"].passed for choice in (ACCURACY, LAST_NUMBER)] == [
        True,
        False,
    ]


def test_agreeing_graders_give_no_warning() -> None:
    assert disagreement({"a": found(20, 2), "b": found(25, 3)}) is None


def test_a_grader_that_makes_the_difference_is_named() -> None:
    assert disagreement({"ours": found(5, 4), "lenient": found(30, 2)}) == (
        "whether there is a difference depends on the grader: significant by lenient, not by ours"
    )


def test_opposite_conclusions_are_named() -> None:
    assert "better by a, worse by b" in str(disagreement({"a": found(30, 2), "b": found(2, 30)}))


def test_opposite_signs_without_significance_are_said() -> None:
    assert "the sign" in str(disagreement({"a": found(3, 2), "b": found(2, 3)}))


def test_a_grader_that_can_read_no_gold_ends_no_comparison() -> None:
    run = run_of({"a": "1", "b": "0"})
    run = replace(run, problems=tuple(replace(problem, answer="") for problem in run.problems))
    measured = band(run, run, graders=[ACCURACY])
    assert measured == {"graders": {}, "warning": None, "abstained": ["accuracy"]}


def test_strict_is_where_the_prompt_asked_or_else_a_box() -> None:
    assert STRICT_FORM in band_for(run_of({"a": "1"}, conditions={"answer_form": "tags"}))
    assert STRICT_BOX in band_for(run_of({"a": "1"}))


@pytest.mark.skipif(not OUTPUTS, reason="REASONING_GRPO_OUTPUTS is not set")
def test_one_rl_gain_is_significant_only_by_its_last_number(tmp_path: Path) -> None:
    source = Path(OUTPUTS or "") / "rg_qwen3b_base_vs_rl" / "outputs.jsonl.gz"
    for number, model in enumerate(PAIR):
        where = ["--where", "dataset=gsm8k", f"model={model}"]
        assert main(["score", str(source), *where, "--out", str(tmp_path / f"{number}.jsonl")]) == 0
    result = band(*(load_run(tmp_path / f"{n}.jsonl") for n in (0, 1)), graders=(ACCURACY, LAST_NUMBER))
    ours, lenient = result["graders"]["accuracy"], result["graders"]["last number"]
    assert (round(ours["difference"], 1), round(lenient["difference"], 1)) == (0.5, 5.8)
    assert (lenient["wins"], lenient["losses"]) == (131, 55)
    assert lenient["p_value"] == pytest.approx(2.5e-8, rel=0.05)
    assert "significant by last number, not by accuracy" in result["warning"]
