"""Files that are whole or not there: atomic JSON and folders, append-only JSONL, one process per folder."""

import contextlib
import dataclasses
import errno
import json
import logging
import math
import os
import shutil
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from reasoning_grpo.errors import UserError
from reasoning_grpo.schema import Attempt, Completion, Outcome, Verdict

log = logging.getLogger("reasoning_grpo")

# What a write to a full disk, over a quota or over a file size limit says.
DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
LOCK_FILE = ".lock"


def now() -> str:
    """Return the time as ISO 8601 in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def write_json(path: Path, value: Any) -> None:
    """Write JSON through a temporary file: a reader sees the old text or the new one."""
    write_text(path, json.dumps(finite(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def finite(value: Any) -> Any:
    """Return the value with NaN and infinities as None: JSON has no word for them."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    return [finite(item) for item in value] if isinstance(value, (list, tuple)) else value


def write_text(path: Path, text: str) -> None:
    """Write text through a temporary file: a reader sees the old text or the new one."""
    part = path.with_name(f".{path.name}.part")
    with part.open("w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


@contextlib.contextmanager
def replacing_folder(path: Path, *, keep_old_as: Path | None = None) -> Iterator[Path]:
    """Yield a scratch folder that takes `path`'s place when the block ends well, and vanishes when it does not.

    The old folder is deleted, or moved to `keep_old_as`.
    """
    part, old = scratch_folder(path), keep_old_as or path.with_name(f".{path.name}.old")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield part
        sync_tree(part)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    if path.exists():
        shutil.rmtree(old, ignore_errors=True)
        path.rename(old)
    part.rename(path)
    sync_folder(path.parent)
    if keep_old_as is None:
        shutil.rmtree(old, ignore_errors=True)


def scratch_folder(path: Path) -> Path:
    """Return where `replacing_folder` builds what will be `path`."""
    return path.with_name(f".{path.name}.part")


def sync_tree(folder: Path) -> None:
    """Force every file below a folder, and the folders themselves, to the disk: a rename may outrun its content."""
    for path in folder.rglob("*"):
        if path.is_dir():
            sync_folder(path)
        else:
            with path.open("rb") as file:
                os.fsync(file.fileno())
    sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Force a folder's entries to the disk, where the system can."""
    with contextlib.suppress(OSError):  # Windows opens no folders
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder for this process; the lock goes when the process does, however it dies.

    Raises:
        UserError: another process holds it.
    """
    with (folder / LOCK_FILE).open("w") as file:
        try:
            import fcntl

            # A POSIX lock: not inherited by worker processes, which may outlive a killed run for a moment.
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:
            pass  # no such locks on Windows
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                raise UserError(f"another process is working in `{folder}`; wait for it or stop it first") from None
            log.warning("`%s` cannot be locked (%s); start no second process on it", folder, error.strerror)
        yield


def check_output(path: Path, *inputs: Path) -> None:
    """Refuse an output file that is a folder, lies in no folder, or is one of the inputs, before any work is done.

    Raises:
        UserError: with the path and the remedy.
    """
    if path.is_dir() or not path.name:
        raise UserError(f"the output `{path}` is a folder; name a file")
    if not path.absolute().parent.is_dir():
        raise UserError(f"the folder of the output `{path}` does not exist; make it first")
    for source in inputs:
        if path.resolve() == source.resolve():
            raise UserError(f"the output `{path}` is the input too; name another file")


def check_new_folder(parent: Path) -> None:
    """Refuse a place where `new_folder` could make nothing, before any work is done.

    Raises:
        UserError: with the path and the remedy.
    """
    there = next(place for place in (parent.absolute(), *parent.absolute().parents) if os.path.lexists(place))
    if not there.is_dir():
        raise UserError(f"no folder can be made at `{parent}`: `{there}` is no folder; name another one with `--out`")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UserError(
            f"no folder can be made at `{parent}`: `{there}` is not writable; name another one with `--out`"
        )


def new_folder(parent: Path, name: str) -> Path:
    """Make and return `parent/name-<time>`, numbered if two start in one second."""
    stem = f"{name}-{datetime.now().strftime('%Y%m%d-%H%M%S')}"
    for number in range(1, 1000):
        path = parent / (stem if number == 1 else f"{stem}-{number}")
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise UserError(f"no folder at `{path}`: {error.strerror}; name another output folder") from None
        return path
    raise FileExistsError(f"{parent / stem} and 998 numbered folders beside it exist")


class JsonlWriter:
    """Appends rows to a JSONL file, each one handed to the system at once, so that a killed run keeps what it wrote.

    While the disk is full, rows wait in memory and are written with the next one that fits.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._file = path.open("ab", buffering=0)
        self._size = path.stat().st_size
        self._waiting = b""

    @property
    def position(self) -> int:
        """The size in bytes of all rows so far, waiting ones included."""
        return self._size + len(self._waiting)

    def write(self, row: Mapping[str, Any]) -> None:
        """Append one row."""
        already_waiting = bool(self._waiting)
        # Model text may hold lone surrogates, which are no UTF-8; json escapes them when it keeps to ASCII.
        self._waiting += (json.dumps(finite(row), allow_nan=False) + "\n").encode("ascii")
        try:
            self._flush()
        except OSError as error:
            if error.errno not in DISK_FULL:
                raise
            if not already_waiting:
                log.warning("`%s` cannot grow (%s); its rows wait in memory", self._path, error.strerror)

    def rewind(self, position: int) -> None:
        """Forget every row after `position`."""
        if position > self.position:
            log.warning("`%s` is shorter than at its checkpoint; rows are missing from it", self._path)
        elif position > self._size:
            self._waiting = self._waiting[: position - self._size]
        else:
            self._waiting = b""
            self._file.truncate(position)
            self._size = position

    def sync(self) -> None:
        """Force every row to the disk.

        Raises:
            OSError: the disk is full.
        """
        self._flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Write what waits and close the file.

        Raises:
            OSError: the disk is full.
        """
        try:
            self._flush()
        finally:
            self._file.close()

    def _flush(self) -> None:
        try:
            written = 0
            while written < len(self._waiting):
                written += self._file.write(self._waiting[written:])
        except BaseException:
            self._file.truncate(self._size)  # no half rows
            raise
        self._size, self._waiting = self._size + written, b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError) if error else contextlib.nullcontext():  # the first error is the news
            self.close()


def plain(record: Any) -> dict[str, Any]:
    """Return a dataclass as a table that JSON can hold."""
    return dataclasses.asdict(record)


def attempt_row(attempt: Attempt) -> dict[str, Any]:
    """Return the JSONL row of an attempt; `attempt_from_row` reads it back."""
    return plain(attempt)


def attempt_from_row(row: Mapping[str, Any]) -> Attempt:
    """Read an attempt from its JSONL row; further keys are left aside."""
    return Attempt(
        problem_id=row["problem_id"],
        sample=row["sample"],
        completion=Completion(**row["completion"]),
        verdicts={name: Verdict(**{**v, "outcome": Outcome(v["outcome"])}) for name, v in row["verdicts"].items()},
        reward=row["reward"],
    )
