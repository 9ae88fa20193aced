"""Files to rows: JSON lines (also gzipped), CSV and Parquet, with the place of each row for error messages.

What a file may do wrong ends in a `DataError` that names the file and the line: not UTF-8, NUL bytes, a line without
end, JSON that is none, a row with more cells than the header. What a column means is `tabular.py`'s business.
"""

import csv
import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from reasoning_grpo.errors import DataError

SUFFIXES = (".jsonl", ".jsonl.gz", ".csv", ".parquet")
# A gzipped file can unfold to one line larger than memory; no problem is anywhere near this long.
MAX_LINE_BYTES = 16 * 2**20


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table.

    `where` names its place for a person ("train.jsonl, line 7"). `json_text` is the line a JSON row came from: it
    alone knows that a number was written `72.0`.
    """

    values: dict[str, Any]
    where: str
    json_text: str | None = None


def is_file_name(name: str) -> bool:
    """Return whether `name` ends as a file that can be read here does."""
    return name.lower().endswith(SUFFIXES)


def stem(path: Path) -> str:
    """Return the file's name without its suffix, `.jsonl.gz` included."""
    return path.name[: -len(next(suffix for suffix in SUFFIXES if path.name.lower().endswith(suffix)))]


def read(path: Path, label: str) -> Iterator[Row]:
    """Yield the rows of `path`, which messages call `label`.

    Raises:
        DataError: The file is missing, unreadable, or malformed; the message names the line.
    """
    if not path.is_file():
        raise DataError(f"there is no file `{label}`; looked for `{path.absolute()}`")
    suffix = path.name.lower()
    try:
        if suffix.endswith(".parquet"):
            yield from _parquet_rows(path, label)
        elif suffix.endswith(".csv"):
            yield from _csv_rows(path, label)
        else:
            yield from _json_rows(path, label)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"cannot read `{label}`: {error}") from error


def _json_rows(path: Path, label: str) -> Iterator[Row]:
    for number, line in _lines(path, label):
        if line.strip():
            where = f"`{label}`, line {number}"
            yield Row(_json_object(line, where), where, line)


def _json_object(line: str, where: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:  # ValueError: bad JSON, or an integer of over 4300 digits
        raise DataError(f"{where} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise DataError(f"{where} is a JSON {type(value).__name__}; every line must be an object of columns")
    return value


def _csv_rows(path: Path, label: str) -> Iterator[Row]:
    reader = csv.DictReader((line for _, line in _lines(path, label)), strict=True)
    try:
        for values in reader:
            where = f"`{label}`, line {reader.line_num}"
            if None in values or None in values.values():
                raise DataError(f"{where} does not have one cell per column; quote cells that hold a comma or a quote")
            yield Row(dict(values), where)
    except csv.Error as error:
        raise DataError(f"`{label}`, line {reader.line_num} is not CSV: {error}") from error


def _parquet_rows(path: Path, label: str) -> Iterator[Row]:
    import pyarrow  # heavy, and only these files need it
    from pyarrow import parquet

    number = 0
    try:
        with parquet.ParquetFile(path) as table:
            for batch in table.iter_batches(batch_size=1024):
                for values in batch.to_pylist():
                    number += 1
                    yield Row(values, f"`{label}`, row {number}")
    except pyarrow.ArrowException as error:
        raise DataError(f"`{label}` is not a Parquet file that can be read: {error}") from error


def _lines(path: Path, label: str) -> Iterator[tuple[int, str]]:
    """Yield numbered lines as text, line ends kept (CSV cells may hold them), without a byte order mark."""
    number = 0
    with _open_bytes(path) as file:
        while line := file.readline(MAX_LINE_BYTES + 1):
            number += 1
            yield number, _decode(line, number, f"`{label}`, line {number}")


def _open_bytes(path: Path) -> BinaryIO | gzip.GzipFile:
    return gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb")


def _decode(line: bytes, number: int, where: str) -> str:
    if len(line) > MAX_LINE_BYTES:
        raise DataError(f"{where} is longer than {MAX_LINE_BYTES // 2**20} MiB; a row must fit on one line")
    if b"\0" in line:
        raise DataError(f"{where} holds a NUL byte; save the file as UTF-8 text")
    try:
        return line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{where} is not UTF-8 ({error.reason} at byte {error.start}); save the file as UTF-8"
        ) from error
