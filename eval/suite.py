"""Suites: what a benchmark asks. A built-in name, a TOML file of one's own, or a JSONL file of problems."""

import dataclasses
import tomllib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from reasoning_grpo.data.sources import DataSource
from reasoning_grpo.errors import DataError, did_you_mean

DATA_SUFFIXES = (".jsonl", ".jsonl.gz", ".csv", ".parquet")


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """A named set of problems with the limits they are asked under.

    `prompt` is the style to ask in; None takes the style the model was trained on, or one that fits the model.
    """

    name: str
    title: str
    data: DataSource
    licence: str = "unknown"
    prompt: str | None = None
    max_completion_tokens: int = 2048


def builtin_suites() -> list[str]:
    """Return the names of the suites that ship with the package."""
    folder = resources.files("reasoning_grpo.eval").joinpath("suites")
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load_suite(reference: str) -> Suite:
    """Return the suite called so, or the one in the TOML file, or one over the problems of a data file.

    Raises:
        DataError: nothing is there under that name; the message lists what is.
    """
    if reference.endswith(DATA_SUFFIXES):
        if not Path(reference).is_file():
            raise DataError(f"no file of problems at `{reference}`")
        name = Path(reference).name.partition(".")[0]
        return Suite(name=name, title=f"problems of {reference}", data=DataSource(name=str(Path(reference).resolve())))
    if reference.endswith(".toml"):
        path = Path(reference)
        if not path.is_file():
            raise DataError(f"no suite file at `{reference}`")
        return _suite(path.stem, path.read_text(encoding="utf-8"), reference)
    if reference not in builtin_suites():
        raise DataError(
            f"no suite is called `{reference}`{did_you_mean(reference, builtin_suites())} "
            "A path to a .jsonl, .csv, .parquet or .toml file works too."
        )
    text = resources.files("reasoning_grpo.eval").joinpath("suites", f"{reference}.toml").read_text(encoding="utf-8")
    return _suite(reference, text, reference)


def _suite(name: str, text: str, place: str) -> Suite:
    from pydantic import TypeAdapter, ValidationError

    try:
        table: dict[str, Any] = {"name": name, **tomllib.loads(text)}
        _check_keys(table, place)
        return TypeAdapter(Suite).validate_python(table)
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"the suite `{place}` is not valid TOML: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise DataError(f"the suite `{place}`: `{'.'.join(map(str, first['loc']))}`: {first['msg']}") from None


def _check_keys(table: dict[str, Any], place: str) -> None:
    known = [f.name for f in dataclasses.fields(Suite)]
    for key in table:
        if key not in known:
            raise DataError(f"the suite `{place}` has an unknown key `{key}`{did_you_mean(key, known)}")
