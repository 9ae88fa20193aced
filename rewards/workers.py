"""Worker processes with a hard deadline and a memory cap, for computations that can hang or explode.

Each worker is a fresh `python -m …` (exec, never fork: safe after CUDA and from any thread) that speaks length-prefixed
JSON over its pipes (serving.py). Workers start with the first batch, are shared by all threads, are never shared with a
forked child, and end with this process. One that is killed is replaced at once, before it is needed.

Time. A batch begins when its first worker is ready and ends `deadline_seconds` later, whatever is in it: what still
runs then is killed with SIGKILL. So that a few slow items cost the others nothing, every item first gets
`FIRST_SLICE` of the deadline in CPU time (a busy machine does not shorten it); only those that need more are tried
again, for half the deadline of CPU time, when all have had their turn. An item that ran and did not end is LATE; one
that never got its turn is STARVED, which is nobody's mistake. With `is_deadline_per_item` each item has the deadline by
the clock and the batch takes as long as it takes: for verifiers that wait rather than compute.
"""

import atexit
import os
import selectors
import signal
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from reasoning_grpo.rewards.processes import Worker, WorkerKind, disown_all

STARTUP_SECONDS = 120.0
FIRST_SLICE = 0.05


class CancelledError(Exception):
    """The caller no longer wants the replies."""


class Status(StrEnum):
    """How a request ended."""

    DONE = "done"
    LATE = "late"  # killed at its deadline, or out of CPU time
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


SYMBOLIC = WorkerKind(
    "reasoning_grpo.rewards.symbolic", remedy="check that `math-verify[antlr4_13_2]` is installed in this environment"
)


def run_jobs(
    requests: Sequence[dict[str, Any]],
    deadline_seconds: float,
    *,
    kind: WorkerKind | None = None,
    is_deadline_per_item: bool = False,
    cancelled: threading.Event | None = None,
) -> list[Reply]:
    """Run every request in workers of this process, in parallel, and return the replies in order.

    Another thread may set `cancelled`: within a second the busy workers are killed and CancelledError is raised.
    """
    if not requests:
        return []
    return _pool_of(kind or SYMBOLIC).run(requests, deadline_seconds, is_deadline_per_item, cancelled)


def max_workers() -> int:
    """Return how many workers of one kind this process may have: what runs beyond that only waits for them."""
    return max(1, min(8, _num_cpus()))


def close() -> None:
    """End the workers of this process; the next request starts new ones."""
    with _pool_lock:
        pools = list(_pools.values())
        _pools.clear()
    for pool in pools:
        pool.close()


class Pool:
    """A few workers of one kind that any thread may use; a batch takes what is free, and at least one."""

    def __init__(self, kind: WorkerKind, max_workers: int) -> None:
        self._kind = kind
        self._idle: list[Worker] = []
        self._permits = threading.Semaphore(max_workers)
        self._max_workers = max_workers
        self._lock = threading.Lock()
        self._is_closed = False

    def run(
        self,
        requests: Sequence[dict[str, Any]],
        deadline: float,
        is_deadline_per_item: bool,
        cancelled: threading.Event | None = None,
    ) -> list[Reply]:
        """Return one reply per request, in order; raise VerifierError only when no worker can be started."""
        num_permits = self._take_permits(min(len(requests), self._max_workers))
        try:
            return _Batch(self, requests, deadline, is_deadline_per_item).run(num_permits, cancelled)
        finally:
            self._permits.release(num_permits)

    def lend(self) -> Worker:
        """Return a worker that is idle or starting, or a new one."""
        with self._lock:
            worker = self._idle.pop() if self._idle else None
        if worker is not None and worker.process.poll() is not None:
            worker.close_pipes()
            worker = None
        return worker or Worker(self._kind)

    def take_back(self, worker: Worker) -> None:
        """Keep a worker that is idle or starting for the next batch."""
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


@dataclass(slots=True)
class _Job:
    """One request and how often it was tried."""

    index: int
    num_slices: int = 0
    num_crashes: int = 0
    started: float = 0.0
    spent: float = 0.0


class _Batch:
    """The requests of one call of `Pool.run`, spread over the workers it was lent.

    `_workers` are all that are lent, ready or starting; `_running` says what the busy ones do.
    """

    def __init__(self, pool: Pool, requests: Sequence[dict[str, Any]], deadline: float, is_per_item: bool) -> None:
        self._pool = pool
        self._requests = requests
        self._deadline = deadline
        self._is_per_item = is_per_item
        self._todo = deque(_Job(index) for index in range(len(requests)))
        self._workers: set[Worker] = set()
        self._running: dict[Worker, _Job] = {}
        self._replies: dict[int, Reply] = {}
        self._selector = selectors.DefaultSelector()
        self._late = f"no verdict within {deadline:g} s"  # one text, however it ran out of time: verdicts are compared
        self._end = float("inf")  # of the batch; set when the first worker is ready

    def run(self, num_workers: int, cancelled: threading.Event | None) -> list[Reply]:
        try:
            for _ in range(num_workers):
                self._enlist()
            while self._todo or self._running:
                if cancelled is not None and cancelled.is_set():
                    raise CancelledError
                self._assign()
                self._wait()
                if not self._is_per_item and time.monotonic() >= self._end:
                    self._stop_all()
        finally:  # on KeyboardInterrupt too: a worker with a request in flight is of no further use
            self._hand_back()
        return [self._replies[index] for index in range(len(self._requests))]

    def _enlist(self) -> None:
        worker = self._pool.lend()
        self._workers.add(worker)
        self._selector.register(worker.stdout, selectors.EVENT_READ, worker)
        if worker.is_ready:
            self._begin()

    def _begin(self) -> None:
        self._end = min(self._end, time.monotonic() + self._deadline)

    def _assign(self) -> None:
        """Give every free worker something to do."""
        free = [worker for worker in self._workers if worker.is_ready and worker not in self._running]
        for worker in free[: len(self._todo)]:
            self._send(worker, self._todo.popleft())

    def _send(self, worker: Worker, job: _Job) -> None:
        share = 2.0 if self._is_per_item else FIRST_SLICE if job.num_slices == 0 else 0.5
        try:
            worker.send({**self._requests[job.index], "cpu_seconds": share * self._deadline})
        except OSError:
            self._todo.appendleft(job)  # it died idle: not this request's doing
            self._replace(worker)
            return
        job.started = time.monotonic()
        job.num_slices += 1
        self._running[worker] = job

    def _wait(self) -> None:
        """Wait for the next message or deadline and book it."""
        now = time.monotonic()
        item_ends = [job.started + self._deadline for job in self._running.values()]
        for key, _ in self._selector.select(max(0.0, min([self._end, now + 1.0, *item_ends]) - now)):
            self._receive(key.data)
        now = time.monotonic()
        for worker, job in list(self._running.items()):
            if now - job.started >= self._deadline:
                self._finish(worker, Status.LATE, self._late)
                self._replace(worker)
        for worker in [w for w in self._workers if not w.is_ready and now - w.started > STARTUP_SECONDS]:
            self._forget(worker)
            raise worker.start_error(f"it was not ready after {STARTUP_SECONDS:.0f} s")

    def _receive(self, worker: Worker) -> None:
        try:
            value = worker.receive()
        except EOFError:
            self._died(worker)
            return
        if value is None:
            return
        if not worker.is_ready:
            worker.become_ready(value)
            self._begin()
        else:
            self._book(worker, value)

    def _book(self, worker: Worker, value: dict[str, Any]) -> None:
        fault = value.get("fault")
        if fault is None:
            self._finish(worker, Status.DONE, "", value)
        elif fault == "memory":
            self._finish(worker, Status.MEMORY, "the worker's memory cap ended it")
            self._replace(worker)  # its heap is full of what did not fit
        elif fault != "time":
            self._finish(worker, Status.FAULT, fault)
        elif self._running[worker].num_slices == 1 and not self._is_per_item:
            self._todo.append(self._paused(worker))
        else:
            self._finish(worker, Status.LATE, self._late)

    def _paused(self, worker: Worker) -> _Job:
        job = self._running.pop(worker)
        job.spent += time.monotonic() - job.started
        return job

    def _died(self, worker: Worker) -> None:
        if worker not in self._running:
            self._forget(worker)
            if not worker.is_ready:
                raise worker.start_error("")
            worker.kill()
            self._enlist()
            return
        job = self._running[worker]
        code = self._replace(worker)
        if code == -int(getattr(signal, "SIGXCPU", 0)):
            self._finish(worker, Status.LATE, self._late)
        elif job.num_crashes == 0:
            job.num_crashes += 1  # perhaps the out-of-memory killer, not this request
            self._todo.append(self._paused(worker))
        else:
            self._finish(worker, Status.CRASH, f"the worker died twice on it (exit code {code})")

    def _finish(self, worker: Worker, status: Status, detail: str, value: dict[str, Any] | None = None) -> None:
        job = self._paused(worker)
        self._replies[job.index] = Reply(status, value or {}, detail, job.spent)

    def _replace(self, worker: Worker) -> int:
        self._forget(worker)
        code = worker.kill()
        self._enlist()
        return code

    def _forget(self, worker: Worker) -> None:
        self._workers.discard(worker)
        self._selector.unregister(worker.stdout)

    def _stop_all(self) -> None:
        """End the batch: its time is over."""
        for worker in list(self._running):
            self._finish(worker, Status.LATE, self._late)
            self._replace(worker)
        while self._todo:
            job = self._todo.popleft()
            status = Status.LATE if job.num_slices else Status.STARVED
            self._replies[job.index] = Reply(status, {}, self._late, job.spent)

    def _hand_back(self) -> None:
        for worker in self._workers:
            if worker in self._running:
                worker.kill()
            elif worker.process.returncode is None:
                self._pool.take_back(worker)
        self._selector.close()


_pools: dict[WorkerKind, Pool] = {}
_pool_lock = threading.Lock()


def _pool_of(kind: WorkerKind) -> Pool:
    with _pool_lock:
        if kind not in _pools:
            _pools[kind] = Pool(kind, max_workers=max_workers())
        return _pools[kind]


def _num_cpus() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _forget_in_child() -> None:
    """After a fork: leave the parent's workers alone."""
    global _pool_lock
    _pool_lock = threading.Lock()  # another thread of the parent may have held it
    _pools.clear()
    disown_all()


atexit.register(close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
