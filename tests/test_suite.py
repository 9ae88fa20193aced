"""What can be named as a benchmark."""

from pathlib import Path

import pytest

from reasoning_grpo.data.prompts import STYLES
from reasoning_grpo.errors import DataError, RecipeError
from reasoning_grpo.eval.backends.opening import fitting_style
from reasoning_grpo.eval.suite import builtin_suites, load_suite
from reasoning_grpo.schema import AnswerForm


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
        ("title = 'x'\n", "`data` is missing; see docs/benchmarks.md for a whole suite"),
        ("title = 'x'\ndata = 'gsm8k'\n", "`data` is 'gsm8k'; it must be a table, such as `data = { name = "),
        ("title = 'x'\nstop = 'Q:'\n[data]\nname = 'gsm8k'\n", "`stop` is 'Q:'; it must be a list, such as [\"Q:\"]"),
        ("title = \n", "is not valid TOML"),
        ("title = 'x'\nmax_completion_tokens = 'many'\n[data]\nname = 'gsm8k'\n", "`max_completion_tokens`"),
        ("title = 'x'\nmax_completion_tokens = 0\n[data]\nname = 'gsm8k'\n", "it must be at least 1"),
        ("title = 'x'\n[data]\nname = 'gsm8k'\nlimt = 3\n", "unknown key `data.limt`; did you mean 'limit'?"),
        ("title = 'x'\nanswer_form = 'box'\n[data]\nname = 'gsm8k'\n", "`answer_form`"),
        ("title = 'x'\nstop = ['']\n[data]\nname = 'gsm8k'\n", "`stop` holds an empty text"),
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


def test_a_misspelt_suite_gets_one_sentence() -> None:
    words = (
        "no suite is called `gsm8`; did you mean 'gsm8k'; a path to a .jsonl, .csv, .parquet or .toml file works too"
    )
    with pytest.raises(DataError) as caught:
        load_suite("gsm8")
    assert str(caught.value) == words


def test_a_folder_in_the_place_of_a_suite_is_told_how_to_go_on(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is a folder and no suite; `--resume .*` goes on with a benchmark"):
        load_suite(str(tmp_path))


def test_a_suites_own_file_of_problems_starts_at_the_suites_folder(tmp_path: Path) -> None:
    (tmp_path / "sets").mkdir()
    (tmp_path / "sets" / "mine.toml").write_text("title = 'x'\n[data]\nname = 'mine.jsonl'\n")
    assert load_suite(str(tmp_path / "sets" / "mine.toml")).data.name == str(tmp_path / "sets" / "mine.jsonl")


def test_a_suite_states_its_stop_texts_and_the_form_of_an_answer(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('title = "x"\nstop = ["\\n\\n"]\nanswer_form = "hash"\n[data]\nname = "gsm8k"\n')
    suite = load_suite(str(path))
    assert (suite.stop, suite.answer_form) == (("\n\n",), AnswerForm.HASH)


@pytest.mark.parametrize(("name", "limit"), [("gsm8k", 4096), ("math", 8192), ("aime25", 32768)])
def test_an_answer_that_thinks_at_length_is_not_cut(name: str, limit: int) -> None:
    assert load_suite(name).max_completion_tokens >= limit


@pytest.mark.parametrize("name", builtin_suites())
def test_every_suite_is_on_the_page_with_its_limit(name: str) -> None:
    page = (Path(__file__).parent.parent / "docs" / "benchmarks.md").read_text("utf-8")
    [row] = [line for line in page.splitlines() if line.startswith("|") and f"`{name}`" in line]
    assert row.endswith(f"| {load_suite(name).max_completion_tokens:,} |")


@pytest.mark.parametrize(
    ("form", "is_chat", "style"),
    [
        (AnswerForm.BOXED, True, "chat-boxed"),
        (AnswerForm.BOXED, False, "qa-boxed"),
        (AnswerForm.TAGS, False, "r1-zero"),
        (AnswerForm.HASH, True, "chat-hash"),
        (None, False, "r1-zero"),
    ],
)
def test_an_unmarked_model_is_asked_for_the_suites_answer_form(
    form: AnswerForm | None, is_chat: bool, style: str
) -> None:
    assert fitting_style(form, is_chat=is_chat) == style
    assert form is None or STYLES[style].form is form


def test_a_form_no_style_asks_for_is_refused_with_the_way_out() -> None:
    with pytest.raises(RecipeError, match="name a style with `--prompt`"):
        fitting_style(AnswerForm.HASH, is_chat=False)
