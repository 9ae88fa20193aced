"""A word about a verifier that does not come back.

With `isolate` a verifier has a deadline. Without, it runs in this process, where no thread can be ended from outside:
a run that waits for it looks like one that works. So after a minute it is named, once a call.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Iterator

log = logging.getLogger("reasoning_grpo")

PATIENCE_SECONDS = 60.0


class Watch:
    """Names the calls that last longer than `patience` seconds, from a thread that starts with the first call."""

    def __init__(self, patience: float = PATIENCE_SECONDS) -> None:
        self._patience = patience
        self._calls: dict[int, tuple[float, str]] = {}  # by thread; reading and writing an entry is atomic
        self._thread: threading.Thread | None = None

    @contextlib.contextmanager
    def over(self, call: str) -> Iterator[None]:
        """Watch over a call, named as in "verifier 'x' on problem 'y'", while the block runs."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._look, name="slow-verifiers", daemon=True)
            self._thread.start()
        thread = threading.get_ident()
        self._calls[thread] = (time.monotonic(), call)
        try:
            yield
        finally:
            self._calls.pop(thread, None)

    def _look(self) -> None:
        named: set[tuple[float, str]] = set()
        while True:
            time.sleep(self._patience / 10)
            running = set(self._calls.copy().values())
            for started, call in running - named:
                if time.monotonic() - started >= self._patience:
                    named.add((started, call))
                    log.warning(
                        "%s has not come back for %.0f s and nothing here can end it; if it hangs, stop the run and "
                        "set `isolate = true` with `deadline_seconds` in its reward term",
                        call,
                        self._patience,
                    )
            named &= running


watch = Watch()
