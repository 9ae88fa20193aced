"""OlympiadBench (He et al., https://arxiv.org/abs/2402.14008): text-only, open-ended English mathematics, from the hub.

A gold is a list on the hub; its entries are written one after the other with commas between them. `subject` is the
hub's `subfield`.
"""

from collections.abc import Iterator

from reasoning_grpo.data import hub
from reasoning_grpo.data.files import Row
from reasoning_grpo.data.tabular import text_of
from reasoning_grpo.errors import DataError
from reasoning_grpo.schema import Problem

HUB_NAME = "Hothan/OlympiadBench"
CONFIG = "OE_TO_maths_en_COMP"


def problems(split: str, *, revision: str | None = None) -> Iterator[Problem]:
    """Yield the problems, called `olympiadbench/<id>`; the hub calls its only split "train", this calls it "test".

    Raises:
        DataError: `split` is not "test", or a gold is no list of texts.
    """
    if split != "test":
        raise DataError(f"'olympiadbench' has no split {split!r}; there is only 'test'")
    for row in hub.rows(HUB_NAME, config=CONFIG, split="train", revision=revision, local_name="olympiadbench"):
        yield Problem(
            id=f"olympiadbench/{text_of(row, 'id')}",
            question=text_of(row, "question"),
            answer=_gold(row),
            source="olympiadbench",
            meta={
                "subject": text_of(row, "subfield"),
                "answer_type": row.values.get("answer_type"),
                "is_multiple_answer": row.values.get("is_multiple_answer"),
            },
        )


def _gold(row: Row) -> str:
    answers = row.values.get("final_answer") or []
    if not isinstance(answers, list) or not all(isinstance(answer, str) for answer in answers):
        raise DataError(f"{row.where} has no list of texts in column 'final_answer'")
    return ",".join(answers)
