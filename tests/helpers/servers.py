"""Servers of OpenAI's protocol on the loopback interface, for tests: one that does as it is told, one that is real."""

import contextlib
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Behave = Callable[["Handler"], None]
QUICK_SECONDS = 0.05


class Scripted(ThreadingHTTPServer):
    """Does for its n-th request what the n-th entry of `script` says, and for all further ones what `then` says."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, script: list[Behave], then: Behave, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.script, self.then = list(script), then
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.guard, self.over = threading.Lock(), threading.Event()
        self.num_open = self.most_open = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up is no news."""


class Handler(BaseHTTPRequestHandler):
    server: Scripted

    def do_GET(self) -> None:
        self.answer(404, b"{}")

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.guard:
            self.server.bodies.append(body)
            self.server.headers.append({name.lower(): value for name, value in self.headers.items()})
            behave = self.server.script.pop(0) if self.server.script else self.server.then
            self.server.num_open += 1
            self.server.most_open = max(self.server.most_open, self.server.num_open)
        try:
            behave(self)
        finally:
            with self.server.guard:
                self.server.num_open -= 1

    def answer(self, status: int, content: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: Any) -> None:
        """Keep the test's output clean."""


def says(text: str, **changes: Any) -> Behave:
    """Answer properly; `changes` go into the choice, those of `message` into the message, `usage` beside it."""
    usage = changes.pop("usage", {"completion_tokens": 7})
    message = {"role": "assistant", "content": text, **changes.pop("message", {})}
    answer = {"choices": [{"text": text, "message": message, "finish_reason": "stop", **changes}], "usage": usage}
    return lambda handler: handler.answer(200, json.dumps(answer).encode())


def status(code: int, words: str = "trouble", **headers: str) -> Behave:
    return lambda handler: handler.answer(code, words.encode(), **headers)


def garbage(handler: Handler) -> None:
    handler.answer(200, b"<html>not what you think</html>")


def cut(handler: Handler) -> None:
    """Promise more than is sent, and hang up."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"choices": [{"te')
    handler.close_connection = True


def slow(text: str) -> Behave:
    def behave(handler: Handler) -> None:
        time.sleep(QUICK_SECONDS)
        says(text)(handler)

    return behave


def never(handler: Handler) -> None:
    handler.server.over.wait(30)


def trickle(handler: Handler) -> None:
    """Send a byte now and then, for ever."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    with contextlib.suppress(OSError):
        while not handler.server.over.wait(QUICK_SECONDS):
            handler.wfile.write(b" ")


@contextlib.contextmanager
def scripted(*script: Behave, then: Behave | None = None, port: int = 0) -> Iterator[Scripted]:
    server = Scripted(list(script), then or says("\\boxed{1}"), port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def transformers_serve(model: Path, log: Path) -> Iterator[str]:
    """Run `transformers serve` on a port of the system's choice and yield its address."""
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", str(model)]
    with log.open("w") as output:
        process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", "0", "--log-level", "info"], stdout=output, stderr=output
        )
        try:
            yield _address(process, log) + "/v1"
        finally:
            process.kill()
            process.wait()


def _address(process: "subprocess.Popen[bytes]", log: Path) -> str:
    ends = time.monotonic() + 120
    while time.monotonic() < ends and process.poll() is None:
        if found := re.search(r"running on (http://127\.0\.0\.1:\d+)", log.read_text()):
            return found[1]
        time.sleep(0.2)
    raise AssertionError(f"transformers serve did not start: {log.read_text()[-2000:]}")
