"""Contest sets from the hub, with integer answers: AIME 2024 and 2025 (30 problems each) and AMC 12 of 2023 (40).

Each has one split on the hub, called "test" here. The problems belong to the Mathematical Association of America; the
hub's copies carry the licences that the suites state. Golds stay raw: `amc23` writes some of them `27.0`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from reasoning_grpo.data import hub
from reasoning_grpo.data.tabular import text_of
from reasoning_grpo.errors import DataError
from reasoning_grpo.schema import Problem


@dataclass(frozen=True, slots=True)
class Contest:
    """Where a set is on the hub, and the column of its questions."""

    hub_name: str
    hub_split: str
    question_column: str


CONTESTS = {
    "aime24": Contest("HuggingFaceH4/aime_2024", "train", "problem"),
    "aime25": Contest("math-ai/aime25", "test", "problem"),
    "amc23": Contest("math-ai/amc23", "test", "question"),
}


def problems(name: str, split: str, *, revision: str | None = None) -> Iterator[Problem]:
    """Yield the problems of one of `CONTESTS`, called `<name>/<the hub's id>`.

    Raises:
        DataError: `split` is not "test".
    """
    contest = CONTESTS[name]
    if split != "test":
        raise DataError(f"{name!r} has no split {split!r}; there is only 'test'")
    for row in hub.rows(contest.hub_name, split=contest.hub_split, revision=revision, local_name=name):
        yield Problem(
            id=f"{name}/{text_of(row, 'id')}",
            question=text_of(row, contest.question_column),
            answer=text_of(row, "answer"),
            source=name,
            meta={key: row.values[key] for key in ("solution", "url", "year") if key in row.values},
        )
