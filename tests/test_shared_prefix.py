"""Rows that share a prompt: kept once, forgotten with its last row, and only where the model's attention allows it."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from transformers import AttentionInterface

from reasoning_grpo.engine import decoding, shared_prefix
from reasoning_grpo.engine.decoding import Request, Written, decode
from reasoning_grpo.engine.kv_cache import GrowingCache
from reasoning_grpo.engine.sampling import Sampling
from reasoning_grpo.engine.shared_prefix import SharedLayer, SharedPrefixes, Witness

Make = Callable[[str], Any]
PROMPTS = ([5, 6, 7], [9], [11, 12, 13, 14, 15])
LIMITS = ((4, 2, 9), (3, 3, 3), (9, 1, 1))


def requests() -> list[Request]:
    return [
        Request(prompt_ids=ids, prompt=prompt, sample=sample, max_tokens=limit)
        for prompt, (ids, limits) in enumerate(zip(PROMPTS, LIMITS, strict=True))
        for sample, limit in enumerate(limits)
    ]


@pytest.fixture
def shapes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Return a list that receives (prompts, rows) of the first layer at every new token."""
    seen: list[tuple[int, int]] = []
    update = SharedLayer.update

    def spy(self: SharedLayer, keys: torch.Tensor, values: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        seen.append((len(self.prompt_values_NHPD), len(keys)))
        return update(self, keys, values, *args, **kwargs)

    monkeypatch.setattr(SharedLayer, "update", spy)
    return seen


def write(model: Any, sampling: Sampling) -> list[Written]:
    return sorted(decode(model, requests(), sampling, frozenset(), 0), key=lambda one: one.index)


def without_sharing(model: Any, sampling: Sampling, monkeypatch: pytest.MonkeyPatch) -> list[Written]:
    with monkeypatch.context() as patch:
        patch.setattr(decoding, "can_share", lambda model: False)
        return write(model, sampling)


def test_a_prompt_is_kept_once_and_forgotten_with_its_last_row(make_tiny: Make, shapes: list[tuple[int, int]]) -> None:
    model = make_tiny("llama")
    write(model, Sampling(max_completion_tokens=9))
    # Rows left after 1, 2, ... tokens: 7, 6, 3 (the second prompt has ended), 2, 2, 2, 2, 2; two layers each.
    assert shapes[::2] == [(3, 7), (3, 6), (2, 3), (2, 2), (2, 2), (2, 2), (2, 2), (2, 2)]


@pytest.mark.parametrize("name", ["llama", "qwen3", "gpt_neox", "mistral", "gemma3_text", "gpt2", "olmo2"])
def test_what_is_written_does_not_change_when_rows_end_out_of_order(
    make_tiny: Make, shapes: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    model, sampling = make_tiny(name), Sampling(max_completion_tokens=9, temperature=1.0, seed=2)
    shared = write(model, sampling)
    assert shapes  # prompts were shared
    plain = without_sharing(model, sampling, monkeypatch)
    assert [one.ids for one in shared] == [one.ids for one in plain]
    for one, other in zip(shared, plain, strict=True):
        assert one.logprobs == pytest.approx(other.logprobs, abs=2e-5)


@pytest.mark.parametrize("extra", ["softcap", "s_aux"])
def test_attention_that_is_passed_something_unknown_is_left_to_transformers(
    make_tiny: Make, shapes: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch, extra: str
) -> None:
    model = make_tiny("llama")
    for layer in model.model.layers:
        attend = layer.self_attn.forward

        def strange(*args: Any, attend: Any = attend, **kwargs: Any) -> Any:
            return attend(*args, **kwargs, **{extra: torch.zeros(4)})

        monkeypatch.setattr(layer.self_attn, "forward", strange)
    monkeypatch.setitem(AttentionInterface._global_mapping, "sdpa", _without_extras)
    monkeypatch.setattr(shared_prefix, "sdpa_attention_forward", _without_extras)
    assert len(write(model, Sampling(max_completion_tokens=9))) == 9
    assert shapes == []


def test_a_model_with_attention_of_its_own_keeps_it(make_tiny: Make, shapes: list[tuple[int, int]]) -> None:
    model = make_tiny("llama")
    model.set_attn_implementation("eager")
    assert len(write(model, Sampling(max_completion_tokens=9))) == 9
    assert shapes == []


def test_in_bfloat16_log_probabilities_stay_as_close_to_float32(
    make_tiny: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact, rounded = make_tiny("llama"), make_tiny("llama").to(torch.bfloat16)
    sampling = Sampling(max_completion_tokens=9, temperature=1.0)
    shared, plain = write(rounded, sampling), without_sharing(rounded, sampling, monkeypatch)
    assert _mean_error(exact, shared) < 1.5 * _mean_error(exact, plain) + 1e-3


def _mean_error(model: Any, written: Sequence[Written]) -> float:
    errors = []
    for one, request in zip(written, requests(), strict=True):
        with torch.no_grad():
            ids = torch.tensor([[*request.prompt_ids, *one.ids]])
            logs = model(ids).logits[0, len(request.prompt_ids) - 1 : -1].log_softmax(-1)
        expected = logs[range(len(one.ids)), one.ids].tolist()
        errors += [abs(mine - true) for mine, true in zip(one.logprobs, expected, strict=True)]
    return float(sum(errors) / len(errors))


def _without_extras(module: Any, query: Any, key: Any, value: Any, mask: Any, **others: Any) -> Any:
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    return sdpa_attention_forward(module, query, key, value, mask, scaling=others.get("scaling"))


def test_rows_ask_the_prompt_they_belong_to() -> None:
    # One head, two prompts with values 1 and 10; rows of prompts 1, 0, 1 weigh them 1, 2 and 3.
    prefixes = SharedPrefixes.__new__(SharedPrefixes)
    prefixes._prompt_of_row, prefixes._device = [1, 0, 1], torch.device("cpu")
    prefixes._arrange()
    weights = torch.tensor([1.0, 2.0, 3.0]).view(3, 1, 1, 1)
    values = torch.tensor([1.0, 10.0]).view(2, 1, 1, 1)
    assert prefixes._ask_prompts(weights, values).flatten().tolist() == [10.0, 2.0, 30.0]


@pytest.mark.parametrize("dtype", [torch.bool, torch.float32])
def test_only_masks_of_truth_values_are_plain_attention(dtype: torch.dtype) -> None:
    states = torch.ones(1, 2, 3, 4)
    witness = Witness(GrowingCache())
    witness(torch.nn.Identity(), states, states, states, torch.ones(1, 1, 3, 3).to(dtype))
    assert witness.saw_plain_attention is (dtype == torch.bool)
