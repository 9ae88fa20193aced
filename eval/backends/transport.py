"""One JSON request to a server, repeated while the trouble may pass, and never beyond its deadline.

What may pass: no connection, a cut or garbled answer, 408, 409, 425, 429 and every 5xx. Pauses grow exponentially with
jitter, and never below the server's `Retry-After`. All else the server says is final and becomes a UserError with its
words. The deadline counts a request's whole life, pauses included: one that never answers ends at it, one that trickles
at the first byte after it, and none can take twice as long. An answer is read up to `MAX_ANSWER_BYTES`.
"""

import json
import threading
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx2
import tenacity

from reasoning_grpo.errors import RunError, UserError

MAX_ATTEMPTS = 10
MAX_ANSWER_BYTES = 64 * 2**20
MAX_PAUSE_SECONDS = 60.0
CONNECT_SECONDS = 10.0
_PASSING = frozenset({408, 409, 425, 429})
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class _PassingError(Exception):
    """Something that may pass. `pause_seconds` is what the server asked for."""

    def __init__(self, words: str, pause_seconds: float = 0.0) -> None:
        super().__init__(words)
        self.pause_seconds = pause_seconds


class Transport:
    """Talks to one server from any number of threads."""

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str | None = None,
        deadline_seconds: float = 1800.0,
        first_pause_seconds: float = 0.5,
    ) -> None:
        self.base_url = checked_url(base_url)
        self.deadline_seconds = deadline_seconds
        self._first_pause_seconds = first_pause_seconds
        self._closing = threading.Event()
        headers = {"Accept-Encoding": "identity", **({"Authorization": f"Bearer {api_key}"} if api_key else {})}
        # A proxy for the world outside is no way to this machine's own servers.
        is_near = urlsplit(self.base_url).hostname in _LOOPBACK
        # A connection per request: one kept open may be dropped by the server just as it is used again.
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=0)
        self._client = httpx2.Client(headers=headers, trust_env=not is_near, limits=limits, timeout=None)

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Send one request and return the object the server answers with.

        Raises:
            UserError: the server refuses the request.
            RunError: it did not answer properly by the deadline, or in `MAX_ATTEMPTS` tries.
        """
        ends = time.monotonic() + self.deadline_seconds
        pauses = tenacity.wait_exponential_jitter(
            multiplier=self._first_pause_seconds, jitter=self._first_pause_seconds, max=MAX_PAUSE_SECONDS
        )
        attempts = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_PassingError),
            wait=lambda state: max(pauses(state), _asked_pause(state)),
            stop=tenacity.stop_any(
                tenacity.stop_after_attempt(MAX_ATTEMPTS),
                tenacity.stop_before_delay(self.deadline_seconds),
                tenacity.stop_when_event_set(self._closing),
            ),
            sleep=tenacity.sleep_using_event(self._closing),
            reraise=True,
        )
        try:
            return attempts(self._attempt, "POST", path, body, ends)
        except _PassingError as trouble:
            tries = attempts.statistics["attempt_number"]
            raise RunError(
                f"the server at {self.base_url} gave no usable answer in {_times(tries)} ({trouble})"
            ) from trouble

    def check(self) -> None:
        """Ask the server anything once.

        Raises:
            UserError: nothing answers there, or the key is refused.
        """
        try:
            self._attempt("GET", "/models", None, time.monotonic() + min(self.deadline_seconds, CONNECT_SECONDS))
        except _PassingError as trouble:
            raise UserError(
                f"no model server answers at {self.base_url} ({trouble}); start it, or mend `--base-url`, which ends "
                "in `/v1` for most servers"
            ) from trouble
        except _NoListError:
            pass  # not every server has a list of its models

    def close(self) -> None:
        """End what waits and drop every connection."""
        self._closing.set()
        self._client.close()

    def _attempt(self, method: str, path: str, body: Mapping[str, Any] | None, ends: float) -> dict[str, Any]:
        left = ends - time.monotonic()
        if left <= 0:
            raise _PassingError(self._too_late())
        timeout = httpx2.Timeout(left, connect=min(left, CONNECT_SECONDS))
        try:
            with self._client.stream(method, self.base_url + path, json=body, timeout=timeout) as response:
                content = self._read(response, ends)
        except httpx2.TimeoutException as error:
            raise _PassingError(self._too_late() if time.monotonic() >= ends - 0.01 else _words(error)) from error
        except (httpx2.TransportError, httpx2.StreamError) as error:
            raise _PassingError(_words(error)) from error
        except RuntimeError as error:  # the client was closed meanwhile
            raise _PassingError("the run is ending") from error
        if response.status_code != httpx2.codes.OK:
            raise self._refusal(response, content)
        return _object(content)

    def _read(self, response: httpx2.Response, ends: float) -> bytes:
        content = bytearray()
        for chunk in response.iter_bytes():
            content += chunk
            if len(content) > MAX_ANSWER_BYTES:
                raise _PassingError(f"an answer of more than {MAX_ANSWER_BYTES // 2**20} MiB")
            if time.monotonic() > ends:
                raise _PassingError(self._too_late())
        return bytes(content)

    def _refusal(self, response: httpx2.Response, content: bytes) -> Exception:
        status, said = response.status_code, _said(content)
        if status in (401, 403):
            return UserError(
                f"the server at {self.base_url} wants another key (status {status}: {said}); name the environment "
                "variable that holds it with `--api-key-env`"
            )
        if response.request.method == "GET":
            return _NoListError()
        if status in _PASSING or status >= 500:
            return _PassingError(f"status {status}: {said}", _retry_after(response))
        hint = (
            "; `--base-url` ends in `/v1` for most servers, and `--model` is the server's name" if status == 404 else ""
        )
        return UserError(f"the server at {self.base_url} refuses the request (status {status}: {said}){hint}")

    def _too_late(self) -> str:
        return f"no whole answer within {self.deadline_seconds:g} s"


class _NoListError(Exception):
    """The server is there and has no list of its models to show."""


def checked_url(base_url: str) -> str:
    """Return the address without a last slash.

    Raises:
        UserError: it is no http address.
    """
    try:
        parts = urlsplit(base_url)
        is_usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:  # a port that is no number
        is_usable = False
    if not is_usable:
        raise UserError(f"`--base-url` is {base_url!r}; it must be an address such as http://127.0.0.1:8000/v1")
    return base_url.rstrip("/")


def _asked_pause(state: tenacity.RetryCallState) -> float:
    trouble = state.outcome.exception() if state.outcome else None
    return trouble.pause_seconds if isinstance(trouble, _PassingError) else 0.0


def _retry_after(response: httpx2.Response) -> float:
    """Return the seconds the server asks to wait; its other form, a date, is left to our own pauses."""
    text = response.headers.get("retry-after", "")
    return min(float(text), MAX_PAUSE_SECONDS) if text.isascii() and text.isdigit() else 0.0


def _object(content: bytes) -> dict[str, Any]:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        raise _PassingError(f"its answer is no JSON: {_said(content)}") from None
    if not isinstance(value, dict):
        raise _PassingError(f"its answer is a JSON {type(value).__name__}, not an object")
    return value


def _said(content: bytes) -> str:
    """Return the server's words on one line, short, and without what could command a terminal."""
    text = content[:2000].decode("utf-8", "replace")
    return "".join(c if c.isprintable() else " " for c in " ".join(text.split()))[:200] or "no words"


def _words(error: Exception) -> str:
    return str(error).strip().lower() or type(error).__name__


def _times(count: int) -> str:
    return "one try" if count == 1 else f"{count} tries"
