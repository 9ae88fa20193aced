"""Scoring completions as they come: the same verdicts as all at once, and nobody waits for a worker process."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from reasoning_grpo.errors import VerifierError
from reasoning_grpo.rewards import RewardSpec, RewardTerm, workers
from reasoning_grpo.rewards.registry import verifier
from reasoning_grpo.rewards.stream import ScoreStream
from reasoning_grpo.schema import AnswerForm, AnswerFormat, Completion, Outcome, Problem

MINE = """
import pathlib, threading
calls = []

def here(completion, problem):
    if "raise" in completion.text: raise KeyError("mine")
    calls.append((completion.text, threading.current_thread() is threading.main_thread()))
    return len(completion.text) / 100

def apart(completion, problem):
    if "raise" in completion.text: raise KeyError("theirs")
    if "wait" in completion.text: pathlib.Path(problem.question).read_text()  # a pipe somebody else has to open
    return completion.text != "4"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "mine.py").write_text(MINE, encoding="utf-8")
    yield tmp_path
    workers.close()


def term(name: str, *, isolate: bool = False, deadline_seconds: float = 60.0) -> RewardTerm:
    return RewardTerm(name=name, verifier=f"./mine.py:{name}", isolate=isolate, deadline_seconds=deadline_seconds)


def problem(answer: str, question: str = "") -> Problem:
    return Problem(id=f"p {answer}", question=question, answer=answer)


def worker_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("verify-")]


def test_a_stream_gives_the_verdicts_of_all_at_once(folder: Path) -> None:
    terms = (
        RewardTerm(name="accuracy", verifier="accuracy"),
        RewardTerm(name="format", verifier="format", weight=0.5, gated_by="accuracy"),
        term("here"),
        term("apart", isolate=True),
    )
    spec = RewardSpec(terms=terms, answer_format=AnswerFormat(form=AnswerForm.BOXED), base_dir=folder)
    sums, four, empty = problem(r"\sum_{i=1}^n i"), problem("4"), problem("")  # for the worker, here, ungradable
    pairs = [
        (Completion(text=r"So \boxed{\sum_{i=1}^{n} i}"), sums),
        (Completion(text=r"So \boxed{7}"), sums),
        (Completion(text="4"), four),
        (Completion(text=r"\boxed{4}", truncated=True), four),
        (Completion(text="nothing"), four),
        (Completion(text="4"), empty),
    ]
    with ScoreStream(spec) as stream:
        tickets = [stream.submit(*pair) for pair in reversed(pairs)]
        streamed = stream.results(tickets[::-1])
    assert streamed == spec.score_batch([c for c, _ in pairs], [p for _, p in pairs])
    assert [one.verdicts["accuracy"].stage for one in streamed[:3]] == ["symbolic", "symbolic", "text"]
    assert [list(one.verdicts) for one in streamed] == [["accuracy", "format", "here", "apart"]] * 6


def test_a_verifier_of_this_process_is_called_at_once_on_the_callers_thread(folder: Path) -> None:
    spec = RewardSpec(terms=(term("here"),), base_dir=folder)
    calls = spec._load(spec.terms[0]).__globals__["calls"]
    with ScoreStream(spec) as stream:
        stream.submit(Completion(text="a"), problem("1"))
        assert calls == [("a", True)]


def test_nobody_waits_for_a_worker_process(folder: Path) -> None:
    pipe = folder / "pipe"
    os.mkfifo(pipe)
    spec = RewardSpec(terms=(term("apart", isolate=True),), base_dir=folder)
    with ScoreStream(spec) as stream:
        ticket = stream.submit(Completion(text="wait"), problem("4", question=str(pipe)))
        pipe.write_text("go")  # the verifier waits for this; had `submit` waited for the verifier, it would be late
        assert stream.results([ticket])[0].verdicts["apart"].outcome is Outcome.PASS


def test_equal_completions_of_one_problem_are_judged_once(folder: Path) -> None:
    spec = RewardSpec(terms=(term("here"),), base_dir=folder)
    calls = spec._load(spec.terms[0]).__globals__["calls"]
    one, other = problem("1"), problem("1")
    with ScoreStream(spec) as stream:
        tickets = [stream.submit(Completion(text="a"), p) for p in (one, other, one)]
    assert tickets == [0, 1, 0]
    assert len(calls) == 2


def test_a_verifier_that_judges_many_together_is_called_once_in_the_order_of_the_tickets(folder: Path) -> None:
    batches: list[list[str]] = []

    def together(completions: list[Completion], problems: list[Problem]) -> list[bool]:
        batches.append([completion.text for completion in completions])
        return [True] * len(completions)

    @verifier("judge_of_many_for_this_test", batch=together)
    def alone(completion: Completion, problem: Problem) -> bool:
        raise AssertionError("one at a time")

    spec = RewardSpec(terms=(RewardTerm(name="judge", verifier="judge_of_many_for_this_test"),))
    p = problem("1")
    with ScoreStream(spec) as stream:
        tickets = [stream.submit(Completion(text=text), p) for text in "cab"]
        assert batches == []
        stream.results([tickets[1], tickets[2], tickets[0]])
        stream.results(tickets)
    assert batches == [["a", "b", "c"]]


def test_a_verifier_that_raises_is_named_where_it_raised(folder: Path) -> None:
    spec = RewardSpec(terms=(term("here"), term("apart", isolate=True)), base_dir=folder)
    with ScoreStream(spec) as stream, pytest.raises(VerifierError, match=r"mine\.py:here' raised KeyError: 'mine'"):
        stream.submit(Completion(text="raise"), problem("1"))
    assert worker_threads() == []


def test_an_isolated_verifier_that_raises_is_named_with_the_results(folder: Path) -> None:
    spec = RewardSpec(terms=(term("apart", isolate=True),), base_dir=folder)
    with ScoreStream(spec) as stream:
        tickets = [stream.submit(Completion(text=text), problem("1")) for text in ("fine", "raise")]
        with pytest.raises(VerifierError, match=r"mine\.py:apart' raised KeyError: 'theirs'"):
            stream.results(tickets)
    assert worker_threads() == []


def test_leaving_early_ends_what_hangs_and_leaves_no_thread(folder: Path) -> None:
    pipe = folder / "pipe"
    os.mkfifo(pipe)  # nobody writes: the verifier would hang for an hour
    spec = RewardSpec(terms=(term("apart", isolate=True, deadline_seconds=3600.0),), base_dir=folder)
    with pytest.raises(KeyboardInterrupt), ScoreStream(spec) as stream:
        for number in range(20):  # more than there are workers
            stream.submit(Completion(text=f"wait {number}"), problem("4", question=str(pipe)))
        raise KeyboardInterrupt
    assert worker_threads() == []
    with ScoreStream(spec) as stream:  # the workers are of use again
        ticket = stream.submit(Completion(text="fine"), problem("4"))
        assert stream.results([ticket])[0].verdicts["apart"].passed


def test_equal_symbolic_judgements_are_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    run_jobs = workers.run_jobs

    def counted(requests: list[dict[str, str]], *args: float, **options: threading.Event) -> list[workers.Reply]:
        asked.extend(request["answer"] for request in requests)
        return run_jobs(requests, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("reasoning_grpo.rewards.correctness.run_jobs", counted)
    spec = RewardSpec(terms=(RewardTerm(name="accuracy", verifier="accuracy"),))
    gold = problem(r"\sum_{i=1}^n i")
    with ScoreStream(spec) as stream:
        texts = [r"\boxed{x}", r"Hence \boxed{x}", r"\boxed{y}"]
        stream.results([stream.submit(Completion(text=text), gold) for text in texts])
    assert sorted(asked) == ["x", "y"]
