"""The decode loop against transformers' `generate` and against plain forward passes, architecture by architecture."""

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import torch

from reasoning_grpo import rollout
from reasoning_grpo.engine.decoding import MaxRows, Request, Written, can_decode, decode
from reasoning_grpo.engine.kv_cache import compaction
from reasoning_grpo.engine.sampling import Sampling
from reasoning_grpo.errors import UserError
from reasoning_grpo.rollout import write_completions

Make = Callable[[str], Any]
ARCHITECTURES = ("llama", "qwen2", "qwen3", "gpt_neox", "mistral", "gemma3_text", "gpt2", "olmo2")
PROMPTS = ([5, 6, 7], [9], [11, 12, 13, 14, 15, 16, 17, 18, 19], [20, 21])
END = frozenset({1, 2, 3, 4, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40})  # many, so that rows end at different times


def requests(prompts: Sequence[Sequence[int]] = PROMPTS, copies: int = 1) -> list[Request]:
    return [
        Request(prompt_ids=ids, prompt=number, sample=sample)
        for number, ids in enumerate(prompts)
        for sample in range(copies)
    ]


def ids_of(written: Sequence[Written]) -> dict[int, list[int]]:
    return {one.index: one.ids for one in written}


def at_most(num_rows: int) -> MaxRows:
    return lambda longest: num_rows


def generated(model: Any, ids: list[int], sampling: Sampling) -> list[int]:
    """What transformers' `generate` writes for one prompt alone, greedily."""
    ((one),) = rollout._generate_batch(model, [Request(prompt_ids=ids, prompt=0)], sampling, END, 0)
    return one.ids


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_greedy_decoding_is_transformers_generate_token_for_token(make_tiny: Make, name: str) -> None:
    model, sampling = make_tiny(name), Sampling(max_completion_tokens=150)
    assert can_decode(model)
    written = ids_of(list(decode(model, requests(), sampling, END, 0)))
    assert written == {index: generated(model, ids, sampling) for index, ids in enumerate(PROMPTS)}
    assert len({len(ids) for ids in written.values()}) > 1  # rows left the batch at different times


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_log_probabilities_are_those_of_a_plain_forward_at_the_temperature(make_tiny: Make, name: str) -> None:
    model, sampling = make_tiny(name), Sampling(max_completion_tokens=40, temperature=0.7)
    for one in decode(model, requests(copies=3), sampling, END, 0):
        prompt = PROMPTS[one.index // 3]
        with torch.no_grad():
            logits = model(torch.tensor([[*prompt, *one.ids]])).logits[0, len(prompt) - 1 : -1]
        expected = (logits / 0.7).log_softmax(-1)[range(len(one.ids)), one.ids]
        assert one.logprobs == pytest.approx(expected.tolist(), abs=2e-5)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_model_whose_scores_are_no_numbers_is_refused(make_tiny: Make, temperature: float) -> None:
    model = make_tiny("llama")
    with torch.no_grad():
        model.lm_head.weight[7, 0] = float("nan")
    with pytest.raises(UserError, match=r"scores of the next token are no numbers.*lower `train\.learning_rate`"):
        list(decode(model, requests(), Sampling(max_completion_tokens=5, temperature=temperature), END, 0))


def test_a_completion_does_not_depend_on_its_neighbours(make_tiny: Make) -> None:
    model, sampling = make_tiny("llama"), Sampling(max_completion_tokens=30, temperature=1.0, seed=3)
    every = requests(copies=4)
    together = ids_of(list(decode(model, every, sampling, END, 0)))
    alone = {index: next(iter(decode(model, [one], sampling, END, 0))).ids for index, one in enumerate(every)}
    assert together == alone
    assert len({tuple(ids) for ids in together.values()}) > 8  # the samples of a prompt differ


def test_filters_bound_what_is_drawn(make_tiny: Make) -> None:
    model = make_tiny("llama")
    greedy = ids_of(list(decode(model, requests(), Sampling(max_completion_tokens=9), END, 0)))
    top_1 = Sampling(max_completion_tokens=9, temperature=5.0, top_k=1)
    written = list(decode(model, requests(), top_1, END, 0))
    assert ids_of(written) == greedy
    assert {p for one in written for p in one.logprobs} == {0.0}  # one token is left: its probability is 1


def test_a_completion_is_handed_over_before_the_others_have_ended(make_tiny: Make) -> None:
    model, sampling = make_tiny("llama"), Sampling(max_completion_tokens=60)
    lengths = [len(one.ids) for one in decode(model, requests(), sampling, END, 0)]
    assert lengths == sorted(lengths)


def test_a_request_may_have_a_limit_of_its_own(make_tiny: Make) -> None:
    limited = [Request(prompt_ids=[5], prompt=0, max_tokens=limit) for limit in (3, None, 9)]
    written = ids_of(list(decode(make_tiny("llama"), limited, Sampling(max_completion_tokens=6), frozenset(), 0)))
    assert {index: len(ids) for index, ids in written.items()} == {0: 3, 1: 6, 2: 6}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_what_is_written_does_not_change_when_rows_take_the_places_of_others(make_tiny: Make, name: str) -> None:
    model, sampling = make_tiny(name), Sampling(max_completion_tokens=60, temperature=1.0, seed=5)
    together = {one.index: one for one in decode(model, requests(copies=4), sampling, END, 0)}
    with uninitialized_memory_that_is_no_number():
        for most in (1, 3, 7):
            for one in decode(model, requests(copies=4), sampling, END, 0, max_rows=at_most(most)):
                assert one.ids == together[one.index].ids
                assert one.logprobs == pytest.approx(together[one.index].logprobs, abs=2e-5)


@contextlib.contextmanager
def uninitialized_memory_that_is_no_number() -> Iterator[None]:
    torch.use_deterministic_algorithms(True, warn_only=True)  # fills what `empty` returns
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


def test_a_waiting_request_begins_when_a_quarter_of_the_rows_has_ended(
    make_tiny: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, shapes = spied_shapes(make_tiny("llama"), monkeypatch)
    limits = (2, 6, 6, 6, 4)
    every = [Request(prompt_ids=[7] * (place + 1), prompt=place, max_tokens=n) for place, n in enumerate(limits)]
    list(decode(model, every, Sampling(max_completion_tokens=6), frozenset(), 0, max_rows=at_most(4)))
    # Four prompts of up to 4 tokens; one row ends with its second; the others' second is fed, the fifth prompt of 5 is
    # read, and all end together.
    assert shapes == [(4, 4), (4, 1), (3, 1), (1, 5), (4, 1), (4, 1), (4, 1)]


def test_more_rows_are_written_at_a_time_when_the_longest_prompt_has_left(
    make_tiny: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, shapes = spied_shapes(make_tiny("llama"), monkeypatch)
    monkeypatch.setattr(rollout, "MAX_BATCH_POSITIONS", 24)  # two of 9 + 2 positions, or six of 2 + 2
    every = [Request(prompt_ids=[7] * length, prompt=place) for place, length in enumerate((9, *(2,) * 7))]
    list(write_completions(model, every, Sampling(max_completion_tokens=2), frozenset(), pad_id=0))
    assert shapes == [(2, 9), (2, 1), (1, 2), (6, 1)]


def test_there_are_no_more_own_positions_than_a_completion_may_have(
    make_tiny: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_tiny("llama")
    widths: list[int] = []
    forward = model.forward

    def spy(**inputs: Any) -> Any:
        widths.append(inputs["attention_mask"].shape[1])
        return forward(**inputs)

    monkeypatch.setattr(model, "forward", spy)
    every = [Request(prompt_ids=[7], prompt=place, max_tokens=n) for place, n in enumerate((5, 5, 5, 2, 6))]
    list(decode(model, every, Sampling(max_completion_tokens=6), frozenset(), 0, max_rows=at_most(4)))
    # One prompt of one token. The fourth row ends with its second token; the fifth begins behind two own positions,
    # beside which it writes its first two. When the first three end, it has three tokens and keeps the two it sees.
    assert widths == [1, 2, 3, 1, 4, 5, 4, 5, 6]


def test_where_a_layer_sees_a_window_requests_wait_for_an_empty_batch(
    make_tiny: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert waits_for_an_empty_batch(make_tiny("mistral"), monkeypatch)
    assert not waits_for_an_empty_batch(make_tiny("llama"), monkeypatch)


@pytest.mark.parametrize("nested", [False, True])
def test_where_the_longest_row_decides_how_all_are_rotated_requests_wait_for_an_empty_batch(
    make_tiny: Make, monkeypatch: pytest.MonkeyPatch, nested: bool
) -> None:
    model = make_tiny("llama")
    model.config.rope_parameters = {"rope_type": "dynamic", "rope_theta": 1e4}
    if nested:
        model.config.rope_parameters = {"full_attention": model.config.rope_parameters}
    assert waits_for_an_empty_batch(model, monkeypatch)


def waits_for_an_empty_batch(model: Any, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Return whether the prompt of two tokens is read after the third token of the longest row, not before."""
    model, shapes = spied_shapes(model, monkeypatch)
    every = [Request(prompt_ids=[7], prompt=place, max_tokens=n) for place, n in enumerate((1, 1, 1, 3))]
    every.append(Request(prompt_ids=[7, 7], prompt=4, max_tokens=1))
    list(decode(model, every, Sampling(max_completion_tokens=6), frozenset(), 0, max_rows=at_most(4)))
    assert sorted(shapes) == [(1, 1), (1, 1), (1, 1), (1, 2)]
    return shapes[-1] == (1, 2)


def test_only_rows_that_must_move_are_moved() -> None:
    # Rows 1 and 2 of six end: the last two kept rows, 4 and 5, take their places.
    assert compaction([0, 3, 4, 5]) == [0, 4, 5, 3]
    assert compaction([0, 1]) == [0, 1]


def test_each_distinct_prompt_is_read_once(make_tiny: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    model, shapes = spied_shapes(make_tiny("llama"), monkeypatch)
    list(decode(model, requests(copies=5), Sampling(max_completion_tokens=2), frozenset(), 0))
    assert shapes == [(4, 9), (20, 1)]


def spied_shapes(model: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, list[tuple[int, ...]]]:
    """Return the model and a list that receives the shape of what each forward pass is given."""
    shapes: list[tuple[int, ...]] = []
    forward = model.forward

    def spy(**inputs: Any) -> Any:
        shapes.append(tuple(inputs["input_ids"].shape))
        return forward(**inputs)

    monkeypatch.setattr(model, "forward", spy)
    return model, shapes


def test_a_model_with_a_recurrent_state_is_left_to_generate_and_that_is_said(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import MambaConfig, MambaForCausalLM

    monkeypatch.setattr(rollout, "_said", set())
    config = MambaConfig(vocab_size=103, hidden_size=16, num_hidden_layers=2, state_size=4, pad_token_id=0)
    model = MambaForCausalLM(config).eval()
    with caplog.at_level(logging.WARNING, "reasoning_grpo"):
        written = list(write_completions(model, requests(), Sampling(max_completion_tokens=3), END, pad_id=0))
    assert sorted(one.index for one in written) == [0, 1, 2, 3]
    assert [record.message for record in caplog.records if "generate" in record.message] == [
        "MambaForCausalLM is driven by transformers' own `generate`: its cache is not keys and values"
    ]
