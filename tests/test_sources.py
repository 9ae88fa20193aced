import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from reasoning_grpo.data import DataSource, fingerprint, load_problems
from reasoning_grpo.errors import DataError
from reasoning_grpo.schema import Problem

needs_real_data = pytest.mark.skipif(
    not os.environ.get("REASONING_GRPO_DATA"), reason="REASONING_GRPO_DATA names no folder of real problems"
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty `REASONING_GRPO_DATA`."""
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("REASONING_GRPO_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REASONING_GRPO_DATA", raising=False)


def _write(path: Path, *rows: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def _rows(count: int) -> list[dict[str, Any]]:
    return [{"id": f"p{number}", "question": f"q{number}", "answer": str(number)} for number in range(count)]


def _ids(path: Path, **options: Any) -> list[str]:
    source = DataSource(name=path.name, **options)
    return [problem.id for problem in load_problems(source, path.parent).problems]


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = ("torch", "datasets", "trl", "transformers", "pyarrow", "numpy", "jinja2", "reasoning_gym")
    check = f"import sys, reasoning_grpo.data; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_file_is_found_from_the_base_folder_and_described_as_it_was_named(tmp_path: Path) -> None:
    _write(tmp_path / "sub" / "a.jsonl", {"question": "1 + 1?", "answer": 2})
    loaded = load_problems(DataSource(name="sub/a.jsonl"), tmp_path)
    assert loaded.problems == (Problem(id="a/0", question="1 + 1?", answer="2", source="a.jsonl"),)
    assert (loaded.origin, loaded.num_dropped_empty) == ("file sub/a.jsonl", 0)


def test_the_split_replaces_its_placeholder_in_a_path(tmp_path: Path) -> None:
    _write(tmp_path / "test.jsonl", {"question": "q", "answer": "1"})
    loaded = load_problems(DataSource(name="{split}.jsonl", split="test"), tmp_path)
    assert (loaded.origin, loaded.problems[0].id) == ("file test.jsonl", "test/0")


def test_golds_of_whitespace_and_null_are_dropped_and_counted(tmp_path: Path) -> None:
    answers = ["1", " \n", None, "0"]
    _write(tmp_path / "a.jsonl", *({"question": "q", "answer": answer} for answer in answers))
    loaded = load_problems(DataSource(name="a.jsonl"), tmp_path)
    assert [problem.id for problem in loaded.problems] == ["a/0", "a/3"]  # rows keep their numbers
    assert loaded.num_dropped_empty == 2


def test_a_limit_takes_the_first_problems_and_reads_no_further(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    _write(path, *_rows(3))
    with path.open("a", encoding="utf-8") as file:
        file.write("not JSON\n")
    assert _ids(path, limit=3) == ["p0", "p1", "p2"]
    with pytest.raises(DataError, match="line 4 is not JSON"):
        _ids(path)


def test_a_limit_counts_problems_with_a_gold(tmp_path: Path) -> None:
    _write(tmp_path / "a.jsonl", {"id": "x", "question": "q", "answer": ""}, *_rows(3))
    assert _ids(tmp_path / "a.jsonl", limit=2) == ["p0", "p1"]


def test_a_shuffle_is_asked_for_and_follows_the_seed(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    _write(path, *_rows(30))
    shuffle = {"shuffle": True}
    first = _ids(path, limit=10, options=shuffle)
    assert first == _ids(path, options=shuffle)[:10]  # a smaller limit takes fewer of the same
    assert first not in (_ids(path, limit=10), _ids(path, limit=10, options=shuffle, seed=1))
    assert sorted(_ids(path, options=shuffle)) == sorted(_ids(path))


def test_the_order_of_a_shuffle_is_the_order_of_seeded_hashes(tmp_path: Path) -> None:
    _write(tmp_path / "a.jsonl", *_rows(4))
    expected = sorted(("p0", "p1", "p2", "p3"), key=lambda name: hashlib.sha256(f"7\n{name}".encode()).hexdigest())
    assert _ids(tmp_path / "a.jsonl", options={"shuffle": True}, seed=7) == expected


def test_two_problems_with_one_id_are_an_error_and_rows_can_be_numbered_instead(tmp_path: Path) -> None:
    _write(tmp_path / "a.jsonl", *_rows(2), *_rows(1))
    with pytest.raises(DataError, match=r"two problems in file a\.jsonl have the id 'p0'"):
        _ids(tmp_path / "a.jsonl")
    assert _ids(tmp_path / "a.jsonl", id_column="") == ["a/0", "a/1", "a/2"]


@pytest.mark.parametrize(
    ("rows", "why"), [([], "it holds no rows"), ([{"question": "q", "answer": ""}], "none of its 1 rows has an answer")]
)
def test_nothing_left_to_load_is_a_data_error(tmp_path: Path, rows: list[dict[str, Any]], why: str) -> None:
    _write(tmp_path / "a.jsonl", *rows)
    with pytest.raises(DataError, match=rf"^there are no problems in file a\.jsonl: {why}$"):
        load_problems(DataSource(name="a.jsonl"), tmp_path)


def test_a_fingerprint_is_the_hash_of_ids_questions_and_answers() -> None:
    problem = Problem(id="a", question="q", answer="é", meta={"any": 1})
    written = b'["a", "q", "\\u00e9"]\n'  # one JSON list a line
    assert fingerprint([problem, problem]) == hashlib.sha256(written + written).hexdigest()


def test_a_fingerprint_moves_with_any_text_and_the_order() -> None:
    one, other = Problem(id="a", question="q", answer="1"), Problem(id="b", question="q", answer="1")
    edited = Problem(id="a", question="q", answer="1 ")
    prints = {fingerprint(problems) for problems in ([one, other], [other, one], [one], [edited, other])}
    assert len(prints) == 4


@pytest.mark.usefixtures("unset")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gsm9k", r"^unknown source 'gsm9k'; did you mean 'gsm8k'\?"),
        ("gsm8k:train", r"name 'gsm8k' and the split apart, `split = \"train\"` in a file, `--train-split train` for"),
        ("a/b/c", "a hub dataset is `org/name`"),
        ("./a.txt", r"a file ends in \.jsonl"),
        ("../../etc", "unknown source"),
        ("", "unknown source ''"),
        ("missing.jsonl", "there is no file `missing.jsonl`"),
    ],
)
def test_a_name_that_means_nothing_is_a_data_error(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        load_problems(DataSource(name=name), tmp_path)


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_below_one_is_a_data_error(limit: int) -> None:
    with pytest.raises(DataError, match=f"`limit` of 'gsm8k' is {limit}"):
        DataSource(name="gsm8k", limit=limit)


def test_an_option_nobody_reads_is_a_data_error(tmp_path: Path) -> None:
    _write(tmp_path / "a.jsonl", *_rows(1))
    with pytest.raises(DataError, match=r"'a\.jsonl' has no option 'shufle'; did you mean 'shuffle'"):
        load_problems(DataSource(name="a.jsonl", options={"shufle": True}), tmp_path)


def test_columns_cannot_be_named_for_a_source_whose_columns_are_fixed() -> None:
    with pytest.raises(DataError, match="`answer_column` means nothing for 'gsm8k'"):
        load_problems(DataSource(name="gsm8k", answer_column="solution"))


def test_arithmetic_is_made_on_the_spot() -> None:
    loaded = load_problems(DataSource(name="arithmetic", split="test", limit=3, seed=5))
    assert (len(loaded.problems), loaded.origin) == (3, "arithmetic test seed 5")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (DataSource(name="arithmetic", options={"max_totl": 9}), "no option 'max_totl'; did you mean 'max_total'"),
        (DataSource(name="arithmetic", options={"max_total": 0}), "`arithmetic` cannot make these problems"),
        (DataSource(name="arithmetic", split="dev"), "unknown split 'dev'"),
    ],
)
def test_arithmetic_that_cannot_be_made_is_a_data_error(source: DataSource, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_problems(source)


def test_a_folder_of_ones_own_wins_over_the_hub(folder: Path) -> None:
    row = {"id": "x", "problem": "1 + 1?", "answer": "2", "source": "school", "level": 1}
    _write(folder / "gsm8k" / "train.jsonl", row)
    loaded = load_problems(DataSource(name="gsm8k"))
    assert loaded.origin == "REASONING_GRPO_DATA gsm8k/train.jsonl"
    assert loaded.problems == (Problem(id="x", question="1 + 1?", answer="2", source="school", meta={"level": 1}),)


def test_any_folder_name_is_a_source_called_after_it(folder: Path) -> None:
    _write(folder / "mine" / "test.jsonl", {"id": "x", "problem": "q", "answer": "2"})
    assert load_problems(DataSource(name="mine", split="test")).problems[0].source == "mine"


@pytest.mark.parametrize("split", ["tset", "../other/test", "test.jsonl"])
def test_a_split_the_folder_does_not_have_is_a_data_error(folder: Path, split: str) -> None:
    _write(folder / "mine" / "test.jsonl", {"id": "x", "problem": "q", "answer": "2"})
    _write(folder / "other" / "test.jsonl", {"id": "x", "problem": "q", "answer": "2"})
    with pytest.raises(DataError, match="`REASONING_GRPO_DATA` has no `mine/"):
        load_problems(DataSource(name="mine", split=split))


def test_a_row_of_the_folder_without_an_answer_key_is_a_data_error(folder: Path) -> None:
    _write(folder / "mine" / "test.jsonl", {"id": "x", "problem": "q"})
    with pytest.raises(DataError, match=r"`mine/test\.jsonl`, line 1 has no column 'answer'"):
        load_problems(DataSource(name="mine", split="test"))


def test_a_variable_that_names_no_folder_is_a_data_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("REASONING_GRPO_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match="which is not a folder; unset it"):
        load_problems(DataSource(name="svamp", split="test"))


@needs_real_data
def test_the_two_empty_golds_of_math_train_are_dropped() -> None:
    loaded = load_problems(DataSource(name="math"))
    assert (len(loaded.problems), loaded.num_dropped_empty) == (7498, 2)
    ids = {problem.id for problem in loaded.problems}
    assert {"math/train/5340", "math/train/5342"} <= ids
    assert not {"math/train/5341", "math/train/5343"} & ids


@needs_real_data
@pytest.mark.parametrize("split", ["train", "test"])
def test_every_math_gold_is_the_last_box_of_its_solution(split: str) -> None:
    from reasoning_grpo.data.hendrycks_math import last_boxed

    problems = load_problems(DataSource(name="math", split=split)).problems
    assert [p.id for p in problems if last_boxed(p.meta["solution"]) != p.answer] == []


@needs_real_data
@pytest.mark.parametrize(
    ("name", "count"), [("gsm8k", 1319), ("math", 5000), ("math500", 500), ("olympiadbench", 675), ("svamp", 1000)]
)
def test_every_test_set_loads_whole(name: str, count: int) -> None:
    loaded = load_problems(DataSource(name=name, split="test"))
    assert (len(loaded.problems), loaded.num_dropped_empty) == (count, 0)
