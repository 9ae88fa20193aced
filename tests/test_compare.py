"""Two runs compared: figures by hand, what is refused, and a stored pair whose result is known."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from handmade_runs import answers_of, run_of

from reasoning_grpo.cli import main
from reasoning_grpo.commands.compare_report import markdown, notes, print_comparison
from reasoning_grpo.errors import UserError
from reasoning_grpo.eval.compare import Bootstrap, compare, num_tests, pair_up, refuse_differing

OUTPUTS = os.environ.get("REASONING_GRPO_OUTPUTS")
PAIR = ("Qwen/Qwen2.5-3B-Instruct", "starzmustdie/Qwen-2.5-3B-rlft")


def scored_file(folder: Path, name: str, marks: str, **columns: Any) -> Path:
    """Write completions and have them graded by the command; `1` is right."""
    rows = [
        {"problem_id": f"p{i}", "gold": "7", "response": rf"\boxed{{{7 if mark == '1' else 9}}}", **columns}
        for i, mark in enumerate(marks)
    ]
    source = folder / f"{name}-outputs.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    graded = folder / f"{name}.jsonl"
    assert main(["score", str(source), "--out", str(graded)]) == 0
    return graded


def test_the_figures_of_a_small_pair() -> None:
    # wins c, d; losses a: difference (2 - 1) / 5; McNemar p = 1 for 2 against 1
    record = compare(
        pair_up(
            run_of({"a": "1", "b": "1", "c": "0", "d": "-", "e": "0"}), run_of(dict(zip("abcde", "01110", strict=True)))
        )
    )
    assert {name: record[name] for name in ("difference", "wins", "losses", "ties", "num_problems", "p_value")} == {
        "difference": pytest.approx(20.0),
        "wins": 2,
        "losses": 1,
        "ties": 2,
        "num_problems": 5,
        "p_value": 1.0,
    }
    assert sum(record["attribution"].values()) == pytest.approx(record["difference"])


def test_problems_of_one_run_only_are_left_out_and_counted() -> None:
    pair = pair_up(run_of({"a": "1", "b": "0", "c": "?"}), run_of({"b": "1", "c": "1", "d": "1"}))
    assert ([problem.id for problem in pair.problems], pair.num_left_out) == (["b"], 3)


def test_runs_without_a_common_problem_are_refused() -> None:
    with pytest.raises(UserError, match="share no graded problem"):
        pair_up(run_of({"a": "1"}), run_of({"b": "1"}))


def test_more_samples_than_there_are_are_refused() -> None:
    with pytest.raises(UserError, match="has 2 graded samples, fewer than `--k 4`"):
        pair_up(run_of({"a": "10"}), run_of({"a": "1111"}), samples=4)


def test_the_first_samples_can_be_taken() -> None:
    record = compare(pair_up(run_of({"a": "10"}), run_of({"a": "0111"}), samples=1))
    assert (record["difference"], record["method"][:5]) == (-100.0, "Tango")


def test_differing_conditions_are_refused_by_name() -> None:
    before = run_of({"a": "1"}, conditions={"max_completion_tokens": 256, "suite": "x"})
    after = run_of({"a": "1"}, conditions={"max_completion_tokens": 2048, "suite": "x"})
    with pytest.raises(UserError, match="max_completion_tokens: 256 and 2048"):
        refuse_differing(before, after)


def test_how_two_sets_of_problems_differ_is_said_in_numbers() -> None:
    before = run_of({"a": "1"}, conditions={"data": "3f2a"})
    after = run_of({"a": "1", "b": "1"}, conditions={"data": "9c41"})
    with pytest.raises(UserError, match="1 and 2 problems, 1 of them the same"):
        refuse_differing(before, after)


def test_of_a_table_only_what_differs_is_named() -> None:
    sampling = {"temperature": 0.6, "top_p": 0.95, "top_k": 20, "min_p": None}  # as text, alike in its first 57 signs
    before = run_of({"a": "1"}, conditions={"sampling": sampling})
    after = run_of({"a": "1"}, conditions={"sampling": {**sampling, "min_p": 0.05}})
    with pytest.raises(UserError, match=r"conditions: sampling\.min_p: None and 0\.05; a difference"):
        refuse_differing(before, after)


def test_runs_of_the_same_problems_that_nobody_could_grade_are_told_apart_from_other_problems() -> None:
    with pytest.raises(UserError, match=r"none of the 2 problems of .* could be graded in both runs, such as 'a'; see"):
        pair_up(run_of({"a": "1", "b": "?"}), run_of({"a": "?", "b": "1"}))


def test_different_golds_under_one_id_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = scored_file(tmp_path, "a", "11"), scored_file(tmp_path, "b", "11")
    b.write_text(b.read_text().replace('"gold": "7"', '"gold": "8"', 1))
    assert main(["compare", str(a), str(b)]) == 2
    assert "different golds for 1 problems of the same id, such as 'p0': 7 and 8" in capsys.readouterr().err


def test_a_condition_known_of_one_run_only_is_said() -> None:
    record = compare(pair_up(run_of({"a": "1"}, conditions={"suite": "x"}), run_of({"a": "1"})))
    assert record["unshared_conditions"] == ["suite"]


def test_models_that_did_not_compute_alike_are_compared_and_it_is_said() -> None:
    before = run_of({"a": "1"}, facts={"backend": "transformers", "dtype": "float32"})
    after = run_of({"a": "1"}, facts={"backend": "transformers", "dtype": "bfloat16"})
    record = compare(pair_up(before, after))
    assert record["differing_facts"] == {"dtype": ["float32", "bfloat16"]}
    assert "dtype: float32 and bfloat16" in " ".join(notes(record))


def test_flips_show_both_answers_and_why() -> None:
    flips = compare(pair_up(run_of({"a": "1", "b": "0"}), run_of({"a": "0", "b": "1"})))["flips"]
    assert [(flip["problem_id"], flip["change"]) for flip in flips] == [("a", "loss"), ("b", "win")]
    assert (flips[0]["before"]["extracted"], flips[0]["after"]["extracted"]) == ("7", "9")


def test_pass_at_k_is_compared_where_both_runs_have_the_samples() -> None:
    # pass@2 of 1 in 4 is 1/2, of 2 in 4 is 5/6; pass@4 is 1 for both
    record = compare(pair_up(run_of({"a": "1000", "b": "0000"}), run_of({"a": "1100", "b": "00000"})))
    assert {k: row["difference"] for k, row in record["pass_at_k"].items()} == {
        "2": pytest.approx(100 / 6),
        "4": 0.0,
    }


def test_single_samples_have_no_pass_at_k() -> None:
    assert compare(pair_up(run_of({"a": "1"}), run_of({"a": "0101"})))["pass_at_k"] == {}


def test_levels_are_compared_one_by_one() -> None:
    meta = {"a": {"level": 1}, "b": {"level": 5}}
    record = compare(pair_up(run_of({"a": "0", "b": "1"}, meta=meta), run_of({"a": "1", "b": "0"}, meta=meta)))
    assert {level: row["difference"] for level, row in record["by"]["level"].items()} == {"1": 100.0, "5": -100.0}


def test_a_difference_is_said_in_one_sentence() -> None:
    marks = {str(i): "0" for i in range(10)}
    better = compare(pair_up(run_of(marks, label="A"), run_of(dict.fromkeys(marks, "1"), label="B")))
    assert better["sentence"].startswith("B is better than A by 100.0 points")
    same = compare(pair_up(run_of(marks | {"x": "1"}, label="A"), run_of(marks | {"x": "0"}, label="B")))
    assert same["sentence"].startswith("A and B are not distinguishable (9.1 points")
    assert "11 problems detect" in same["sentence"]


def test_a_stricter_level_is_that_of_the_interval_the_verdict_and_what_can_be_detected() -> None:
    # 10 wins and 1 loss: p = 2 * (1 + 11) / 2^11 = 0.0117, below 5 % and not below 1 %
    marks = {str(number): "0" for number in range(10)} | {"x": "1"}
    pair = pair_up(
        run_of(marks, label="A"), run_of({name: str(1 - int(mark)) for name, mark in marks.items()}, label="B")
    )
    usual, strict = compare(pair), compare(pair, Bootstrap(confidence=0.99))
    assert (usual["ci_low"] > 0.0, "is better" in usual["sentence"]) == (True, True)
    assert (strict["ci_low"], "not distinguishable" in strict["sentence"]) == (0.0, True)
    # (2.5758 + 0.8416) / (1.9600 + 0.8416)
    assert strict["smallest_detectable"] / usual["smallest_detectable"] == pytest.approx(1.2198, abs=1e-4)


def test_what_sums_to_nothing_is_no_difference_and_needs_no_number() -> None:
    # 0.1 + 0.2 - 0.3, of which floats leave 5.6e-17
    before = run_of({"a": "0" * 10, "b": "0" * 10, "c": "1110000000"})
    after = run_of({"a": "1000000000", "b": "1100000000", "c": "0" * 10})
    record = compare(pair_up(before, after))
    assert record["difference"] == 0.0
    assert "would need" not in record["sentence"]


def test_model_text_cannot_break_a_markdown_table() -> None:
    record = compare(pair_up(run_of({"a|b<script>": "1"}), run_of({"a|b<script>": "0"})))
    assert r"a\|b\<script>" in markdown(record, num_flips=1)


def test_no_answer_of_a_model_commands_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    after = answers_of({"\x1b[2Ja": ["\x1b]0;title\x07 8"], "b": ["7"]})
    print_comparison(compare(pair_up(answers_of({"\x1b[2Ja": ["7"], "b": ["7"]}), after)), num_flips=1)
    shown = capsys.readouterr().out
    assert "]0;title" in shown
    assert "\x1b" not in shown
    assert "\x07" not in shown


def test_scored_files_are_compared_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = scored_file(tmp_path, "a", "1100"), scored_file(tmp_path, "b", "1111")
    capsys.readouterr()
    assert main(["compare", str(a), str(b), "--json", "-"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["difference"], record["wins"], record["losses"], record["unit"]) == (50.0, 2, 0, "points")


def test_two_verifiers_are_refused_and_forced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = scored_file(tmp_path, "a", "11")
    other = tmp_path / "other.jsonl"
    outputs = str(tmp_path / "a-outputs.jsonl")
    assert main(["score", outputs, "--convention", "strict-box", "--out", str(other)]) == 0
    assert main(["compare", str(a), str(other)]) == 2
    assert "verifier: accuracy (" in capsys.readouterr().err
    assert main(["compare", str(a), str(other), "--force"]) == 0
    shown = capsys.readouterr().out
    assert "Not made under the same conditions, so a difference need not be the models': verifier: accuracy (" in shown
    assert ") and " in shown
    assert "strict_box" in shown


def test_an_ungraded_file_is_sent_to_score(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = scored_file(tmp_path, "a", "11")
    assert main(["compare", str(a), str(tmp_path / "a-outputs.jsonl")]) == 2
    assert "reasoning-grpo score" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--k", "0"], "`--k` is 0; it must be at least 1"),
        (["--confidence", "95"], "`--confidence` is 95.0"),
        (["--json", "nowhere/x.json"], "does not exist"),
    ],
)
def test_wrong_arguments_are_one_sentence(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", str(tmp_path / "a.jsonl"), str(tmp_path / "b.jsonl"), *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_run_that_is_not_there_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(tmp_path / "a"), str(tmp_path / "b")]) == 2
    assert "there is no run at" in capsys.readouterr().err


@pytest.mark.skipif(not OUTPUTS, reason="REASONING_GRPO_OUTPUTS is not set")
@pytest.mark.parametrize(
    ("dataset", "difference", "p_value", "wins", "losses"),
    [("gsm8k", 0.8, 0.407, 64, 54), ("olympiadbench", 5.3, 0.00186, 82, 46)],
)
def test_a_stored_rl_gain_is_reproduced(
    dataset: str,
    difference: float,
    p_value: float,
    wins: int,
    losses: int,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = str(Path(OUTPUTS or "") / "rg_qwen3b_base_vs_rl" / "outputs.jsonl.gz")
    files = [str(tmp_path / f"{number}.jsonl") for number in (0, 1)]
    for model, out in zip(PAIR, files, strict=True):
        arguments = ["--convention", "qwen", "--where", f"dataset={dataset}", f"model={model}", "--out", out]
        assert main(["score", source, *arguments]) == 0
    capsys.readouterr()
    assert main(["compare", *files, "--json", "-"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert (round(record["difference"], 1), record["wins"], record["losses"]) == (difference, wins, losses)
    assert record["p_value"] == pytest.approx(p_value, rel=0.01)


def test_every_difference_that_is_tested_is_counted_beforehand() -> None:
    done = []
    rights = {f"p{i}": "1010" for i in range(4)}
    meta = {f"p{i}": {"level": i % 2} for i in range(4)}
    pair = pair_up(run_of(rights, meta=meta), run_of(rights, meta=meta))
    compare(pair, Bootstrap(num_draws=100, on_test=lambda: done.append(1)))
    assert len(done) == num_tests(pair) == 1 + 2 + 2  # accuracy; pass@2 and pass@4; two levels
