"""Worker processes with a hard deadline and a memory cap, for computations that can hang or explode.

Each worker is a fresh `python -m reasoning_grpo.rewards.symbolic` (exec, never fork: safe after CUDA and from any
thread) that speaks length-prefixed JSON over its pipes. A worker late for its deadline is killed with SIGKILL and
replaced, so one poisonous item costs its deadline and nothing else. Workers start lazily, are shared by all threads,
are never shared with a forked child, and end with this process: they read EOF when idle and hit a CPU limit when busy.

The deadline counts *computing* time where the system tells it (Linux): on a busy machine an item gets up to
`MAX_WAIT_FACTOR` times its deadline by the clock, because a crowded CPU must not turn right answers into wrong ones.
"""

import atexit
import json
import os
import selectors
import signal
import struct
import subprocess
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import IO, Any

from reasoning_grpo.errors import VerifierError

MAX_WAIT_FACTOR = 4.0
STARTUP_SECONDS = 120.0
_WORKER_MODULE = "reasoning_grpo.rewards.symbolic"
_all_workers: "weakref.WeakSet[Worker]" = weakref.WeakSet()
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}


class Status(StrEnum):
    """How a request ended."""

    DONE = "done"
    LATE = "late"  # killed at its deadline
    MEMORY = "memory"  # ended by its memory cap
    FAULT = "fault"  # nested too deeply, or the library raised
    CRASH = "crash"  # the worker died on it, twice
    STARVED = "starved"  # never ran: the batch's time was spent on others


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of one request; `value` is the worker's answer when DONE, `detail` says what happened otherwise."""

    status: Status
    value: dict[str, Any] = field(default_factory=dict)
    detail: str = ""
    seconds: float | None = None


def run_jobs(requests: Sequence[dict[str, Any]], deadline_seconds: float) -> list[Reply]:
    """Run every request in the workers of this process, in parallel, and return the replies in order."""
    return _shared_pool().run(requests, deadline_seconds)


def close() -> None:
    """End the workers of this process; the next request starts new ones."""
    global _pool
    with _pool_lock:
        pool, _pool = _pool, None
    if pool is not None:
        pool.close()


class Worker:
    """One worker process. Not thread-safe: the pool lends it to one batch at a time."""

    def __init__(self) -> None:
        command = [sys.executable, "-P", "-m", _WORKER_MODULE]
        self.process = subprocess.Popen(
            command,
            bufsize=0,  # no Python buffer that a forked child could flush a second time
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(),
        )
        _all_workers.add(self)
        self._awaits_ready = True
        self._buffer = b""

    @property
    def stdout(self) -> IO[bytes]:
        """The pipe that becomes readable when there is a reply."""
        assert self.process.stdout is not None
        return self.process.stdout

    def wait_until_ready(self) -> None:
        """Wait for the imports, once; raise VerifierError when the worker cannot start at all."""
        if not self._awaits_ready:
            return
        with selectors.DefaultSelector() as selector:
            selector.register(self.stdout, selectors.EVENT_READ)
            reply = self._first_reply(selector)
        if not reply.get("ready"):
            self.kill()
            raise VerifierError(
                f"the grading worker (`{sys.executable} -m {_WORKER_MODULE}`) did not start: "
                f"{reply.get('error', f'it ended with code {self.process.returncode}')}; "
                "check that `math-verify[antlr4_13_2]` is installed in this environment"
            )
        self._awaits_ready = False

    def send(self, request: dict[str, Any]) -> None:
        """Hand over one request; raise OSError when the worker is dead."""
        body = json.dumps(request).encode("ascii")  # ASCII escapes carry lone surrogates and NUL
        message = struct.pack("<I", len(body)) + body
        assert self.process.stdin is not None
        while message:
            message = message[os.write(self.process.stdin.fileno(), message) :]

    def receive(self) -> dict[str, Any] | None:
        """Read what is there; return a whole reply, None while it is incomplete. Raise EOFError on a dead worker."""
        chunk = os.read(self.stdout.fileno(), 1 << 16)
        if not chunk:
            raise EOFError
        self._buffer += chunk
        if len(self._buffer) < 4 or len(self._buffer) < 4 + struct.unpack("<I", self._buffer[:4])[0]:
            return None
        reply: dict[str, Any] = json.loads(self._buffer[4:])
        self._buffer = b""
        return reply

    def kill(self) -> int:
        """End the process now and return its exit code."""
        self.process.kill()
        self.close_pipes()
        return self.process.wait()

    def close_pipes(self) -> None:
        """Close our ends, which tells an idle worker to end."""
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()

    def _first_reply(self, selector: selectors.BaseSelector) -> dict[str, Any]:
        end = time.monotonic() + STARTUP_SECONDS
        while selector.select(max(0.0, end - time.monotonic())):
            try:
                reply = self.receive()
            except EOFError:
                self.process.wait()
                return {}
            if reply is not None:
                return reply
        return {"error": f"it was not ready after {STARTUP_SECONDS:.0f} s"}


@dataclass(slots=True)
class _Running:
    """One request in flight."""

    index: int
    num_tries: int
    started: float
    started_cpu: float | None


class Pool:
    """A few workers that any thread may use; a batch takes what is idle, and at least one."""

    def __init__(self, max_workers: int) -> None:
        self._idle: list[Worker] = []
        self._permits = threading.Semaphore(max_workers)
        self._max_workers = max_workers
        self._lock = threading.Lock()
        self._is_closed = False

    def run(self, requests: Sequence[dict[str, Any]], deadline_seconds: float) -> list[Reply]:
        """Return one reply per request, in order; raise VerifierError only when no worker can be started."""
        if not requests:
            return []
        num_permits = self._take_permits(min(len(requests), self._max_workers))
        try:
            batch = _Batch(self, requests, deadline_seconds)
            return batch.run(num_permits)
        finally:
            self._permits.release(num_permits)

    def lend(self) -> Worker:
        """Return an idle worker that is ready, or a new one."""
        with self._lock:
            worker = self._idle.pop() if self._idle else None
        if worker is not None and worker.process.poll() is not None:
            worker.close_pipes()
            worker = None
        return worker or Worker()

    def take_back(self, worker: Worker) -> None:
        """Keep a worker that is idle for the next batch."""
        with self._lock:
            if not self._is_closed:
                self._idle.append(worker)
                return
        worker.kill()

    def close(self) -> None:
        """End all idle workers."""
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.kill()

    def _take_permits(self, wanted: int) -> int:
        self._permits.acquire()
        taken = 1
        while taken < wanted and self._permits.acquire(blocking=False):
            taken += 1
        return taken


class _Batch:
    """The requests of one call of `Pool.run`, spread over the workers it was lent."""

    def __init__(self, pool: Pool, requests: Sequence[dict[str, Any]], deadline_seconds: float) -> None:
        self._pool = pool
        self._requests = requests
        self._deadline = deadline_seconds
        self._todo = deque((index, 1) for index in range(len(requests)))
        self._running: dict[Worker, _Running] = {}
        self._replies: dict[int, Reply] = {}
        self._selector = selectors.DefaultSelector()

    def run(self, num_workers: int) -> list[Reply]:
        try:
            while self._todo or self._running:
                self._start(num_workers - len(self._running))
                self._wait()
        finally:  # on KeyboardInterrupt too: a worker with a request in flight is of no further use
            for worker in list(self._running):
                self._drop(worker)
            self._selector.close()
        return [self._replies[index] for index in range(len(self._requests))]

    def _start(self, num_free: int) -> None:
        """Start as many workers as there is work for, all at once, and hand each its request when it is ready."""
        workers = [self._pool.lend() for _ in range(min(num_free, len(self._todo)))]
        while workers:
            worker = workers.pop()
            try:
                worker.wait_until_ready()
            except BaseException:
                for other in [worker, *workers]:
                    other.kill()
                raise
            self._send(worker, *self._todo.popleft())

    def _send(self, worker: Worker, index: int, num_tries: int) -> None:
        now, cpu = time.monotonic(), _cpu_seconds(worker.process.pid)
        max_cpu_seconds = self._deadline * MAX_WAIT_FACTOR
        try:
            worker.send({**self._requests[index], "max_cpu_seconds": max_cpu_seconds})
        except OSError:
            worker.kill()  # it died idle: not this request's doing
            self._todo.appendleft((index, num_tries))
            return
        self._running[worker] = _Running(index, num_tries, now, cpu)
        self._selector.register(worker.stdout, selectors.EVENT_READ, worker)

    def _wait(self) -> None:
        """Wait for the next reply or deadline and book it."""
        now = time.monotonic()
        next_check = min((run.started + self._deadline for run in self._running.values()), default=now)
        for key, _ in self._selector.select(min(max(0.0, next_check - now), 1.0) or 0.05):
            self._receive(key.data)
        for worker in [worker for worker, run in self._running.items() if self._is_late(worker, run)]:
            self._finish(worker, Reply(Status.LATE, detail=f"no verdict within {self._deadline:g} s"))
            worker.kill()

    def _receive(self, worker: Worker) -> None:
        try:
            value = worker.receive()
        except EOFError:
            self._crashed(worker)
            return
        if value is None:
            return
        self._finish(worker, _as_reply(value))
        if value.get("fault") == "memory":
            worker.kill()  # its heap is full of what did not fit
        else:
            self._pool.take_back(worker)

    def _crashed(self, worker: Worker) -> None:
        run = self._running.pop(worker)
        self._selector.unregister(worker.stdout)
        code = worker.kill()
        if code == -_signal_number("SIGXCPU"):
            self._replies[run.index] = Reply(Status.LATE, detail="the worker's CPU limit ended it")
        elif run.num_tries < 2:
            self._todo.append((run.index, run.num_tries + 1))  # perhaps the out-of-memory killer, not this request
        else:
            self._replies[run.index] = Reply(Status.CRASH, detail=f"the worker died twice on it (exit code {code})")

    def _finish(self, worker: Worker, reply: Reply) -> None:
        self._replies[self._running.pop(worker).index] = reply
        self._selector.unregister(worker.stdout)

    def _drop(self, worker: Worker) -> None:
        del self._running[worker]
        worker.kill()

    def _is_late(self, worker: Worker, run: _Running) -> bool:
        waited = time.monotonic() - run.started
        if waited < self._deadline:
            return False
        cpu = _cpu_seconds(worker.process.pid)
        if cpu is None or run.started_cpu is None or waited >= self._deadline * MAX_WAIT_FACTOR:
            return True
        return cpu - run.started_cpu >= self._deadline


def _as_reply(value: dict[str, Any]) -> Reply:
    if "fault" not in value:
        return Reply(Status.DONE, value)
    if value["fault"] == "memory":
        return Reply(Status.MEMORY, detail="the worker's memory cap ended it")
    return Reply(Status.FAULT, detail=value["fault"])


_pool: Pool | None = None
_pool_lock = threading.Lock()


def _shared_pool() -> Pool:
    global _pool
    with _pool_lock:
        if _pool is None:
            _pool = Pool(max_workers=max(1, min(8, _num_cpus())))
        return _pool


def _num_cpus() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _environment() -> dict[str, str]:
    """This process's environment with its import path, which may have been changed after the start."""
    path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
    return {**os.environ, **_ONE_THREAD, "PYTHONPATH": path}


def _cpu_seconds(pid: int) -> float | None:
    """CPU time a process has used; None where /proc does not say."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError, ValueError):
        return None


def _signal_number(name: str) -> int:
    return int(getattr(signal, name, 0))


def _forget_in_child() -> None:
    """After a fork: leave the parent's workers alone, and close our copies of their pipes so that they see EOF."""
    global _pool, _pool_lock
    _pool_lock = threading.Lock()  # another thread of the parent may have held it
    _pool = None
    for worker in list(_all_workers):
        worker.close_pipes()
        worker.process.returncode = 0  # not our child: Popen must neither wait for it nor warn
    _all_workers.clear()


atexit.register(close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
