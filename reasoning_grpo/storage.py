"""Files that are whole or not there: atomic JSON and folders, append-only JSONL."""

import contextlib
import dataclasses
import json
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
def replacing_folder(path: Path) -> Iterator[Path]:
    """Yield a scratch folder that takes `path`'s place when the block ends well, and vanishes when it does not."""
    part, old = path.with_name(f".{path.name}.part"), path.with_name(f".{path.name}.old")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield part
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    if path.exists():
        path.rename(old)
    part.rename(path)
    shutil.rmtree(old, ignore_errors=True)


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
            raise UserError(
                f"no folder can be made at `{path}`: {error.strerror}; name another output folder"
            ) from None
        return path
    raise FileExistsError(f"{parent / stem} and 998 numbered folders beside it exist")


class JsonlWriter:
    """Appends rows to a JSONL file and flushes each one, so that a killed run keeps what it wrote."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Model text may hold lone surrogates, which are no UTF-8; json escapes them when it keeps to ASCII.
        self._file = path.open("a", encoding="ascii")

    def write(self, row: Mapping[str, Any]) -> None:
        """Append one row."""
        self._file.write(json.dumps(finite(row), allow_nan=False) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
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
