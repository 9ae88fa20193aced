"""The journal of a benchmark, `samples.jsonl`: one row per completion, appended as soon as it is there, never changed.

A row's `key` is the hash of all its completion depends on (`fingerprints.sample_key`). A run that goes on asks only for
the keys that are missing, so nothing is lost, doubled or mixed. A process killed while it writes leaves half a row at
the end: that one is dropped, with a warning, and made again. Half a row elsewhere is other damage, and an error.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from reasoning_grpo import storage
from reasoning_grpo.errors import DataError
from reasoning_grpo.schema import Completion

log = logging.getLogger("reasoning_grpo")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One row. `seconds` is the time since the row before, or since the process began to generate."""

    key: str
    problem_id: str
    sample: int
    completion: Completion
    seconds: float


class Journal:
    """A journal that is open for writing; its folder must be locked by this process."""

    def __init__(self, path: Path) -> None:
        self.samples, whole_size = read_journal(path)
        if path.exists() and path.stat().st_size > whole_size:
            with path.open("r+b") as file:
                file.truncate(whole_size)
        self._writer = storage.JsonlWriter(path)

    def add(self, sample: Sample) -> None:
        """Append one row; it is with the system when this returns."""
        self._writer.write(asdict(sample))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.__exit__(kind, error, trace)


def read_journal(path: Path) -> tuple[dict[str, Sample], int]:
    """Return the samples by key, and the size in bytes of the rows that are whole; no file holds none.

    Raises:
        DataError: a row before the last is broken, or two rows have one key; the message names the line.
    """
    samples: dict[str, Sample] = {}
    if not path.exists():
        return samples, 0
    lines = path.read_bytes().splitlines(keepends=True)
    size = 0
    for number, line in enumerate(lines, start=1):
        try:
            sample = _sample(line)
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            if number == len(lines):
                log.warning(
                    "`%s` ends in half a row (line %d), as after a kill; that sample is made again", path, number
                )
                break
            raise DataError(
                f"`{path}`, line {number}: this is no sample of a benchmark ({error}); delete that line, and the "
                "sample is made again"
            ) from None
        if sample.key in samples:
            raise DataError(
                f"`{path}`, line {number}: problem {sample.problem_id!r} has its sample {sample.sample} a second time; "
                "delete one of the two lines"
            )
        samples[sample.key] = sample
        size += len(line)
    return samples, size


def _sample(line: bytes) -> Sample:
    if not line.endswith(b"\n"):
        raise ValueError("it does not end")
    row: Mapping[str, Any] = json.loads(line)
    return Sample(
        key=_typed(row["key"], str),
        problem_id=_typed(row["problem_id"], str),
        sample=_typed(row["sample"], int),
        completion=Completion(**row["completion"]),
        seconds=float(row["seconds"]),
    )


def _typed(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"{value!r} where a {kind.__name__} belongs")
    return value
