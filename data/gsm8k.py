"""GSM8K, grade-school word problems (https://arxiv.org/abs/2110.14168), from the hub.

The hub's `answer` is a worked solution that ends in `#### 1,200`. The gold is what follows the last `####`, thousands
commas removed; the solution goes to `meta`.
"""

from collections.abc import Iterator

from reasoning_grpo.data import hub
from reasoning_grpo.data.files import Row
from reasoning_grpo.data.tabular import text_of
from reasoning_grpo.errors import DataError
from reasoning_grpo.schema import Problem

HUB_NAME = "openai/gsm8k main"


def problems(split: str, *, revision: str | None = None) -> Iterator[Problem]:
    """Yield the problems of `split` ("train" or "test"), called `gsm8k/<split>/<row from 0>`."""
    rows = hub.rows("openai/gsm8k", config="main", split=split, revision=revision, local_name="gsm8k")
    for number, row in enumerate(rows):
        solution = text_of(row, "answer")
        yield Problem(
            id=f"gsm8k/{split}/{number}",
            question=text_of(row, "question"),
            answer=_gold(solution, row),
            source="gsm8k",
            meta={"solution": solution},
        )


def _gold(solution: str, row: Row) -> str:
    _, mark, gold = solution.rpartition("####")
    if not mark:
        raise DataError(f"{row.where} has no `####` in its answer; this is not GSM8K as `openai/gsm8k` publishes it")
    return gold.strip().replace(",", "")
