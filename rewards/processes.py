"""One worker process and its pipes; which of them works on what is decided in workers.py."""

import json
import os
import struct
import subprocess
import sys
import time
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from reasoning_grpo.errors import VerifierError

_all_workers: "weakref.WeakSet[Worker]" = weakref.WeakSet()
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}


@dataclass(frozen=True, slots=True)
class WorkerKind:
    """What a worker runs: a module and its arguments."""

    module: str
    arguments: tuple[str, ...] = ()
    remedy: str = ""  # what to tell a user when it does not start


class Worker:
    """One worker process. Not thread-safe: the pool lends it to one batch at a time."""

    def __init__(self, kind: WorkerKind) -> None:
        self.kind = kind
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", kind.module, *kind.arguments],
            bufsize=0,  # no Python buffer that a forked child could flush a second time
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(),
        )
        _all_workers.add(self)
        self.is_ready = False
        self.started = time.monotonic()
        self._buffer = b""

    @property
    def stdout(self) -> IO[bytes]:
        """The pipe that becomes readable when there is a reply."""
        assert self.process.stdout is not None
        return self.process.stdout

    def become_ready(self, reply: dict[str, Any]) -> None:
        """Take note of the first message; raise VerifierError when the worker cannot start at all."""
        if not reply.get("ready"):
            raise self.start_error(reply.get("error", ""))
        self.is_ready = True

    def start_error(self, cause: str) -> VerifierError:
        """Kill the process and return what to tell the user."""
        code = self.kill()
        return VerifierError(
            f"the worker `{sys.executable} -m {' '.join([self.kind.module, *self.kind.arguments])}` did not start: "
            f"{cause or f'it ended with code {code}'}" + (f"; {self.kind.remedy}" if self.kind.remedy else "")
        )

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
        """Close our ends, which tells the worker to end."""
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


def disown_all() -> None:
    """After a fork: close our copies of the parent's pipes, so that its workers see their end."""
    for worker in list(_all_workers):
        worker.close_pipes()
        worker.process.returncode = 0  # not our child: Popen must neither wait for it nor warn
    _all_workers.clear()


def _environment() -> dict[str, str]:
    """This process's environment with its import path, which may have been changed after the start."""
    path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
    return {**os.environ, **_ONE_THREAD, "PYTHONPATH": path}
