"""Suites: what a benchmark asks. A built-in name, a TOML file of one's own, or a JSONL file of problems.

title = "What a person reads in the list of suites"
licence = "MIT"
prompt = "chat-boxed"            # left out: the style the model was trained on, else one that asks for answer_form
answer_form = "boxed"            # tags, boxed, hash or plain
stop = ["\\nQuestion:"]          # texts that end an answer beside the model's own end token
max_completion_tokens = 4096

[data]
name = "problems.jsonl"          # any source of `train`; a relative file starts at the suite's folder
"""

import dataclasses
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from reasoning_grpo.data import files
from reasoning_grpo.data.sources import DataSource
from reasoning_grpo.errors import DataError, did_you_mean
from reasoning_grpo.schema import AnswerForm


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """A named set of problems with the limits they are asked under.

    `prompt` is the style to ask in; None takes the style the model was trained on, or else one that asks for
    `answer_form` and fits the model. An answer ends at the model's end token, at a text of `stop`, or at the limit.
    """

    name: str
    title: str
    data: DataSource
    licence: str = "unknown"
    prompt: str | None = None
    answer_form: AnswerForm | None = None
    stop: tuple[str, ...] = ()
    max_completion_tokens: int = 4096

    def __post_init__(self) -> None:
        if "" in self.stop:
            raise DataError("`stop` holds an empty text, which would end every answer at once; leave it out")
        if self.max_completion_tokens < 1:
            raise DataError(f"`max_completion_tokens` is {self.max_completion_tokens}; it must be at least 1")


def builtin_suites() -> list[str]:
    """Return the names of the suites that ship with the package."""
    folder = resources.files("reasoning_grpo.eval").joinpath("suites")
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load_suite(reference: str) -> Suite:
    """Return the suite called so, or the one in the TOML file, or one over the problems of a data file.

    Raises:
        DataError: nothing is there under that name; the message names the nearest, or all there are.
    """
    if files.is_file_name(reference):
        if not Path(reference).is_file():
            raise DataError(f"no file of problems at `{reference}`")
        name = Path(reference).name.partition(".")[0]
        return Suite(name=name, title=f"problems of {reference}", data=DataSource(name=str(Path(reference).resolve())))
    if reference.endswith(".toml"):
        path = Path(reference)
        if not path.is_file():
            raise DataError(f"no suite file at `{reference}`")
        return _beside(path, _suite(path.stem, _read(path), reference))
    if reference not in builtin_suites() and Path(reference).is_dir():
        raise DataError(f"`{reference}` is a folder and no suite; `--resume {reference}` goes on with a benchmark")
    if reference not in builtin_suites():
        hint = did_you_mean(reference, builtin_suites()).rstrip("?")
        raise DataError(
            f"no suite is called `{reference}`{hint}; a path to a .jsonl, .csv, .parquet or .toml file works too"
        )
    text = resources.files("reasoning_grpo.eval").joinpath("suites", f"{reference}.toml").read_text(encoding="utf-8")
    return _suite(reference, text, reference)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the suite `{path}` cannot be read: {error}") from None


def _beside(path: Path, suite: Suite) -> Suite:
    """Let a relative file of problems start at the suite's own folder, wherever the command is run."""
    if not files.is_file_name(suite.data.name):
        return suite
    place = (path.parent / Path(suite.data.name).expanduser()).absolute()
    return dataclasses.replace(suite, data=dataclasses.replace(suite.data, name=str(place)))


def _suite(name: str, text: str, place: str) -> Suite:
    from pydantic import TypeAdapter, ValidationError

    try:
        table: dict[str, Any] = {"name": name, **tomllib.loads(text)}
        _check_keys(table, Suite, place)
        if isinstance(table.get("data"), dict):
            _check_keys(table["data"], DataSource, place, prefix="data.")
        return TypeAdapter(Suite).validate_python(table)
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"the suite `{place}` is not valid TOML: {error}") from None
    except ValidationError as error:
        raise DataError(f"the suite `{place}`: {_said(error.errors()[0])}") from None


def _said(mistake: Mapping[str, Any]) -> str:
    """Return pydantic's mistake in words that name the remedy where its own do not."""
    if own := mistake.get("ctx", {}).get("error"):  # what a __post_init__ of ours has said
        return str(own)
    name = ".".join(map(str, mistake["loc"]))
    if mistake["type"] == "missing":
        return f"`{name}` is missing; see docs/benchmarks.md for a whole suite"
    if mistake["type"] == "tuple_type":
        return f"`{name}` is {mistake['input']!r}; it must be a list, such as [{json.dumps(str(mistake['input']))}]"
    if mistake["type"] == "dataclass_type":
        return f'`{name}` is {mistake["input"]!r}; it must be a table, such as `{name} = {{ name = "problems.jsonl" }}`'
    return f"`{name}`: {mistake['msg']}"


def _check_keys(table: dict[str, Any], kind: type, place: str, prefix: str = "") -> None:
    known = [f.name for f in dataclasses.fields(kind)]
    for key in table:
        if key not in known:
            raise DataError(f"the suite `{place}` has an unknown key `{prefix}{key}`{did_you_mean(key, known)}")
