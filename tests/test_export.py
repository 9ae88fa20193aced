"""A run in the logs of other harnesses: each read by the real tool where it is installed, its form checked anywhere."""

import json
from pathlib import Path
from typing import Any

import pytest
from handmade_runs import run_of

from reasoning_grpo.cli import main
from reasoning_grpo.eval.export import inspect, lm_eval
from reasoning_grpo.eval.runs import Run
from reasoning_grpo.schema import Attempt, Completion, Outcome, Problem, Verdict

HOSTILE = "</script>\ud800 \x00 <answer>7</answer>"


def hostile_run() -> Run:
    """Return a run of one attempt whose every text has a lone surrogate."""
    verdict = Verdict(score=1.0, outcome=Outcome.PASS, extracted="7\udfff", detail="the same \ud800", place="tags")
    attempt = Attempt(
        problem_id="a/1",
        sample=0,
        completion=Completion(text=HOSTILE, num_tokens=9, truncated=True),
        verdicts={"accuracy": verdict},
        reward=1.0,
    )
    problem = Problem(id="a/1", question="What \ud800?", answer="7")
    return Run(label="a/b c", problems=(problem,), attempts=(attempt,), term="accuracy", prompts={"a/1": "Ask \ud800"})


def rows_of(run: Run, folder: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    samples, results = lm_eval.export(run, folder)
    return [json.loads(line) for line in samples.read_text("utf-8").splitlines()], json.loads(results.read_text())


def test_lm_evals_metric_is_the_share_of_a_problems_samples_that_are_right(tmp_path: Path) -> None:
    rows, _ = rows_of(run_of({"a": "10", "b": "11"}), tmp_path)
    assert [row["exact_match"] for row in rows] == [0.5, 1.0]


def test_lm_evals_result_is_the_accuracy_of_the_run(tmp_path: Path) -> None:
    _, results = rows_of(run_of({"a": "1", "b": "0", "c": "1", "d": "1"}), tmp_path)
    assert results["results"]["run"]["exact_match,none"] == 0.75


def test_a_problem_that_cannot_be_graded_has_no_metric_in_lm_evals_row(tmp_path: Path) -> None:
    rows, _ = rows_of(run_of({"a": "?"}), tmp_path)
    assert (rows[0]["metrics"], "exact_match" in rows[0]) == ([], False)


def test_inspects_values_tell_right_wrong_silent_and_ungradable_apart() -> None:
    samples = inspect.log_record(run_of({"a": "1", "b": "0", "c": "-", "d": "?"}))["samples"]
    assert [sample["scores"].get("accuracy", {}).get("value") for sample in samples] == ["C", "I", "N", None]


def test_lone_surrogates_become_replacement_signs_in_every_export(tmp_path: Path) -> None:
    rows, _ = rows_of(hostile_run(), tmp_path)
    log = inspect.log_record(hostile_run())["samples"][0]
    assert rows[0]["resps"] == [["</script>\ufffd \x00 <answer>7</answer>"]]
    assert (log["input"], log["target"]) == ("Ask \ufffd", "7")


@pytest.mark.parametrize("name", ["../../up", "..", "/root", "a\x00b", "\ud800", "x" * 1_000])
def test_a_models_name_cannot_lead_out_of_the_folder(tmp_path: Path, name: str) -> None:
    files = lm_eval.export(run_of({"a": "1"}, facts={"model": name}), tmp_path / "out")
    assert {path.resolve().parent.parent for path in files} == {(tmp_path / "out").resolve()}


def test_lm_eval_finds_reads_and_tabulates_its_files(tmp_path: Path) -> None:
    utils = pytest.importorskip("lm_eval.utils", reason="lm-eval is not installed; `pip install '.[interop]'`")
    from datasets import load_dataset

    lm_eval.export(run_of({"a": "1", "b": "0", "c": "1", "d": "1"}), tmp_path)
    names = [str(path) for path in tmp_path.rglob("*") if path.is_file()]
    (samples,) = utils.get_sample_results_filenames(names)
    results = utils.get_latest_filename(utils.get_results_filenames(names))
    assert "0.75" in utils.make_table(json.loads(Path(results).read_text()))
    read = load_dataset("json", data_files=samples, split="train", cache_dir=str(tmp_path / "cache"))
    assert read["exact_match"] == [1.0, 0.0, 1.0, 1.0]


def test_lm_evals_own_types_accept_what_is_exported(tmp_path: Path) -> None:
    schema = pytest.importorskip("lm_eval.result_schema", reason="lm-eval is not installed")
    from pydantic import TypeAdapter

    rows, results = rows_of(hostile_run(), tmp_path)
    TypeAdapter(schema.SampleResult).validate_python(rows[0])
    assert set(results) - {"reasoning_grpo"} <= set(schema.EvalResults.__annotations__)


def test_inspect_reads_its_log_back(tmp_path: Path) -> None:
    tool = pytest.importorskip("inspect_ai.log", reason="inspect is not installed; `pip install '.[interop]'`")
    inspect.export(run_of({"a": "10", "b": "0-"}), tmp_path / "log.json")
    log = tool.read_eval_log(str(tmp_path / "log.json"))
    assert log.results.scores[0].metrics["accuracy"].value == 0.25
    found = {(s.id, s.epoch): s.scores["accuracy"].value for s in log.samples}
    assert found == {("a", 1): "C", ("a", 2): "I", ("b", 1): "I", ("b", 2): "N"}


def test_inspect_reads_hostile_text(tmp_path: Path) -> None:
    tool = pytest.importorskip("inspect_ai.log", reason="inspect is not installed; `pip install '.[interop]'`")
    inspect.export(hostile_run(), tmp_path / "log.json")
    sample = tool.read_eval_log(str(tmp_path / "log.json")).samples[0]
    assert sample.output.completion == "</script>\ufffd \x00 <answer>7</answer>"
    assert sample.output.stop_reason == "max_tokens"


def test_inspects_viewer_lists_a_log_that_was_written_to_a_folder(tmp_path: Path) -> None:
    tool = pytest.importorskip("inspect_ai.log", reason="inspect is not installed; `pip install '.[interop]'`")
    inspect.export(run_of({"a": "1"}), tmp_path)
    assert [info.task for info in tool.list_eval_logs(str(tmp_path))] == ["run"]


def test_an_inspect_log_must_be_called_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, out = tmp_path / "run.jsonl", tmp_path / "log.eval"
    run.write_text("{}\n")
    assert main(["export", str(run), "--format", "inspect", "--out", str(out)]) == 2
    assert "does not end in `.json`" in capsys.readouterr().err
