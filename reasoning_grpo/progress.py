"""Progress with time left: a bar in a terminal, a line now and then in a log file. Written to stderr."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

LOG_EVERY_SECONDS = 15.0


class Bar(Protocol):
    """What long work reports to."""

    def advance(self, count: int = 1, note: str = "") -> None:
        """Count work done; `note` is a short current figure shown beside the bar."""


@contextlib.contextmanager
def progress(title: str, total: int, *, done: int = 0, visible: bool = True) -> Iterator[Bar]:
    """Show a bar for `total` pieces of work while the block runs; of several processes one should be visible.

    `done` of them were done before: they count as done, and not in how fast the others go.
    """
    if not visible:
        yield _NoBar()
    elif sys.stderr.isatty():
        with _terminal_bar(title, total, done) as bar:
            yield bar
    else:
        yield LogBar(title=title, total=total, done=done)


@contextlib.contextmanager
def _terminal_bar(title: str, total: int, done: int) -> Iterator[Bar]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as rich_progress:
        task = rich_progress.add_task(title, total=total, completed=done, note="")

        class TerminalBar:
            def advance(self, count: int = 1, note: str = "") -> None:
                fields = {"note": note} if note else {}
                rich_progress.update(task, advance=count, **fields)  # type: ignore[arg-type]

        yield TerminalBar()


class _NoBar:
    def advance(self, count: int = 1, note: str = "") -> None:
        pass


@dataclass(slots=True)
class LogBar:
    """Lines for a log: at most one every `LOG_EVERY_SECONDS`, and the last."""

    title: str
    total: int
    clock: Callable[[], float] = time.monotonic
    done: int = 0
    done_before: int = field(init=False)
    started: float = field(init=False)
    last_line: float = field(init=False)

    def __post_init__(self) -> None:
        self.done_before = self.done
        self.started = self.last_line = self.clock()

    def advance(self, count: int = 1, note: str = "") -> None:
        """Count work done, and write a line when one is due."""
        self.done += count
        now = self.clock()
        if self.done < self.total and now - self.last_line < LOG_EVERY_SECONDS:
            return
        self.last_line = now
        elapsed = now - self.started
        left = elapsed / max(self.done - self.done_before, 1) * (self.total - self.done)
        print(
            f"{self.title}: {self.done}/{self.total}, {elapsed:.0f} s, about {left:.0f} s left{note and ', ' + note}",
            file=sys.stderr,
            flush=True,
        )
