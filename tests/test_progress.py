"""Progress in a log: few lines, each with the time left."""

import pytest

from reasoning_grpo.progress import LogBar


def test_a_log_gets_a_line_now_and_then_and_one_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    times = iter([0.0, 10.0, 20.0, 25.0, 40.0])  # the start, then one per piece
    bar = LogBar(title="work", total=4, clock=lambda: next(times))
    for number in range(4):
        bar.advance(1, f"note {number}")
    # at 20 s two of four are done: 20 s left; 25 s is too soon after; the last piece always gets its line
    assert capsys.readouterr().err.splitlines() == [
        "work: 2/4, 20 s, about 20 s left, note 1",
        "work: 4/4, 40 s, about 0 s left, note 3",
    ]


def test_the_time_left_of_a_resumed_run_is_reckoned_from_its_own_work(capsys: pytest.CaptureFixture[str]) -> None:
    times = iter([0.0, 20.0])
    LogBar(title="training", total=100, done=90, clock=lambda: next(times)).advance()
    # 20 s for one step and 9 to go; reckoned from all 91 it would be 2 s
    assert capsys.readouterr().err == "training: 91/100, 20 s, about 180 s left\n"
