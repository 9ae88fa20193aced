import math
import pickle
import sys
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

import pytest

from reasoning_grpo.errors import VerifierError
from reasoning_grpo.rewards import accuracy, format_strict, registry
from reasoning_grpo.rewards.registry import call_verifier, check_options, known_verifiers, load_verifier, verifier
from reasoning_grpo.rewards.shaping import soft_overlong
from reasoning_grpo.schema import Completion, Outcome, Problem, Verdict

COMPLETION = Completion(text="42")
PROBLEM = Problem(id="gsm8k/test/7", question="6 x 7?", answer="42")


@pytest.fixture(autouse=True)
def _own_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_registered", dict(registry._registered))


def _call(function: Any, **options: Any) -> Verdict:
    return call_verifier(function, COMPLETION, PROBLEM, name="mine", options=options)


def test_built_in_names_load() -> None:
    assert load_verifier("accuracy") is accuracy
    assert load_verifier("format") is format_strict
    assert {"accuracy", "format", "format_graded", "soft_overlong"} <= set(known_verifiers())


def test_a_registered_name_loads() -> None:
    @verifier("units_test")
    def units(completion: Completion, problem: Problem) -> bool:
        return True

    assert load_verifier("units_test") is units


def test_a_misspelled_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(VerifierError, match=r"no verifier 'acuracy'; did you mean 'accuracy'\?"):
        load_verifier("acuracy")


def test_a_module_reference_loads() -> None:
    assert load_verifier("reasoning_grpo.rewards.shaping:soft_overlong") is soft_overlong


def test_an_entry_point_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("theirs", "reasoning_grpo.rewards.shaping:soft_overlong", registry.ENTRY_POINT_GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda **params: EntryPoints([point]).select(**params))
    assert load_verifier("theirs") is soft_overlong


def test_a_file_reference_is_relative_to_the_base_folder(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def reward(completion, problem):\n    return 0.5\n", encoding="utf-8")
    assert _call(load_verifier("./mine.py:reward", tmp_path)).score == 0.5


def test_the_same_file_is_loaded_once_and_shadows_no_module(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("def reward(completion, problem):\n    return 1\n", encoding="utf-8")
    standard = sys.modules["json"]
    assert load_verifier("json.py:reward", tmp_path) is load_verifier(f"{tmp_path}/../{tmp_path.name}/json.py:reward")
    assert sys.modules["json"] is standard


@pytest.mark.parametrize(
    ("ref", "message"),
    [
        ("./nowhere.py:reward", "there is no file"),
        ("no_such_package.mod:fn", "no module 'no_such_package' can be imported"),
        ("reasoning_grpo.rewards.shaping:soft_overlog", "did you mean 'soft_overlong'"),
        ("reasoning_grpo.rewards.answers.grading:MAX_ANSWER_CHARS", "is a int, not a function"),
        ("mod:", "names no verifier"),
        (":fn", "names no verifier"),
    ],
)
def test_a_reference_that_leads_nowhere_says_so(ref: str, message: str) -> None:
    with pytest.raises(VerifierError, match=message):
        load_verifier(ref)


def test_a_missing_function_in_a_file_is_answered_with_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def reward(completion, problem):\n    return 1\n", encoding="utf-8")
    with pytest.raises(VerifierError, match="did you mean 'reward'"):
        load_verifier("mine.py:rewrad", tmp_path)


def test_a_file_that_cannot_be_imported_names_the_line(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("x = 1\ny = 1 / 0\n", encoding="utf-8")
    with pytest.raises(VerifierError, match=r"ZeroDivisionError.*broken\.py:2"):
        load_verifier("broken.py:fn", tmp_path)


def test_a_syntax_error_names_the_line(tmp_path: Path) -> None:
    (tmp_path / "syntax.py").write_text("x = 1\ndef (:\n", encoding="utf-8")
    with pytest.raises(VerifierError, match=r"SyntaxError.*syntax\.py:2"):
        load_verifier("syntax.py:fn", tmp_path)


def test_a_built_in_name_cannot_be_taken() -> None:
    with pytest.raises(VerifierError, match="'accuracy' is a built-in verifier"):
        verifier("accuracy")(lambda completion, problem: True)


def test_two_functions_cannot_share_a_name() -> None:
    verifier("twice")(len)
    with pytest.raises(VerifierError, match="two verifiers are named 'twice'"):
        verifier("twice")(max)


@pytest.mark.parametrize(
    ("returned", "outcome"),
    [
        (True, Outcome.PASS),
        (1.0, Outcome.PASS),
        (1, Outcome.PASS),
        (False, Outcome.FAIL),
        (0, Outcome.FAIL),
        (0.25, Outcome.PARTIAL),
    ],
)
def test_numbers_become_verdicts(returned: float | bool, outcome: Outcome) -> None:
    verdict = _call(lambda completion, problem: returned)
    assert (verdict.outcome, verdict.score) == (outcome, float(returned))


@pytest.mark.parametrize("returned", [math.nan, math.inf, 2.0, -0.1, None, "1", [1.0], 1j])
def test_what_no_score_can_be_is_an_error_and_never_a_zero(returned: object) -> None:
    with pytest.raises(VerifierError) as caught:
        _call(lambda completion, problem: returned)
    assert "'mine'" in str(caught.value)
    assert "'gsm8k/test/7'" in str(caught.value)
    assert repr(returned) in str(caught.value)


def test_an_exception_names_the_verifier_the_problem_and_the_line(tmp_path: Path) -> None:
    (tmp_path / "raising.py").write_text(
        "def fn(completion, problem):\n    return problem.meta['unit']\n", encoding="utf-8"
    )
    with pytest.raises(
        VerifierError, match=r"'mine' raised KeyError: 'unit' .*raising\.py:2\) on problem 'gsm8k/test/7'"
    ):
        _call(load_verifier("raising.py:fn", tmp_path))


def test_a_verifier_may_abstain() -> None:
    abstention = Verdict(score=None, outcome=Outcome.UNGRADABLE)
    assert _call(lambda completion, problem: abstention) is abstention


def test_an_unknown_option_is_answered_with_the_nearest() -> None:
    with pytest.raises(VerifierError, match=r"no option 'max_token'; did you mean 'max_tokens'\?"):
        check_options(soft_overlong, {"max_token": 5, "buffer_tokens": 2}, "length")


def test_a_missing_option_is_named() -> None:
    with pytest.raises(VerifierError, match="buffer_tokens"):
        check_options(soft_overlong, {"max_tokens": 5}, "length")


def test_built_in_verifiers_pickle() -> None:
    assert pickle.loads(pickle.dumps(accuracy)) is accuracy
