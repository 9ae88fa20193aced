"""The packed row, position by position, and the models that may or may not have one."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
import torch

from reasoning_grpo.update.packed_forward import agrees_with_plain_forward, longest_window
from reasoning_grpo.update.packing import pack

Make = Callable[[str], Any]


def test_a_prompt_is_laid_out_once_and_every_suffix_position_scores_one_token() -> None:
    # Prompts (5 6 7), (5 6 7), (8); completions (10 11), (12), (13 14 15).
    ids = torch.tensor([[5, 6, 7, 10, 11, 0], [5, 6, 7, 12, 0, 0], [0, 0, 8, 13, 14, 15]])
    mask = torch.tensor([[1, 1, 1, 1, 1, 0], [1, 1, 1, 1, 0, 0], [0, 0, 1, 1, 1, 1]])
    packed = pack(ids, mask, 3)
    assert packed.input_ids_T.tolist() == [5, 6, 7, 10, 7, 8, 13, 14]
    assert packed.position_ids_T.tolist() == [0, 1, 2, 3, 2, 0, 1, 2]
    assert packed.targets_S.tolist() == [10, 11, 12, 13, 14, 15]
    assert (packed.prefix_lengths, packed.suffix_lengths) == ((2, 0), (2, 1, 3))
    assert packed.prefix_of_suffix == (0, 0, 1)
    assert packed.longest == 4  # two prefix and two suffix tokens
    scored = torch.arange(1.0, 7.0)
    assert packed.unpack(scored).tolist() == [[1, 2, 0], [3, 0, 0], [4, 5, 6]]


def test_a_row_whose_completion_is_masked_is_not_computed() -> None:
    ids, mask = torch.tensor([[5, 10], [6, 11]]), torch.tensor([[1, 0], [1, 1]])
    packed = pack(ids, mask, 1)
    assert packed.input_ids_T.tolist() == [6]
    assert packed.unpack(torch.tensor([2.0])).tolist() == [[0.0], [2.0]]


@pytest.mark.parametrize("name", ["llama", "qwen2", "qwen3", "gpt_neox", "mistral", "gemma3_text", "gpt2", "olmo2"])
def test_packed_rows_have_the_hidden_states_of_each_row_alone(make_tiny: Make, name: str) -> None:
    assert agrees_with_plain_forward(make_tiny(name))


def test_a_model_that_caps_its_attention_scores_keeps_the_plain_path(
    make_tiny: Make, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "reasoning_grpo"):
        assert not agrees_with_plain_forward(make_tiny("gemma2"))
    assert "prompts are not shared in updates: Gemma2ForCausalLM refuses packed rows (softcap)" in caplog.text


def test_a_model_that_answers_otherwise_when_packed_keeps_the_plain_path(
    make_tiny: Make, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_tiny("llama")
    rotate = type(model.model.rotary_emb).forward
    # A model that ignores the positions it is given and counts tokens instead.
    monkeypatch.setattr(
        type(model.model.rotary_emb),
        "forward",
        lambda self, x, position_ids: rotate(self, x, torch.arange(x.shape[1])[None]),
    )
    with caplog.at_level(logging.WARNING, "reasoning_grpo"):
        assert not agrees_with_plain_forward(model)
    assert "packed rows change LlamaForCausalLM by" in caplog.text


def test_asking_a_model_leaves_its_mode_and_its_attention_as_they_were(make_tiny: Make) -> None:
    model = make_tiny("llama").train()
    before = model.config._attn_implementation
    agrees_with_plain_forward(model)
    assert model.training
    assert model.config._attn_implementation == before


def test_the_shortest_window_of_a_model_is_found(make_tiny: Make) -> None:
    assert longest_window(make_tiny("mistral")) == 6
    assert longest_window(make_tiny("llama")) == float("inf")
