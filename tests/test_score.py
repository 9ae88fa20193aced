import gzip
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from reasoning_grpo.errors import DataError
from reasoning_grpo.rewards import RewardSpec, RewardTerm
from reasoning_grpo.rewards.score import Agreement, Tally, read_rows, score_file, summarise
from reasoning_grpo.schema import Outcome, Verdict

SPEC = RewardSpec(terms=(RewardTerm(name="accuracy", verifier="accuracy"),))
ROWS = [
    {"problem_id": "a", "gold": "42", "response": r"\boxed{42}", "label": True, "model": "base"},
    {"problem_id": "b", "gold": "42", "response": r"\boxed{41}", "label": True, "model": "base"},
    {"problem_id": "c", "gold": "42", "response": r"\boxed{42}", "label": False, "model": "rl"},
    {"problem_id": "d", "gold": "42", "response": "no idea", "label": False, "model": "rl"},
    {"problem_id": "e", "gold": "", "response": "42", "label": False, "model": "rl"},
]


def _file(folder: Path, rows: Sequence[dict[str, Any]], name: str = "rows.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_rows_are_scored_in_order(tmp_path: Path) -> None:
    rewards = [scored.reward for _, scored in score_file(_file(tmp_path, ROWS), SPEC)]
    assert rewards == [1.0, 0.0, 1.0, 0.0, None]


def test_a_compressed_file_reads_the_same(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress(_file(tmp_path, ROWS).read_bytes()))
    assert [row.problem.id for row in read_rows(path)] == ["a", "b", "c", "d", "e"]


def test_the_summary_counts_every_outcome_apart(tmp_path: Path) -> None:
    summary = summarise(score_file(_file(tmp_path, ROWS), SPEC), "accuracy")["all"]
    assert summary.outcomes == {Outcome.PASS: 2, Outcome.FAIL: 1, Outcome.NO_ANSWER: 1, Outcome.UNGRADABLE: 1}
    assert (summary.num_rows, summary.num_graded, summary.num_passed) == (5, 4, 2)
    assert summary.pass_rate == summary.mean_score == 0.5  # 2 of the 4 graded; the ungradable row is no zero


def test_the_summary_compares_with_the_labels_of_graded_rows(tmp_path: Path) -> None:
    agreement = summarise(score_file(_file(tmp_path, ROWS), SPEC), "accuracy")["all"].agreement
    assert agreement == Agreement(both_right=1, only_label=1, only_verifier=1, both_wrong=1)
    assert agreement.share == 0.5


def test_the_interval_is_wilsons(tmp_path: Path) -> None:
    tally = Tally()
    for passed in [True] * 8 + [False] * 2:
        tally.add(Verdict(score=float(passed), outcome=Outcome.PASS if passed else Outcome.FAIL), None)
    summary = tally.summary()
    # Wilson, z = 1.96: (0.8 + z²/20 ± z·sqrt(0.16/10 + z²/400)) / (1 + z²/10) = (0.99207 ± 0.31369) / 1.38415
    assert summary.low == pytest.approx(0.4902, abs=1e-4)
    assert summary.high == pytest.approx(0.9433, abs=1e-4)
    assert summary.agreement is None


def test_nothing_graded_has_no_rate() -> None:
    summary = Tally().summary()
    assert (summary.pass_rate, summary.mean_score, summary.low, summary.high) == (None, None, None, None)


def test_groups_are_summarised_apart(tmp_path: Path) -> None:
    groups = summarise(score_file(_file(tmp_path, ROWS), SPEC), "accuracy", group_by="model")
    assert {name: summary.num_rows for name, summary in groups.items()} == {"all": 5, "model=base": 2, "model=rl": 3}


def test_where_selects_rows_by_text(tmp_path: Path) -> None:
    path = _file(tmp_path, ROWS)
    assert [row.problem.id for row in read_rows(path, where={"model": "base"})] == ["a", "b"]
    assert [row.problem.id for row in read_rows(path, where={"label": "true"})] == ["a", "b"]


@pytest.mark.parametrize(
    ("gold", "response"), [("answer", "completion"), ("ground_truth", "output"), ("target", "generation")]
)
def test_usual_column_names_are_found(tmp_path: Path, gold: str, response: str) -> None:
    row = next(read_rows(_file(tmp_path, [{gold: 42, response: "#### 42"}])))
    assert (row.problem.answer, row.completion.text, row.problem.id) == ("42", "#### 42", "line 1")


def test_named_columns_win(tmp_path: Path) -> None:
    path = _file(tmp_path, [{"gold": "1", "response": "a", "mine": "2", "theirs": "b", "q": "why"}])
    row = next(read_rows(path, gold="mine", response="theirs", question="q"))
    assert (row.problem.answer, row.completion.text, row.problem.question) == ("2", "b", "why")


def test_token_counts_and_truncation_are_kept(tmp_path: Path) -> None:
    path = _file(tmp_path, [{"gold": "1", "response": "a", "num_tokens": 7, "truncated": True}])
    completion = next(read_rows(path)).completion
    assert (completion.num_tokens, completion.truncated) == (7, True)


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ('{"gold": "1"}\n', {}, r"line 1: no response column 'response' or .*the columns are 'gold'"),
        ('{"response": "1"}\n', {"gold": "truth"}, r"no gold column 'truth'; the columns are 'response'"),
        ('{"gold": "1", "response": "1"}\n{oops}\n', {}, r"line 2: this is no JSON"),
        ("[1]\n", {}, r"line 1: a JSON object is needed, this is a list"),
        ("", {}, "has no rows"),
        ("\n\n", {}, "has no rows"),
        ('{"gold": "1", "response": null}\n', {}, r"'response' holds a NoneType"),
        (
            '{"gold": "1", "response": "1"}\n',
            {"where": {"golf": "1"}},
            r"column 'golf', which is not there; did you mean 'gold'",
        ),
    ],
)
def test_a_file_that_cannot_be_scored_says_why(
    tmp_path: Path, content: str, options: dict[str, Any], message: str
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        list(read_rows(path, **options))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no file .*nowhere\.jsonl"):
        list(read_rows(tmp_path / "nowhere.jsonl"))


def test_a_file_that_is_no_gzip_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        list(read_rows(_file(tmp_path, ROWS, "rows.jsonl.gz")))


def test_a_gzip_that_is_damaged_in_its_middle_is_named(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(b'{"gold": "1", "response": "2"}\n' * 5000))
    packed[30:110] = b"\x00\xff" * 40
    (tmp_path / "rows.jsonl.gz").write_bytes(packed)
    with pytest.raises(DataError, match=r"rows\.jsonl\.gz cannot be read as .* while decompressing data"):
        list(read_rows(tmp_path / "rows.jsonl.gz"))


def test_an_unknown_group_is_answered_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="did you mean 'model'"):
        summarise(score_file(_file(tmp_path, ROWS), SPEC), "accuracy", group_by="modle")


def _labelled_rows(variable: str, name: str) -> Path:
    folder = os.environ.get(variable)
    if not folder:
        pytest.skip(f"set {variable} to the folder that holds {name}")
    return Path(folder) / name


def test_real_gsm8k_outputs_agree_with_their_labels() -> None:
    path = _labelled_rows("REASONING_GRPO_OUTPUTS", "rg_qwen3b_base_vs_rl/outputs.jsonl.gz")
    scored = score_file(path, SPEC, where={"dataset": "gsm8k"})
    agreement = summarise(scored, "accuracy")["all"].agreement
    assert agreement is not None and agreement.share > 0.99


@pytest.mark.slow
def test_the_labelled_corpus_is_judged_as_labelled() -> None:
    path = _labelled_rows("REASONING_GRPO_VERIFIER_CORPUS", "corpus.jsonl.gz")
    wrong = {True: 0, False: 0}
    counts = {True: 0, False: 0}
    for row, scored in score_file(path, SPEC, response="pred"):
        is_accept = row.columns["label"] == "accept"
        counts[is_accept] += 1
        wrong[is_accept] += scored.verdicts["accuracy"].passed != is_accept
    assert wrong[False] / counts[False] < 0.005  # wrong answers accepted; math-verify: 0.044
    assert wrong[True] / counts[True] < 0.025  # right answers rejected; math-verify: 0.081
