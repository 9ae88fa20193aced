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


def test_work_done_before_counts_as_done_and_not_as_speed(capsys: pytest.CaptureFixture[str]) -> None:
    times = iter([0.0, 20.0, 40.0])
    bar = LogBar(title="work", total=10, done=8, clock=lambda: next(times))
    bar.advance()
    bar.advance()
    # one piece took 20 s, so the tenth takes 20 s more
    assert capsys.readouterr().err.splitlines() == [
        "work: 9/10, 20 s, about 20 s left",
        "work: 10/10, 40 s, about 0 s left",
    ]
