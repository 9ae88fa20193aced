import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from reasoning_grpo.errors import VerifierError
from reasoning_grpo.rewards import RewardSpec, RewardTerm, workers
from reasoning_grpo.schema import AnswerForm, AnswerFormat, Completion, Outcome, Problem

MINE = """
import os, time
from reasoning_grpo.schema import Outcome, Verdict

def length(completion, problem, *, limit=10, answer_format=None):
    if "hang" in completion.text: time.sleep(600)
    if "die" in completion.text: os._exit(3)
    if "raise" in completion.text: raise KeyError("mine")
    if answer_format is not None and answer_format.form.value == "hash": return 0.5
    if len(completion.text) > limit: return False
    return Verdict(score=1.0, outcome=Outcome.PASS, detail=f"{os.getpid()} {problem.meta.get('a')}")
"""
PROBLEM = Problem(id="p1", question="", answer="", meta={"a": [1, 2]})


@pytest.fixture
def spec(tmp_path: Path) -> RewardSpec:
    (tmp_path / "mine.py").write_text(MINE, encoding="utf-8")
    term = RewardTerm(name="mine", verifier="./mine.py:length", isolate=True, deadline_seconds=0.5)
    return RewardSpec(terms=(term,), base_dir=tmp_path)


def _outcomes(spec: RewardSpec, *texts: str) -> list[Outcome]:
    scored = spec.score_batch([Completion(text=text) for text in texts], [PROBLEM] * len(texts))
    return [each.verdicts["mine"].outcome for each in scored]


def test_an_isolated_verifier_runs_in_another_process_and_gives_the_same_verdict(spec: RewardSpec) -> None:
    verdict = spec.score(Completion(text="short"), PROBLEM).verdicts["mine"]
    assert verdict.passed
    pid, _, meta = verdict.detail.partition(" ")
    assert (pid.isdigit(), meta) == (True, "[1, 2]")
    assert spec.score(Completion(text="a text of more than ten"), PROBLEM).reward == 0.0


def test_one_that_hangs_is_a_timeout_and_the_others_are_judged(spec: RewardSpec) -> None:
    start = time.monotonic()
    assert _outcomes(spec, "a", "hang", "b") == [Outcome.PASS, Outcome.TIMEOUT, Outcome.PASS]
    assert time.monotonic() - start < 30.0  # it would hang for ten minutes


def test_one_that_dies_twice_is_ungradable_and_the_others_are_judged(spec: RewardSpec) -> None:
    assert _outcomes(spec, "a", "die", "b") == [Outcome.PASS, Outcome.UNGRADABLE, Outcome.PASS]


def test_one_that_raises_is_the_same_error_as_without_isolation(spec: RewardSpec) -> None:
    plain = RewardSpec(terms=(dataclasses.replace(spec.terms[0], isolate=False),), base_dir=spec.base_dir)
    messages = []
    for each in (spec, plain):
        with pytest.raises(VerifierError, match=r"KeyError: 'mine'.*on problem 'p1'") as raised:
            each.score(Completion(text="raise"), PROBLEM)
        messages.append(str(raised.value))
    assert messages[0] == messages[1]


def test_options_and_the_answer_format_arrive(spec: RewardSpec) -> None:
    term = dataclasses.replace(spec.terms[0], options={"limit": 3})
    assert RewardSpec(terms=(term,), base_dir=spec.base_dir).score(Completion(text="four"), PROBLEM).reward == 0.0
    hashed = dataclasses.replace(spec, answer_format=AnswerFormat(form=AnswerForm.HASH))
    assert hashed.score(Completion(text="four"), PROBLEM).reward == 0.5


def test_what_json_does_not_know_is_refused_with_a_remedy(spec: RewardSpec) -> None:
    problem = Problem(id="p2", question="", answer="", meta={"a": {1, 2}})
    with pytest.raises(VerifierError, match=r"'p2'.*keep `meta` and options to what JSON knows"):
        spec.score(Completion(text="a"), problem)


def test_a_reference_that_cannot_be_loaded_says_so(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def length(c, p): return 1\n", encoding="utf-8")
    term = RewardTerm(name="mine", verifier="./mine.py:length", isolate=True)
    spec = RewardSpec(terms=(term,), base_dir=tmp_path)
    spec.check()
    (tmp_path / "mine.py").unlink()
    with pytest.raises(VerifierError, match=r"did not start.*there is no file"):
        spec.score(Completion(text="a"), PROBLEM)


def test_a_deadline_must_be_positive() -> None:
    with pytest.raises(VerifierError, match="make it positive"):
        RewardTerm(name="mine", verifier="accuracy", isolate=True, deadline_seconds=0.0)


@pytest.fixture(autouse=True, scope="module")
def _close_workers() -> Iterator[None]:
    yield
    workers.close()
