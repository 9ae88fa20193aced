"""Files are whole or not there."""

import json
from pathlib import Path

import pytest

from reasoning_grpo import storage
from reasoning_grpo.schema import Attempt, Completion, Outcome, Verdict

ATTEMPT = Attempt(
    problem_id="p1",
    sample=2,
    completion=Completion(text="<answer>4</answer> \ud800", num_tokens=5, truncated=True),
    verdicts={"accuracy": Verdict(score=None, outcome=Outcome.UNGRADABLE, detail="the gold is empty")},
    reward=None,
)


def test_an_attempt_survives_its_row() -> None:
    row = json.loads(json.dumps(storage.attempt_row(ATTEMPT)))
    assert storage.attempt_from_row(row) == ATTEMPT


def test_a_lone_surrogate_in_model_text_is_written_and_read_back(tmp_path: Path) -> None:
    with storage.JsonlWriter(tmp_path / "a.jsonl") as file:
        file.write(storage.attempt_row(ATTEMPT))
    row = json.loads((tmp_path / "a.jsonl").read_text("utf-8"))
    assert storage.attempt_from_row(row) == ATTEMPT


def test_a_row_is_on_disk_before_the_file_is_closed(tmp_path: Path) -> None:
    file = storage.JsonlWriter(tmp_path / "a.jsonl")
    file.write({"step": 1})
    assert (tmp_path / "a.jsonl").read_text("utf-8") == '{"step": 1}\n'
    file.close()


def test_a_folder_that_fails_half_way_leaves_the_old_one_in_place(tmp_path: Path) -> None:
    target = tmp_path / "best"
    target.mkdir()
    (target / "weights").write_text("old")
    with pytest.raises(RuntimeError), storage.replacing_folder(target) as part:
        (part / "weights").write_text("half of the new")
        raise RuntimeError("disk full")
    assert [p.name for p in tmp_path.iterdir()] == ["best"]
    assert (target / "weights").read_text() == "old"


def test_a_folder_that_is_written_whole_takes_the_old_ones_place(tmp_path: Path) -> None:
    target = tmp_path / "best"
    for content in ("old", "new"):
        with storage.replacing_folder(target) as part:
            (part / "weights").write_text(content)
    assert [p.name for p in tmp_path.iterdir()] == ["best"]
    assert (target / "weights").read_text() == "new"


def test_two_folders_made_in_one_second_have_two_names(tmp_path: Path) -> None:
    first, second = storage.new_folder(tmp_path, "run"), storage.new_folder(tmp_path, "run")
    assert first != second
    assert first.is_dir()
    assert second.is_dir()
