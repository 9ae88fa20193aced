"""The page on verifiers names what there is, and its examples do what it says."""

import inspect
from pathlib import Path

import pytest

from reasoning_grpo.rewards.conventions import CONVENTIONS
from reasoning_grpo.rewards.registry import known_verifiers, load_verifier
from reasoning_grpo.schema import Completion, Outcome, Problem

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


def test_the_pages_verifier_does_what_the_page_says() -> None:
    source = PAGE.split("```python\n# my_verifiers.py\n")[1].split("```")[0]
    names: dict[str, object] = {}
    exec(compile(source, "docs/verifiers.md", "exec"), names)  # our own page, not a model's text
    judge = names["last_number_matches"]
    assert callable(judge)
    problem = Problem(id="p", question="", answer="18")
    found = [judge(Completion(text=text), problem) for text in ("#### 18", "#### 19", "", "not 18")]
    assert found == [True, False, False, True]
