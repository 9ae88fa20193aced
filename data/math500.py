"""MATH-500, the 500 test problems of https://arxiv.org/abs/2305.20050, from the hub.

They are a part of MATH's own test split. The `answer` column is the gold, raw.
"""

from collections.abc import Iterator

from reasoning_grpo.data import hub
from reasoning_grpo.data.tabular import text_of
from reasoning_grpo.schema import Problem

HUB_NAME = "HuggingFaceH4/MATH-500"


def problems(split: str, *, revision: str | None = None) -> Iterator[Problem]:
    """Yield the problems of `split` (there is only "test"), called `math500/<unique_id>`."""
    for row in hub.rows(HUB_NAME, split=split, revision=revision, local_name="math500"):
        yield Problem(
            id=f"math500/{text_of(row, 'unique_id')}",
            question=text_of(row, "problem"),
            answer=text_of(row, "answer"),
            source="math500",
            meta={key: row.values[key] for key in ("solution", "subject", "level") if key in row.values},
        )
