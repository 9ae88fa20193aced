r"""MATH, competition problems (Hendrycks et al., https://arxiv.org/abs/2103.03874), from the hub.

The gold is the content of the last `\boxed{}` of the worked solution, raw. Two training solutions box nothing: their
golds are empty, and `load_problems` drops and counts them. The hub keeps the seven subjects apart; they are read in
`SUBJECTS` order.
"""

import re
from collections.abc import Iterator

from reasoning_grpo.data import hub
from reasoning_grpo.data.files import Row
from reasoning_grpo.data.tabular import text_of
from reasoning_grpo.schema import Problem

HUB_NAME = "EleutherAI/hendrycks_math"
SUBJECTS = (
    "algebra",
    "counting_and_probability",
    "geometry",
    "intermediate_algebra",
    "number_theory",
    "prealgebra",
    "precalculus",
)


def problems(split: str, *, revision: str | None = None) -> Iterator[Problem]:
    """Yield the problems of `split` ("train" or "test"), called `math/<split>/<subject>/<row from 0>`."""
    for subject in SUBJECTS:
        rows = hub.rows(HUB_NAME, config=subject, split=split, revision=revision, local_name="math")
        for number, row in enumerate(rows):
            yield _problem(row, f"math/{split}/{subject}/{number}")


def last_boxed(text: str) -> str:
    r"""Return the content of the last `\boxed{…}` (or `\boxed 2$`), "" when there is none or it never closes."""
    _, mark, rest = text.rpartition(r"\boxed")
    if not mark:
        return ""
    if not rest.lstrip().startswith("{"):
        return rest.partition("$")[0].strip()  # two training solutions write `\boxed 2$`
    return _braced(rest.lstrip())


def _problem(row: Row, problem_id: str) -> Problem:
    solution = text_of(row, "solution")
    meta: dict[str, object] = {"solution": solution, "subject": text_of(row, "type")}
    if level := re.search(r"\d+", text_of(row, "level")):  # "Level 5"; two rows say "Level ?"
        meta["level"] = int(level.group())
    question = text_of(row, "problem")
    return Problem(id=problem_id, question=question, answer=last_boxed(solution), source="math", meta=meta)


def _braced(text: str) -> str:
    depth = 0
    for match in re.finditer(r"\\.|[{}]", text, re.DOTALL):  # `\{` and `\}` are printed braces, not groups
        depth += {"{": 1, "}": -1}.get(match.group(), 0)
        if depth == 0:
            return text[1 : match.start()]
    return ""
