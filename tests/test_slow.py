"""A verifier that does not come back is named while it is still running."""

import logging
import time

import pytest

from reasoning_grpo.rewards import registry
from reasoning_grpo.rewards.registry import call_verifier
from reasoning_grpo.rewards.slow import Watch
from reasoning_grpo.schema import Completion, Problem

COMPLETION = Completion(text="4", num_tokens=1, truncated=False)
PROBLEM = Problem(id="p7", question="2+2?", answer="4", source="", meta={})


def judged_while(seconds: float, caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what has been said when a verifier that takes so long is about to answer."""
    said: list[str] = []

    def sleeps(completion: Completion, problem: Problem) -> bool:
        time.sleep(seconds)
        said.extend(record.getMessage() for record in caplog.records)
        return True

    with caplog.at_level(logging.WARNING, logger="reasoning_grpo"):
        call_verifier(sleeps, COMPLETION, PROBLEM, name="mine.py:sleeps", options={})
    return said


def test_a_verifier_that_hangs_is_named_once_while_it_hangs(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(registry, "watch", Watch(patience=0.1))
    said = judged_while(1.0, caplog)
    assert len(said) == 1
    assert said[0].startswith("verifier 'mine.py:sleeps' on problem 'p7' has not come back for 0 s")
    assert "`isolate = true`" in said[0]


def test_a_verifier_that_answers_is_named_neither_then_nor_later(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(registry, "watch", Watch(patience=0.5))  # it looks every 0.05 s
    assert judged_while(0.15, caplog) == []
    time.sleep(0.7)  # by now a call that was still on its books would be named
    assert caplog.records == []
