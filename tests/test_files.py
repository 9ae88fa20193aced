import gzip
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from reasoning_grpo.data import files
from reasoning_grpo.errors import DataError


def _read(path: Path) -> list[dict[str, Any]]:
    return [row.values for row in files.read(path, path.name)]


def _written(folder: Path, name: str, content: bytes) -> Path:
    (folder / name).write_bytes(content)
    return folder / name


def test_json_lines_with_byte_order_mark_windows_line_ends_and_blank_lines_are_read(tmp_path: Path) -> None:
    path = _written(tmp_path, "a.jsonl", b'\xef\xbb\xbf{"a": "x"}\r\n\r\n{"a": "y"}\r\n')
    assert _read(path) == [{"a": "x"}, {"a": "y"}]


def test_a_unicode_line_separator_inside_a_string_does_not_end_the_line(tmp_path: Path) -> None:
    # str.splitlines() would cut here; JSON lines end at \n alone.
    path = _written(tmp_path, "a.jsonl", '{"a": "x\u2028y"}\n'.encode())
    assert _read(path) == [{"a": "x\u2028y"}]


def test_malformed_json_names_file_and_line(tmp_path: Path) -> None:
    path = _written(tmp_path, "a.jsonl", b'{"a": 1}\n\n{"a": \n')
    with pytest.raises(DataError, match=r"^`a\.jsonl`, line 3 is not JSON"):
        _read(path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"[1, 2]", "line 1 is a JSON list"),
        (b"3", "line 1 is a JSON int"),
        (b'{"a": "\x00"}', "line 1 holds a NUL byte"),
        (b'{"a": "caf\xe9"}', "line 1 is not UTF-8"),
        (b"[" * 100_000, "line 1 is not JSON"),
        (b'{"a": ' + b"9" * 5000 + b"}", "line 1 is not JSON"),
    ],
    ids=["list", "number", "NUL", "latin-1", "deep nesting", "huge integer"],
)
def test_hostile_json_lines_end_in_a_data_error_that_names_the_line(tmp_path: Path, line: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        _read(_written(tmp_path, "a.jsonl", line + b"\n"))


def test_a_utf_16_file_is_told_to_become_utf_8(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"save the file as UTF-8"):
        _read(_written(tmp_path, "a.jsonl", '{"a": "x"}\n'.encode("utf-16-le")))


def test_a_line_without_end_is_refused_before_it_fills_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MAX_LINE_BYTES", 2**20)
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"a": "' + b"x" * 2**25, compresslevel=1))  # unfolds to 32 MiB
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=r"line 1 is longer than 1 MiB"):
            _read(path)
        assert tracemalloc.get_traced_memory()[1] < 2**23  # the peak stays near the limit
    finally:
        tracemalloc.stop()


def test_gzipped_json_lines_are_read(tmp_path: Path) -> None:
    assert _read(_written(tmp_path, "a.jsonl.gz", gzip.compress(b'{"a": 1}\n'))) == [{"a": 1}]


@pytest.mark.parametrize("content", [b"no gzip", gzip.compress(b'{"a": "some text"}\n' * 9)[:-12]])
def test_a_broken_gzip_file_is_a_data_error(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(DataError, match=r"^cannot read `a\.jsonl\.gz`"):
        _read(_written(tmp_path, "a.jsonl.gz", content))


def test_csv_cells_keep_commas_quotes_line_ends_and_numbers_as_text(tmp_path: Path) -> None:
    path = _written(tmp_path, "a.csv", b'\xef\xbb\xbfquestion,answer\r\n"a, ""b""\r\nc",072.0\r\n')
    assert _read(path) == [{"question": 'a, "b"\r\nc', "answer": "072.0"}]


@pytest.mark.parametrize("line", [b"1,2,3", b"1"], ids=["too many cells", "too few cells"])
def test_a_csv_row_that_does_not_fit_its_header_is_a_data_error(tmp_path: Path, line: bytes) -> None:
    with pytest.raises(DataError, match=r"line 3 does not have one cell per column"):
        _read(_written(tmp_path, "a.csv", b"question,answer\nx,y\n" + line + b"\n"))


def test_an_unclosed_csv_quote_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not CSV"):
        _read(_written(tmp_path, "a.csv", b'question,answer\n"x,y\n'))


def test_parquet_rows_are_read_in_order(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    rows = [{"question": f"q{number}", "answer": number} for number in range(2000)]  # more than one batch
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "a.parquet")
    assert _read(tmp_path / "a.parquet") == rows


def test_a_broken_parquet_file_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"`a\.parquet`"):
        _read(_written(tmp_path, "a.parquet", b"PAR1 but no more than that"))


def test_a_missing_file_is_named_as_it_was_asked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^there is no file `sub/a\.jsonl`; looked for `.*a\.jsonl`"):
        list(files.read(tmp_path / "a.jsonl", "sub/a.jsonl"))


def test_a_json_row_keeps_the_line_it_came_from(tmp_path: Path) -> None:
    line = json.dumps({"a": 72.0})
    (row,) = files.read(_written(tmp_path, "a.jsonl", line.encode()), "a.jsonl")
    assert row.json_text == line


def test_a_stem_has_no_suffix_of_two_parts() -> None:
    assert [files.stem(Path(name)) for name in ("v1.2.jsonl", "x.JSONL.GZ", "y.csv")] == ["v1.2", "x", "y"]
