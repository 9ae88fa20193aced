"""Verifiers in a process of their own: what they do wrong is told apart, and never takes the caller with it."""

import time
from pathlib import Path

import pytest

from reasoning_grpo.errors import VerifierError
from reasoning_grpo.rewards.watched import Broken, Call, Judged, WatchedVerifier
from reasoning_grpo.schema import Completion, Outcome, Problem

SOURCE = """
import os, signal, threading, time

def judge(completion, problem, *, low=0.0):
    text = completion.text
    if text == "sleep": time.sleep(60)
    if text == "raise": raise KeyError("x")
    if text == "none": return None
    if text == "die": os._exit(3)
    if text == "exit": raise SystemExit(1)
    if text == "print": print("noise")
    if text == "alarm": signal.signal(signal.SIGALRM, signal.SIG_DFL)
    if text == "low": return low
    return text == problem.answer
"""
PROBLEM = Problem(id="p", question="", answer="42", meta={"path": Path("x")})


@pytest.fixture
def ref(tmp_path: Path) -> str:
    (tmp_path / "mine.py").write_text(SOURCE)
    return f"{tmp_path / 'mine.py'}:judge"


def judged(ref: str, *texts: str, in_thread: bool = False, deadline_seconds: float = 20.0) -> list[Judged]:
    with WatchedVerifier(Call(ref=ref, in_thread=in_thread), deadline_seconds=deadline_seconds) as verifier:
        return list(verifier.judge([(Completion(text=text), PROBLEM) for text in texts]))


def test_verdicts_come_back_in_order(ref: str) -> None:
    results = judged(ref, *(["42", "41"] * 70))  # more than one batch
    assert [result.passed for result in results] == [True, False] * 70


def test_each_way_of_breaking_is_told_apart_and_harms_no_other_call(ref: str) -> None:
    results = judged(ref, "raise", "none", "die", "exit", "print", "42")
    broken = [result.broken for result in results]
    assert broken == [Broken.RAISED, Broken.BAD_VALUE, Broken.DIED, Broken.RAISED, None, None]
    assert "KeyError: 'x'" in results[0].detail
    assert results[5].passed


def test_a_call_that_sleeps_is_ended_at_its_deadline(ref: str) -> None:
    start = time.monotonic()
    slow, right = judged(ref, "sleep", "42", deadline_seconds=2.0)
    assert slow.broken is Broken.LATE
    assert right.passed
    assert time.monotonic() - start < 40.0  # it would sleep for 60 s


def test_signals_work_on_the_main_thread_only(ref: str) -> None:
    assert judged(ref, "alarm")[0].broken is None
    assert judged(ref, "alarm", in_thread=True)[0].broken is Broken.RAISED


def test_options_and_hostile_text_survive_the_way(ref: str) -> None:
    texts = ["\x00", "\ud800", "a" * 1_000_000, "\n", "low"]
    with WatchedVerifier(Call(ref=ref, options={"low": 0.5}), deadline_seconds=20.0) as verifier:
        results = list(verifier.judge([(Completion(text=text), PROBLEM) for text in texts]))
    outcomes = [result.verdict.outcome for result in results if result.verdict is not None]
    assert outcomes == [Outcome.FAIL] * 4 + [Outcome.PARTIAL]


def test_a_verifier_that_cannot_be_loaded_is_a_users_mistake() -> None:
    with pytest.raises(VerifierError, match="did you mean 'accuracy'"):
        judged("acuracy", "42")
