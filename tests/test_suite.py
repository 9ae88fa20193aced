"""What can be named as a benchmark."""

from pathlib import Path

import pytest

from reasoning_grpo.errors import DataError
from reasoning_grpo.eval.suite import builtin_suites, load_suite


@pytest.mark.parametrize("name", builtin_suites())
def test_every_shipped_suite_states_its_data_licence_and_limit(name: str) -> None:
    suite = load_suite(name)
    assert suite.name == name
    assert suite.data.split == "test"
    assert suite.licence != "unknown"
    assert suite.max_completion_tokens >= 64


def test_a_suite_of_ones_own_is_one_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('title = "Mine"\nprompt = "plain"\n[data]\nname = "arithmetic"\nsplit = "test"\nlimit = 3\n')
    suite = load_suite(str(path))
    assert (suite.name, suite.prompt, suite.data.limit) == ("mine", "plain", 3)


def test_a_file_of_problems_is_a_suite(tmp_path: Path) -> None:
    path = tmp_path / "mine.v2.jsonl"
    path.write_text('{"question": "?", "answer": "1"}\n')
    suite = load_suite(str(path))
    assert (suite.name, suite.data.name, suite.prompt) == ("mine", str(path), None)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("titel = 'x'\n[data]\nname = 'gsm8k'\n", "unknown key `titel`; did you mean 'title'?"),
        ("title = 'x'\n", "`data`"),
        ("title = \n", "is not valid TOML"),
        ("title = 'x'\nmax_completion_tokens = 'many'\n[data]\nname = 'gsm8k'\n", "`max_completion_tokens`"),
    ],
)
def test_a_suite_file_with_a_mistake_is_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        load_suite(str(path))
    assert words in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("name", ["none.jsonl", "none.toml"])
def test_a_file_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(DataError, match=name):
        load_suite(name)
