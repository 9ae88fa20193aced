"""Files are whole or not there."""

import json
import resource
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


def test_the_old_folder_can_be_kept(tmp_path: Path) -> None:
    target, spare = tmp_path / "best", tmp_path / "spare"
    for content in ("first", "second", "third"):
        with storage.replacing_folder(target, keep_old_as=spare) as part:
            (part / "weights").write_text(content)
    assert (target / "weights").read_text() == "third"
    assert (spare / "weights").read_text() == "second"


def test_rows_wait_while_the_disk_is_full(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "a.jsonl"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with storage.JsonlWriter(path) as file:
        file.write({"step": 1})
        resource.setrlimit(resource.RLIMIT_FSIZE, (20, before[1]))  # row 2 would end at byte 26
        try:
            file.write({"step": 2})
            file.write({"step": 3})
            assert path.read_text() == '{"step": 1}\n'  # no half row
            with pytest.raises(OSError, match="too large"):
                file.sync()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        file.write({"step": 4})
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [1, 2, 3, 4]
    assert caplog.text.count("its rows wait in memory") == 1


def test_rows_after_a_position_are_forgotten_and_new_ones_follow(tmp_path: Path) -> None:
    with storage.JsonlWriter(tmp_path / "a.jsonl") as file:
        file.write({"step": 1})
        position = file.position
        file.write({"step": 2})
        file.rewind(position)
        file.write({"step": 3})
    assert (tmp_path / "a.jsonl").read_text() == '{"step": 1}\n{"step": 3}\n'


def test_a_log_shorter_than_its_checkpoint_is_left_as_it_is(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with storage.JsonlWriter(tmp_path / "a.jsonl") as file:
        file.rewind(100)
        file.write({"step": 1})
    assert (tmp_path / "a.jsonl").read_text() == '{"step": 1}\n'
    assert "rows are missing from it" in caplog.text
