"""What TRL hands to a reward and what it gets back."""

import pickle

import pytest

from reasoning_grpo.data.prompts import RenderedPrompt
from reasoning_grpo.errors import DataError
from reasoning_grpo.rewards import RewardSpec, RewardTerm
from reasoning_grpo.rewards.compose import Scored
from reasoning_grpo.schema import AnswerForm, AnswerFormat, Problem
from reasoning_grpo.trl_bridge import RewardFunction, to_dataset

TAGS = AnswerFormat(form=AnswerForm.TAGS, think=True)
SPEC = RewardSpec(
    terms=(
        RewardTerm(name="accuracy", verifier="accuracy"),
        RewardTerm(name="format", verifier="format", weight=0.5, gated_by="accuracy"),
    ),
    answer_format=TAGS,
)
PROBLEM = Problem(id="p", question="2+2?", answer="4")
RIGHT = "<think>2 and 2</think>\n<answer>4</answer>"


def test_a_problem_travels_through_the_dataset_unchanged() -> None:
    problem = Problem(id="p", question="2+2?", answer="4", source="s", meta={"level": 3, "tags": ["a"]})
    prompt = RenderedPrompt(text="2+2?\n", answer_format=TAGS, prefill="<think>")
    row = to_dataset([problem], [prompt])[0]
    reward = RewardFunction(SPEC)
    reward(
        prompts=[row["prompt"]],
        completions=["2 and 2</think><answer>4</answer>"],
        problem_json=[row["problem_json"]],
        prefill=[row["prefill"]],
    )
    attempt = reward.last_attempts[0]
    assert (attempt.problem_id, reward.last_problems[0]) == ("p", problem)
    assert attempt.completion.text == "<think>2 and 2</think><answer>4</answer>"
    assert attempt.verdicts["format"].passed


def test_the_reward_is_the_weighted_sum_with_gating() -> None:
    rewards = RewardFunction(SPEC)(
        prompts=["2+2?"] * 3,
        completions=[RIGHT, "<think>x</think><answer>5</answer>", "4"],
        answer=["4", "4", "4"],
    )
    # right in form 1 + 0.5; wrong in form 0, the gate is shut; right out of form 1
    assert rewards == [1.5, 0.0, 1.0]


def test_an_ungradable_gold_abstains_whatever_the_other_terms_say() -> None:
    assert RewardFunction(SPEC)(prompts=["?"], completions=[RIGHT], answer=[""]) == [None]


def test_a_conversation_is_judged_by_its_last_message() -> None:
    rewards = RewardFunction(SPEC)(
        prompts=[[{"role": "user", "content": "2+2?"}]],
        completions=[[{"role": "assistant", "content": RIGHT}]],
        answer=["4"],
    )
    assert rewards == [1.5]


def test_completions_of_one_prompt_are_numbered() -> None:
    reward = RewardFunction(SPEC)
    reward(prompts=["a", "a", "b"], completions=["1", "2", "3"], answer=["1", "1", "1"])
    assert [attempt.sample for attempt in reward.last_attempts] == [0, 1, 0]
    assert reward.last_attempts[0].problem_id != reward.last_attempts[2].problem_id


def test_a_completion_without_an_end_token_counts_as_truncated() -> None:
    reward = RewardFunction(SPEC, end_ids={1})
    reward(prompts=["a", "a"], completions=["4", "4"], completion_ids=[[7, 1], [7, 7]], answer=["4", "4"])
    assert [a.completion.truncated for a in reward.last_attempts] == [False, True]
    assert [a.completion.num_tokens for a in reward.last_attempts] == [2, 2]


def test_every_outcome_of_every_term_is_logged_by_name() -> None:
    seen: dict[str, float] = {}
    RewardFunction(SPEC)(
        prompts=["a"] * 4, completions=[RIGHT, "5", "4", ""], answer=["4"] * 4, log_metric=seen.__setitem__
    )
    assert (seen["accuracy/score"], seen["accuracy/pass"], seen["accuracy/fail"]) == (0.5, 0.5, 0.25)
    assert (seen["accuracy/no_answer"], seen["accuracy/timeout"], seen["format/pass"]) == (0.25, 0.0, 0.25)


def test_a_dataset_without_golds_is_refused_with_its_columns() -> None:
    with pytest.raises(DataError, match=r"no column `answer`.*columns: gold.*answer_column"):
        RewardFunction(SPEC)(prompts=["a"], completions=["4"], gold=["4"])


def test_the_reward_function_pickles() -> None:
    copy = pickle.loads(pickle.dumps(RewardFunction(SPEC, end_ids=[1])))
    assert copy(prompts=["2+2?"], completions=[RIGHT], answer=["4"]) == [1.5]


def test_announced_scores_are_handed_out_once() -> None:
    reward = RewardFunction(SPEC)
    completion = reward.completion(RIGHT, None)
    reward.announce([completion], [Scored(reward=0.25, verdicts=SPEC.score(completion, PROBLEM).verdicts)])
    assert reward(prompts=["2+2?"], completions=[RIGHT], answer=["4"]) == [0.25]
    assert reward(prompts=["2+2?"], completions=[RIGHT], answer=["4"]) == [1.5]


def test_announced_scores_are_not_given_to_other_completions() -> None:
    reward = RewardFunction(SPEC)
    reward.announce([reward.completion("5", None)], [Scored(reward=0.0, verdicts={})])
    with pytest.raises(RuntimeError, match="other completions than were announced"):
        reward(prompts=["2+2?"], completions=[RIGHT], answer=["4"])


def test_rows_of_one_group_share_their_problem() -> None:
    one, again, other = RewardFunction(SPEC).problems(["a", "a", "b"], {"answer": ["1", "1", "1"]})
    assert one is again
    assert one != other
