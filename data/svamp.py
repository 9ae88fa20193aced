"""SVAMP, a thousand varied one-step word problems (Patel et al., https://arxiv.org/abs/2103.07191), from the hub.

The hub's copy cuts the set into 700 and 300; the paper's challenge set is all thousand, and that is "test" here. The
hub keeps the story and its question apart; they are joined by a space.
"""

from collections.abc import Iterator

from reasoning_grpo.data import hub
from reasoning_grpo.data.tabular import text_of
from reasoning_grpo.errors import DataError
from reasoning_grpo.schema import Problem

HUB_NAME = "ChilleD/SVAMP"


def problems(split: str, *, revision: str | None = None) -> Iterator[Problem]:
    """Yield the problems, called `svamp/<the set's own id>`.

    Raises:
        DataError: `split` is not "test".
    """
    if split != "test":
        raise DataError(f"'svamp' has no split {split!r}; there is only 'test'")
    for row in hub.rows(HUB_NAME, split="train+test", revision=revision, local_name="svamp"):
        yield Problem(
            id=f"svamp/{text_of(row, 'ID')}",
            question=f"{text_of(row, 'Body').strip()} {text_of(row, 'Question').strip()}",
            answer=text_of(row, "Answer"),
            source="svamp",
            meta={"solution": text_of(row, "Equation"), "subject": text_of(row, "Type")},
        )
