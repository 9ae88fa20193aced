"""The page on verifiers names what there is, and its examples do what it says."""

import inspect
from pathlib import Path

import pytest

from reasoning_grpo.rewards.auditing.mutants import preserving
from reasoning_grpo.rewards.auditing.near_misses import changing
from reasoning_grpo.rewards.auditing.surfaces import tricks
from reasoning_grpo.rewards.conventions import CONVENTIONS
from reasoning_grpo.rewards.registry import known_verifiers, load_verifier
from reasoning_grpo.schema import AnswerForm, AnswerFormat, Completion, Outcome, Problem

PAGE = (Path(__file__).parent.parent / "docs" / "verifiers.md").read_text("utf-8")


@pytest.mark.parametrize("name", sorted(set(known_verifiers()) - set(CONVENTIONS.values())))
def test_every_verifier_is_on_the_page_with_its_options_and_defaults(name: str) -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |")]
    assert len(rows) == 1
    for option in inspect.signature(load_verifier(name)).parameters.values():
        if option.kind is option.KEYWORD_ONLY and option.name != "answer_format":
            assert f"`{option.name}`" in rows[0]
            default = str(option.default).lower() if isinstance(option.default, bool) else option.default
            shown = f'"{default}"' if isinstance(default, str) and not isinstance(option.default, bool) else default
            assert option.default is option.empty or f"`{option.name}` ({shown})" in rows[0]


def test_every_convention_and_every_outcome_is_on_the_page() -> None:
    assert all(f"| `{name}` |" in PAGE for name in CONVENTIONS)
    assert all(f"| `{outcome}` |" in PAGE for outcome in Outcome)


GOLDS = [
    "72", "-1250", r"10,\!080", r"\frac{3}{4}", r"-\frac{2}{3}", ".5", r"2\frac{1}{3}", r"5\text{ cm}", r"50\%",
    r"15\text{ m}^2", r"90^\circ", r"\$42", "1,-2", "(1,2,3)", r"\{1,2\}", r"\text{Monday}", r"\text{(C)}",
    r"3\sqrt{13}",
]  # fmt: skip


def test_every_kind_of_rewrite_and_trick_is_on_the_page() -> None:
    boxed = AnswerFormat(form=AnswerForm.BOXED)
    mutants = [mutant for gold in GOLDS for mutant in (*preserving(gold), *changing(gold))]
    kinds = {mutant.kind for mutant in mutants} | {trick.kind for trick in tricks("72", "How?", boxed)}
    assert len(kinds) > 65
    assert [kind for kind in sorted(kinds) if f"`{kind}`" not in PAGE] == []


def test_the_pages_verifier_does_what_the_page_says() -> None:
    source = PAGE.split("```python\n# my_verifiers.py\n")[1].split("```")[0]
    names: dict[str, object] = {}
    exec(compile(source, "docs/verifiers.md", "exec"), names)  # our own page, not a model's text
    judge = names["last_number_matches"]
    assert callable(judge)
    problem = Problem(id="p", question="", answer="18")
    found = [judge(Completion(text=text), problem) for text in ("#### 18", "#### 19", "", "not 18")]
    assert found == [True, False, False, True]
