import math
import pickle
from pathlib import Path
from typing import Any

import pytest

from reasoning_grpo.errors import VerifierError
from reasoning_grpo.rewards import RewardSpec, RewardTerm
from reasoning_grpo.schema import AnswerForm, AnswerFormat, Completion, Outcome, Problem

PROBLEM = Problem(id="p", question="6 x 7?", answer="42")
RIGHT = Completion(text="<think>six sevens</think><answer>42</answer>")
WRONG = Completion(text="<think>six sevens</think><answer>41</answer>")
UNFORMED = Completion(text="The answer is 42.")
TAGS = AnswerFormat(form=AnswerForm.TAGS, think=True)
ACCURACY = RewardTerm(name="accuracy", verifier="accuracy")


def _spec(*terms: RewardTerm, **fields: Any) -> RewardSpec:
    return RewardSpec(terms=terms, answer_format=TAGS, **fields)


def _format(**fields: Any) -> RewardTerm:
    return RewardTerm(name="format", verifier="format", weight=0.25, **fields)


@pytest.mark.parametrize(("completion", "reward"), [(RIGHT, 1.25), (WRONG, 0.25), (UNFORMED, 1.0)])
def test_the_reward_is_the_weighted_sum(completion: Completion, reward: float) -> None:
    assert _spec(ACCURACY, _format()).score(completion, PROBLEM).reward == reward


@pytest.mark.parametrize(("completion", "reward"), [(RIGHT, 1.25), (WRONG, 0.0), (UNFORMED, 1.0)])
def test_a_gated_term_pays_only_where_its_gate_passed(completion: Completion, reward: float) -> None:
    scored = _spec(ACCURACY, _format(gated_by="accuracy")).score(completion, PROBLEM)
    assert scored.reward == reward
    assert set(scored.verdicts) == {"accuracy", "format"}


def test_a_negative_weight_is_a_penalty() -> None:
    term = RewardTerm(name="format", verifier="format", weight=-0.5)
    assert _spec(ACCURACY, term).score(RIGHT, PROBLEM).reward == 0.5  # 1 - 0.5


def test_an_ungradable_term_makes_the_reward_none_and_not_zero() -> None:
    ungradable = Problem(id="p", question="", answer="")
    scored = _spec(ACCURACY, _format()).score(RIGHT, ungradable)
    assert scored.reward is None
    assert scored.verdicts["format"].passed


def test_a_term_that_is_only_logged_cannot_make_the_reward_none() -> None:
    logged = RewardTerm(name="accuracy", verifier="accuracy", weight=0.0)
    assert _spec(logged, _format()).score(RIGHT, Problem(id="p", question="", answer="")).reward == 0.25


def test_the_spec_hands_its_answer_format_to_the_verifiers() -> None:
    boxed = RewardSpec(terms=(_format(),), answer_format=AnswerFormat(form=AnswerForm.BOXED))
    assert boxed.score(Completion(text=r"\boxed{42}"), PROBLEM).verdicts["format"].passed
    assert not _spec(_format()).score(Completion(text=r"\boxed{42}"), PROBLEM).verdicts["format"].passed


def test_options_reach_the_verifier() -> None:
    strict = RewardTerm(name="accuracy", verifier="accuracy", options={"strict_form": True})
    assert _spec(strict).score(UNFORMED, PROBLEM).verdicts["accuracy"].outcome is Outcome.NO_ANSWER


def test_a_batch_scores_like_one_by_one() -> None:
    spec = _spec(ACCURACY, _format())
    completions = [RIGHT, WRONG, UNFORMED, RIGHT, Completion(text=r"\boxed{6\cdot7}")]
    assert spec.score_batch(completions, [PROBLEM] * 5) == [
        spec.score(completion, PROBLEM) for completion in completions
    ]


def test_equal_completions_of_one_problem_are_judged_once(tmp_path: Path) -> None:
    counter = tmp_path / "calls"
    code = f"def fn(completion, problem):\n    with open({str(counter)!r}, 'a') as log: log.write('x')\n    return 1\n"
    (tmp_path / "counting.py").write_text(code, encoding="utf-8")
    spec = _spec(RewardTerm(name="mine", verifier="./counting.py:fn"), base_dir=tmp_path)
    assert [scored.reward for scored in spec.score_batch([RIGHT, WRONG, RIGHT], [PROBLEM] * 3)] == [1.0] * 3
    assert counter.read_text(encoding="utf-8") == "xx"


def test_equal_completions_of_different_problems_are_judged_apart() -> None:
    other = Problem(id="q", question="", answer="41")
    scored = _spec(ACCURACY).score_batch([RIGHT, RIGHT], [PROBLEM, other])
    assert [each.reward for each in scored] == [1.0, 0.0]


def test_a_spec_with_a_file_verifier_pickles(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def fn(completion, problem):\n    return 0.5\n", encoding="utf-8")
    spec = _spec(RewardTerm(name="mine", verifier="./mine.py:fn"), base_dir=tmp_path)
    spec.check()
    assert pickle.loads(pickle.dumps(spec)).score(RIGHT, PROBLEM).reward == 0.5


def test_a_check_loads_every_verifier() -> None:
    _spec(ACCURACY, _format()).check()
    with pytest.raises(VerifierError, match="no verifier 'accurcy'"):
        _spec(RewardTerm(name="a", verifier="accurcy")).check()


def test_a_check_refuses_an_unknown_option() -> None:
    with pytest.raises(VerifierError, match=r"'accuracy' has no option 'strictform'; did you mean 'strict_form'\?"):
        _spec(RewardTerm(name="accuracy", verifier="accuracy", options={"strictform": True})).check()


def test_a_check_refuses_a_function_of_the_wrong_shape(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def fn(completions):\n    return 1\n", encoding="utf-8")
    with pytest.raises(VerifierError, match="cannot be called as"):
        _spec(RewardTerm(name="mine", verifier="mine.py:fn"), base_dir=tmp_path).check()


def test_a_custom_verifier_that_raises_stops_the_scoring_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def fn(completion, problem):\n    raise RuntimeError('oh')\n", encoding="utf-8")
    with pytest.raises(VerifierError, match=r"verifier '.*mine\.py:fn' raised RuntimeError: oh"):
        _spec(RewardTerm(name="mine", verifier="mine.py:fn"), base_dir=tmp_path).score(RIGHT, PROBLEM)


def test_names_are_unique() -> None:
    with pytest.raises(VerifierError, match="two reward terms are named 'accuracy'"):
        _spec(ACCURACY, ACCURACY)


def test_a_reward_has_terms() -> None:
    with pytest.raises(VerifierError, match="at least one term"):
        RewardSpec(terms=())


def test_a_gate_is_a_term() -> None:
    with pytest.raises(VerifierError, match=r"gated by 'acuracy', which is no term; did you mean 'accuracy'\?"):
        _spec(ACCURACY, _format(gated_by="acuracy"))


def test_gates_form_no_circle() -> None:
    first = RewardTerm(name="a", verifier="format", gated_by="b")
    second = RewardTerm(name="b", verifier="format", gated_by="a")
    with pytest.raises(VerifierError, match="a -> b -> a"):
        _spec(first, second)
    with pytest.raises(VerifierError, match="a -> a"):
        _spec(RewardTerm(name="a", verifier="format", gated_by="a"))


@pytest.mark.parametrize("weight", [math.nan, math.inf])
def test_weights_are_finite(weight: float) -> None:
    with pytest.raises(VerifierError, match="finite"):
        RewardTerm(name="a", verifier="accuracy", weight=weight)
