import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reasoning_grpo.errors import VerifierError
from reasoning_grpo.rewards import verify, workers
from reasoning_grpo.rewards.processes import WorkerKind
from reasoning_grpo.rewards.symbolic import MAX_MEMORY_BYTES, judge
from reasoning_grpo.rewards.workers import Status, run_jobs

FAKE_WORKER = """
import os, sys, time
from reasoning_grpo.rewards.serving import serve


def handle(request):
    if request["do"] == "sleep":
        time.sleep(600)
    if request["do"] == "spin":
        while True: pass
    if request["do"] == "die" or (request["do"] == "die once" and not os.path.exists(request["marker"])):
        if "marker" in request: open(request["marker"], "w").close()
        os._exit(3)
    if request["do"] == "swallow":
        try:
            while True: pass
        except Exception: pass
    if request["do"] == "print":
        print("noise " * 1000, flush=True)
    if request["do"] == "eat":
        return {"length": len(bytearray(2**30))}
    if request["do"] == "recurse":
        handle(request)
    return {"fault": request["fault"]} if "fault" in request else {"pid": os.getpid(), "echo": request["do"]}


serve(lambda: handle, 512 * 2**20)
"""


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Workers that do what the request says, in a pool of their own."""
    (tmp_path / "fake_worker.py").write_text(FAKE_WORKER, encoding="utf-8")
    workers.close()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(workers, "SYMBOLIC", WorkerKind("fake_worker"))
    yield
    workers.close()


def _say(*words: str) -> list[dict[str, Any]]:
    return [{"do": word} for word in words]


@pytest.mark.usefixtures("fake")
def test_replies_come_back_in_order() -> None:
    words = [str(number) for number in range(50)]
    assert [reply.value["echo"] for reply in run_jobs(_say(*words), 10.0)] == words


@pytest.mark.usefixtures("fake")
def test_no_requests_start_no_worker() -> None:
    assert run_jobs([], 10.0) == []
    assert not workers._pool_of(workers.SYMBOLIC)._idle


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize("bomb", ["spin", "swallow"])
def test_a_spinning_item_is_late_and_its_neighbours_are_not(bomb: str) -> None:
    statuses = [reply.status for reply in run_jobs(_say("a", bomb, "b", bomb, "c"), 2.0)]
    assert statuses == [Status.DONE, Status.LATE, Status.DONE, Status.LATE, Status.DONE]


@pytest.mark.usefixtures("fake")
def test_a_sleeping_item_uses_up_its_own_deadline_when_each_has_one() -> None:
    replies = run_jobs(_say("a", "sleep", "b", "sleep", "c"), 0.3, is_deadline_per_item=True)
    assert [reply.status for reply in replies] == [Status.DONE, Status.LATE, Status.DONE, Status.LATE, Status.DONE]


@pytest.mark.usefixtures("fake")
def test_a_batch_of_nothing_but_bombs_ends_at_its_deadline() -> None:
    run_jobs(_say("warm", "up", "both"), 10.0)
    start = time.monotonic()
    replies = run_jobs(_say("spin", "sleep", "spin", "sleep", "sleep", "sleep", "spin"), 1.0)
    assert time.monotonic() - start < 1.5
    assert {reply.status for reply in replies} <= {Status.LATE, Status.STARVED}


@pytest.mark.usefixtures("fake")
def test_an_item_that_never_ran_is_starved_not_late() -> None:
    statuses = [reply.status for reply in run_jobs(_say(*["sleep"] * 12, "a"), 0.2)]
    assert statuses[0] is Status.LATE
    assert statuses[-1] is Status.STARVED


@pytest.mark.usefixtures("fake")
def test_workers_are_replaced_before_they_are_needed() -> None:
    assert run_jobs(_say("sleep"), 0.2)[0].status is Status.LATE
    (worker,) = workers._pool_of(workers.SYMBOLIC)._idle
    assert worker.process.poll() is None
    assert run_jobs(_say("a"), 5.0)[0].value["pid"] == worker.process.pid


@pytest.mark.usefixtures("fake")
def test_a_worker_is_used_again() -> None:
    first, second = (run_jobs(_say("a"), 10.0)[0].value["pid"] for _ in range(2))
    assert first == second


@pytest.mark.usefixtures("fake")
def test_what_a_library_prints_does_not_disturb_the_replies() -> None:
    assert [reply.value["echo"] for reply in run_jobs(_say("print", "a", "print"), 10.0)] == ["print", "a", "print"]


@pytest.mark.usefixtures("fake")
def test_a_request_that_kills_its_worker_is_tried_twice_and_then_a_crash() -> None:
    replies = run_jobs(_say("die", "a"), 10.0)
    assert [reply.status for reply in replies] == [Status.CRASH, Status.DONE]
    assert "twice" in replies[0].detail


@pytest.mark.usefixtures("fake")
def test_a_worker_killed_from_outside_costs_no_verdict(tmp_path: Path) -> None:
    request = {"do": "die once", "marker": str(tmp_path / "died")}
    assert run_jobs([request], 10.0)[0].status is Status.DONE


@pytest.mark.usefixtures("fake")
def test_a_worker_that_died_idle_is_replaced() -> None:
    pid = run_jobs(_say("a"), 10.0)[0].value["pid"]
    os.kill(pid, signal.SIGKILL)
    assert run_jobs(_say("b"), 10.0)[0].value["echo"] == "b"


@pytest.mark.usefixtures("fake")
@pytest.mark.skipif(sys.platform != "linux", reason="address-space limits are reliable on Linux only")
@pytest.mark.parametrize(("word", "status"), [("eat", Status.MEMORY), ("recurse", Status.FAULT)])
def test_faults_are_told_apart_and_the_next_item_is_fine(word: str, status: Status) -> None:
    assert [reply.status for reply in run_jobs(_say(word, "a"), 10.0)] == [status, Status.DONE]


@pytest.mark.usefixtures("fake")
def test_many_threads_share_the_pool() -> None:
    results: dict[int, list[str]] = {}

    def work(number: int) -> None:
        results[number] = [reply.value["echo"] for reply in run_jobs(_say(f"{number}a", f"{number}b"), 10.0)]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {number: [f"{number}a", f"{number}b"] for number in range(8)}


@pytest.mark.usefixtures("fake")
def test_a_worker_outlives_the_thread_that_started_it() -> None:
    pids: list[int] = []
    thread = threading.Thread(target=lambda: pids.append(run_jobs(_say("a"), 10.0)[0].value["pid"]))
    thread.start()
    thread.join()
    assert run_jobs(_say("b"), 10.0)[0].value["pid"] == pids[0]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.usefixtures("fake")
def test_a_forked_child_gets_workers_of_its_own() -> None:
    parents = run_jobs(_say("a"), 10.0)[0].value["pid"]
    child = os.fork()
    if child == 0:
        is_own = run_jobs(_say("a"), 10.0)[0].value["pid"] != parents
        workers.close()
        os._exit(0 if is_own else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert run_jobs(_say("a"), 10.0)[0].value["pid"] == parents


PARENT = """
import threading, time
from reasoning_grpo.rewards import workers
from reasoning_grpo.rewards.processes import WorkerKind
workers.SYMBOLIC = WorkerKind("fake_worker")
print(workers.run_jobs([{{"do": "a"}}], 10.0)[0].value["pid"], flush=True)
threading.Thread(target=workers.run_jobs, args=([{{"do": "{word}"}}], 600.0), daemon=True).start()
time.sleep(0.3)
print("now", flush=True)
time.sleep(600)
"""


@pytest.mark.usefixtures("fake")
@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs pidfd_open (Linux)")
@pytest.mark.parametrize("word", ["a", "spin", "sleep"])
def test_workers_idle_busy_or_asleep_end_with_a_parent_that_is_killed(word: str) -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", PARENT.format(word=word)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env) as parent:
        assert parent.stdout is not None
        worker = os.pidfd_open(int(parent.stdout.readline()))
        assert parent.stdout.readline() == b"now\n"
        parent.kill()
        has_ended, _, _ = select.select([worker], [], [], 20.0)
        os.close(worker)
    assert has_ended


def test_a_worker_that_cannot_start_says_what_to_check(monkeypatch: pytest.MonkeyPatch) -> None:
    workers.close()
    monkeypatch.setattr(workers, "SYMBOLIC", WorkerKind("no_such_module_at_all", remedy="check math-verify"))
    with pytest.raises(VerifierError, match=r"did not start.*math-verify"):
        run_jobs(_say("a"), 1.0)
    monkeypatch.undo()
    workers.close()


@pytest.mark.skipif(sys.platform != "linux", reason="address-space limits are reliable on Linux only")
def test_the_real_worker_runs_under_its_memory_cap() -> None:
    assert run_jobs([{"gold": "x+1", "answer": "1+x"}], 10.0)[0].value["equal"]
    pid = workers._pool_of(workers.SYMBOLIC)._idle[-1].process.pid
    limits = Path(f"/proc/{pid}/limits").read_text(encoding="ascii")
    line = next(line for line in limits.splitlines() if line.startswith("Max address space"))
    assert line.split()[3] == str(MAX_MEMORY_BYTES)


def test_verdicts_are_the_same_off_the_main_thread() -> None:
    verdicts: list[bool] = []
    thread = threading.Thread(target=lambda: verdicts.append(verify("x+2", "<answer>2+x</answer>").passed))
    thread.start()
    thread.join()
    assert verdicts == [True]


def test_the_judge_tells_an_unreadable_gold_from_a_wrong_answer() -> None:
    assert judge("x+1", "x+2") == {"gold_parsed": True, "equal": False}
    assert judge("", "x+2") == {"gold_parsed": False, "equal": False}


def test_importing_the_package_loads_no_heavy_library() -> None:
    heavy = {"torch", "trl", "datasets", "sympy", "math_verify", "scipy", "numpy"}
    code = (
        "import sys, json, reasoning_grpo.rewards, reasoning_grpo.rewards.score; print(json.dumps(list(sys.modules)))"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True)
    assert heavy & set(json.loads(result.stdout)) == set()
