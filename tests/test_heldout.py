"""Which model is kept as the best, and when a drop is one."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from reasoning_grpo import storage
from reasoning_grpo.heldout import NOTE_FILE, HeldoutAccuracy, compare_answers
from reasoning_grpo.schema import Outcome, Verdict

RIGHT, WRONG = Verdict(score=1.0, outcome=Outcome.PASS), Verdict(score=0.0, outcome=Outcome.FAIL)
UNGRADABLE = Verdict(score=None, outcome=Outcome.UNGRADABLE)


def save(folder: Path, keep_old_as: Path | None, note: dict[str, Any]) -> None:
    with storage.replacing_folder(folder, keep_old_as=keep_old_as) as part:
        storage.write_json(part / NOTE_FILE, note)


def make(folder: Path, **changes: Any) -> HeldoutAccuracy:
    settings: dict[str, Any] = {"every": 1, "best_dir": folder / "best", "writer": None, **changes}
    return HeldoutAccuracy(measure=dict, save=save, **settings)


def record(heldout: HeldoutAccuracy, step: int, num_right: int, num_problems: int = 20) -> None:
    state: Any = SimpleNamespace(global_step=step, max_steps=100, is_world_process_zero=True)
    heldout.record({str(i): RIGHT if i < num_right else WRONG for i in range(num_problems)}, state)


def kept_step(folder: Path) -> int:
    return int(json.loads((folder / "best" / NOTE_FILE).read_text())["step"])


def test_the_first_of_equal_measurements_is_the_best(tmp_path: Path) -> None:
    heldout = make(tmp_path)
    for step, num_right in enumerate((3, 5, 5, 4)):
        record(heldout, step, num_right)
    assert (heldout.best_step, kept_step(tmp_path)) == (1, 1)


def test_a_drop_ends_the_run_only_twice_in_a_row(tmp_path: Path) -> None:
    # 10 right, then 2: 8 lost and none gained, p = 2 x 0.5^8 = 0.0078. With 3 right, 7 lost: p = 0.0156.
    heldout = make(tmp_path, stop_on_drop=True)
    for step, num_right in enumerate((10, 2, 3, 2)):
        record(heldout, step, num_right)
        assert heldout.stopped is None
    record(heldout, 4, 2)
    assert heldout.stopped == {"step": 4, "best_step": 0, "wins": 0, "losses": 8, "p_value": pytest.approx(0.0078125)}


def test_a_rise_is_no_drop(tmp_path: Path) -> None:
    heldout = make(tmp_path, stop_on_drop=True)
    for step, num_right in enumerate((2, 12, 20)):
        record(heldout, step, num_right)
    assert heldout.stopped is None


def test_a_drop_is_left_alone_unless_asked(tmp_path: Path) -> None:
    heldout = make(tmp_path)
    for step, num_right in enumerate((10, 0, 0)):
        record(heldout, step, num_right)
    assert heldout.stopped is None


def test_what_one_side_could_not_grade_is_not_compared() -> None:
    comparison = compare_answers({"a": True, "b": True, "c": False}, {"a": False, "c": True, "d": True})
    assert (comparison.wins, comparison.losses, comparison.num_problems) == (1, 1, 2)


def test_an_ungradable_problem_is_no_loss(tmp_path: Path) -> None:
    heldout = make(tmp_path, stop_on_drop=True)
    record(heldout, 0, 20)
    for step in (1, 2):
        state: Any = SimpleNamespace(global_step=step, max_steps=100)
        heldout.record({str(i): UNGRADABLE for i in range(20)}, state)
    assert heldout.stopped is None


def test_a_resumed_run_gets_back_the_best_model_of_its_checkpoint(tmp_path: Path) -> None:
    heldout = make(tmp_path)
    record(heldout, 1, 5)
    checkpoint = heldout.state()
    heldout.saved()
    for step, num_right in ((2, 6), (3, 7)):  # not in the checkpoint
        record(heldout, step, num_right)
    assert kept_step(tmp_path) == 3
    resumed = make(tmp_path)
    resumed.load_state(checkpoint)
    assert (resumed.best_step, kept_step(tmp_path)) == (1, 1)
    record(resumed, 2, 6)
    assert kept_step(tmp_path) == 2


def test_a_best_model_that_is_gone_gives_way_to_the_next_measurement(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    heldout = make(tmp_path)
    record(heldout, 1, 5)
    checkpoint = heldout.state()
    (tmp_path / "best" / NOTE_FILE).unlink()
    resumed = make(tmp_path)
    resumed.load_state(checkpoint)
    assert "the best model, of step 1, is gone" in caplog.text
    record(resumed, 2, 1)
    assert (resumed.best_step, kept_step(tmp_path)) == (2, 2)


def test_a_best_model_that_is_gone_is_nothing_to_drop_below(tmp_path: Path) -> None:
    heldout = make(tmp_path)
    record(heldout, 1, 20)
    checkpoint = heldout.state()
    (tmp_path / "best" / NOTE_FILE).unlink()
    resumed = make(tmp_path, stop_on_drop=True)
    resumed.load_state(checkpoint)
    for step in (2, 3):  # 10 problems fewer than the lost model: two drops, if it still counted
        record(resumed, step, 10)
    assert resumed.stopped is None


def test_a_best_model_that_cannot_be_saved_leaves_the_one_before(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    heldout = make(tmp_path)
    record(heldout, 1, 5)
    heldout._save = lambda *_: "No space left on device"
    record(heldout, 2, 6)
    assert (heldout.best_step, heldout.best_accuracy, kept_step(tmp_path)) == (1, 0.25, 1)
    assert "the best model, of step 2, could not be saved (No space left on device)" in caplog.text
    heldout._save = save
    record(heldout, 3, 6)
    assert (heldout.best_step, kept_step(tmp_path)) == (3, 3)


def test_a_model_half_way_through_being_replaced_is_found(tmp_path: Path) -> None:
    heldout = make(tmp_path)
    record(heldout, 1, 5)
    checkpoint = heldout.state()
    (tmp_path / "best").rename(tmp_path / ".best.old")  # killed between the two renames
    resumed = make(tmp_path)
    resumed.load_state(checkpoint)
    assert kept_step(tmp_path) == 1


def test_what_the_main_process_found_holds_for_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heldout = make(tmp_path)
    record(heldout, 1, 5)
    checkpoint = heldout.state()
    record(heldout, 2, 6)  # what this process would see on its own: another step's model
    monkeypatch.setattr("reasoning_grpo.heldout.process_state", lambda: SimpleNamespace(is_main_process=False))
    monkeypatch.setattr("reasoning_grpo.heldout.broadcast_object_list", lambda sent: [True])
    resumed = make(tmp_path)
    resumed.load_state(checkpoint)
    assert (resumed.best_step, kept_step(tmp_path)) == (1, 2)  # it goes on with step 1 and leaves the folder alone
