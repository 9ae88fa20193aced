"""Name a set of problems, get the problems: the one place that knows every source.

| name | where the problems come from |
|---|---|
| `gsm8k`, `math`, `math500`, `olympiadbench`, `svamp` | `REASONING_GRPO_DATA` when it has them, else the hub |
| `aime24`, `aime25`, `amc23` | as those |
| any other folder there | `REASONING_GRPO_DATA` only |
| `arithmetic` | made on the spot; `options` go to `arithmetic.generate` |
| `reasoning-gym:<task>` | made on the spot; `options` go to the task; needs the extra `reasoning-gym` |
| `path/to/file.jsonl` (.jsonl.gz, .csv, .parquet) | that file; `{split}` in the path stands for the split |
| `org/name`, `org/name:config` | any hub dataset with a question and an answer column |

Rows whose gold is empty are dropped and counted. Two problems with one id are an error: benchmarks and rollout logs
tell problems apart by their id, so a silent suffix would pair the wrong rows.
"""

import hashlib
import inspect
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from reasoning_grpo.data import (
    contests,
    files,
    gsm8k,
    gym,
    hendrycks_math,
    hub,
    local,
    math500,
    olympiadbench,
    svamp,
    tabular,
)
from reasoning_grpo.errors import DataError, did_you_mean
from reasoning_grpo.schema import Problem

# Name -> (what the hub calls it, its loader).
_ON_HUB: Mapping[str, tuple[str, Callable[..., Iterator[Problem]]]] = {
    "gsm8k": (gsm8k.HUB_NAME, gsm8k.problems),
    "math": (hendrycks_math.HUB_NAME, hendrycks_math.problems),
    "math500": (math500.HUB_NAME, math500.problems),
    "olympiadbench": (f"{olympiadbench.HUB_NAME} {olympiadbench.CONFIG}", olympiadbench.problems),
    "svamp": (svamp.HUB_NAME, svamp.problems),
    **{name: (contest.hub_name, partial(contests.problems, name)) for name, contest in contests.CONTESTS.items()},
}
_HUB_ID = re.compile(r"(?P<id>\w[\w.-]*/\w[\w.-]*)(:(?P<config>[\w.-]+))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSource:
    """Which problems to load.

    `limit` takes the first problems in file order, or after a seeded shuffle with `options = {"shuffle": True}`. Rows
    after the last one needed are not read. `options` may also hold `revision` for what the hub serves; the two sources
    made on the spot take options of their own instead, and `seed` chooses their problems.
    A file without `{split}` in its path has one split: `split` then changes nothing.
    """

    name: str
    split: str = "train"
    limit: int | None = None
    question_column: str | None = None
    answer_column: str | None = None
    id_column: str | None = None
    seed: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise DataError(
                f"`limit` of {self.name!r} is {self.limit}; take at least 1 problem, or leave it out for all"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedProblems:
    """Problems, and what a manifest says about them.

    `num_dropped_empty` counts rows without a gold among those read. `origin` is for a person; `fingerprint` is a
    SHA-256 over ids, questions and answers in order.
    """

    problems: tuple[Problem, ...]
    num_dropped_empty: int
    origin: str
    fingerprint: str


def load_problems(source: DataSource, base_dir: Path | None = None) -> LoadedProblems:
    """Load what `source` names; relative paths start at `base_dir` (None: the working directory).

    Raises:
        DataError: There is no such source, it cannot be read, a row is malformed, an id is there twice, or no problem
            with a gold is left.
    """
    stream, origin = _open(source, base_dir or Path())
    is_shuffled = not _is_made(source.name) and bool(source.options.get("shuffle"))
    problems, num_dropped = _with_gold(stream, None if is_shuffled else source.limit)
    if not problems:
        why = f"none of its {num_dropped} rows has an answer" if num_dropped else "it holds no rows"
        raise DataError(f"there are no problems in {origin}: {why}")
    _refuse_repeated_ids(problems, origin)
    if is_shuffled:
        problems = _shuffled(problems, source.seed)[: source.limit]
    return LoadedProblems(
        problems=tuple(problems), num_dropped_empty=num_dropped, origin=origin, fingerprint=fingerprint(problems)
    )


def fingerprint(problems: Sequence[Problem]) -> str:
    """Return the SHA-256 over ids, questions and answers, in order, as hexadecimal digits."""
    digest = hashlib.sha256()
    for problem in problems:
        digest.update(json.dumps([problem.id, problem.question, problem.answer]).encode() + b"\n")
    return digest.hexdigest()


def _open(source: DataSource, base_dir: Path) -> tuple[Iterable[Problem], str]:
    if _is_made(source.name):
        return _open_made(source)
    if source.name in _ON_HUB or source.name in local.names():
        return _open_named(source)
    if files.is_file_name(source.name):
        return _open_file(source, base_dir)
    if match := _HUB_ID.fullmatch(source.name):
        return _open_hub(source, match["id"], match["config"])
    raise _unknown(source.name)


def _is_made(name: str) -> bool:
    return name == "arithmetic" or name.startswith(gym.PREFIX)


def _open_made(source: DataSource) -> tuple[Iterable[Problem], str]:
    _refuse_columns(source)
    origin = f"{source.name} {source.split} seed {source.seed}"
    if source.name == "arithmetic":
        return _arithmetic(source), origin
    task = source.name.removeprefix(gym.PREFIX)
    return gym.problems(task, source.split, seed=source.seed, limit=source.limit, options=source.options), origin


def _arithmetic(source: DataSource) -> Iterator[Problem]:
    from reasoning_grpo.data import arithmetic

    own = {"split", "seed", "limit"}
    _refuse_unknown_options(source, set(inspect.signature(arithmetic.generate).parameters) - own)
    try:
        yield from arithmetic.generate(source.split, seed=source.seed, limit=source.limit, **source.options)
    except (TypeError, ValueError) as error:
        raise DataError(f"`arithmetic` cannot make these problems: {error}") from error


def _open_named(source: DataSource) -> tuple[Iterable[Problem], str]:
    _refuse_columns(source)
    _refuse_unknown_options(source, {"shuffle", "revision"})
    if source.name in local.names():
        return local.problems(source.name, source.split), f"{local.VARIABLE} {source.name}/{source.split}.jsonl"
    place, load = _ON_HUB[source.name]
    return load(source.split, revision=source.options.get("revision")), _hub_origin(place, source)


def _open_file(source: DataSource, base_dir: Path) -> tuple[Iterable[Problem], str]:
    _refuse_unknown_options(source, {"shuffle"})
    name = source.name.replace("{split}", source.split)
    path = base_dir / Path(name).expanduser()
    rows = files.read(path, name)
    return tabular.problems(rows, _columns(source), source=path.name, id_prefix=files.stem(path)), f"file {name}"


def _open_hub(source: DataSource, dataset_id: str, config: str | None) -> tuple[Iterable[Problem], str]:
    _refuse_unknown_options(source, {"shuffle", "revision"})
    rows = hub.rows(dataset_id, config=config, split=source.split, revision=source.options.get("revision"))
    prefix = f"{source.name}/{source.split}"
    found = tabular.problems(rows, _columns(source), source=source.name, id_prefix=prefix)
    return found, _hub_origin(f"{dataset_id} {config}" if config else dataset_id, source)


def _hub_origin(place: str, source: DataSource) -> str:
    revision = source.options.get("revision")
    return f"hub {place}@{source.split}" + (f" revision {revision}" if revision else "")


def _columns(source: DataSource) -> tabular.Columns:
    return tabular.Columns(question=source.question_column, answer=source.answer_column, id=source.id_column)


def _with_gold(stream: Iterable[Problem], limit: int | None) -> tuple[list[Problem], int]:
    kept: list[Problem] = []
    num_dropped = 0
    for problem in stream:
        if problem.answer.strip():
            kept.append(problem)
        else:
            num_dropped += 1
        if len(kept) == limit:
            break
    return kept, num_dropped


def _shuffled(problems: Sequence[Problem], seed: int) -> list[Problem]:
    """By hash rather than by `random`, whose sequences may change between Python versions."""
    return sorted(problems, key=lambda problem: hashlib.sha256(f"{seed}\n{problem.id}".encode()).digest())


def _refuse_repeated_ids(problems: Sequence[Problem], origin: str) -> None:
    seen: set[str] = set()
    for problem in problems:
        if problem.id in seen:
            raise DataError(
                f"two problems in {origin} have the id {problem.id!r}; make ids unique, name another column with "
                '`id_column`, or number the rows with `id_column = ""`'
            )
        seen.add(problem.id)


def _refuse_columns(source: DataSource) -> None:
    for option in ("question_column", "answer_column", "id_column"):
        if getattr(source, option) is not None:
            raise DataError(f"`{option}` means nothing for {source.name!r}, whose columns are fixed; leave it out")


def _refuse_unknown_options(source: DataSource, known: set[str]) -> None:
    for option in sorted(set(source.options) - known):
        raise DataError(f"{source.name!r} has no option {option!r}{did_you_mean(option, known)}")


def _unknown(name: str) -> DataError:
    known = {"arithmetic", *_ON_HUB, *local.names(), gym.PREFIX + "<task>"}
    base, colon, split = name.partition(":")
    if colon and base in known:
        return DataError(
            f"unknown source {name!r}: a split is no part of a name; name {base!r} and the split apart, `split = "
            f"{json.dumps(split)}` in a file, `--train-split {split}` for `report`, `--split {split}` for `audit`"
        )
    return DataError(
        f"unknown source {name!r}{did_you_mean(name, known)} "
        f"(a file ends in {', '.join(files.SUFFIXES)}; a hub dataset is `org/name`)"
    )
