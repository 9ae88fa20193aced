"""Which token is drawn: against transformers' processors and against probabilities worked out by hand."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from transformers import GenerationConfig, PreTrainedModel
from transformers.generation import LogitsProcessorList

from reasoning_grpo.engine.sampling import Sampling, draw, filters, uniform_numbers
from reasoning_grpo.errors import UserError


def transformers_processors(model: PreTrainedModel, sampling: Sampling) -> LogitsProcessorList:
    config = GenerationConfig(
        do_sample=True,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        min_p=sampling.min_p,
        eos_token_id=1,
        pad_token_id=0,
    )
    config, _ = model._prepare_generation_config(config)
    return model._get_logits_processor(config, input_ids_seq_length=3, device="cpu")


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=1.0),
        Sampling(temperature=0.7),
        Sampling(temperature=1.3, top_k=5),
        Sampling(temperature=1.0, top_p=0.9),
        Sampling(temperature=1.0, min_p=0.05),
        Sampling(temperature=0.6, top_k=20, top_p=0.95, min_p=0.01),
    ],
    ids=str,
)
def test_filtered_probabilities_are_exactly_those_of_transformers_generate(
    make_tiny: Callable[[str], Any], sampling: Sampling
) -> None:
    logits = torch.randn(16, 1000, generator=torch.Generator().manual_seed(0)) * 4
    expected = transformers_processors(make_tiny("llama"), sampling)(torch.zeros(16, 3, dtype=torch.long), logits)
    scores = logits
    for step in filters(sampling):
        scores = step(None, scores)
    assert torch.equal(scores.softmax(-1), expected.softmax(-1))


def test_the_draw_inverts_the_distribution_function() -> None:
    # Probabilities 0.5, 0, 0.25, 0.25: cumulative 0.5, 0.5, 0.75, 1.
    scores = torch.tensor([0.5, 0.0, 0.25, 0.25]).log().expand(6, 4)
    tokens, logprobs = draw(scores, torch.tensor([0.0, 0.499, 0.501, 0.749, 0.751, 1 - 1e-16], dtype=torch.float64))
    assert tokens.tolist() == [0, 0, 2, 2, 3, 3]
    assert logprobs.exp().tolist() == pytest.approx([0.5, 0.5, 0.25, 0.25, 0.25, 0.25])


def test_draws_follow_the_distribution_over_many_blocks_of_the_vocabulary() -> None:
    # Three tokens of a vocabulary of 1000 hold all the weight: 0.2, 0.3, 0.5; 60 000 draws are within 1 %.
    scores = torch.full((1, 1000), float("-inf"))
    scores[0, [3, 511, 999]] = torch.tensor([0.2, 0.3, 0.5]).log()
    numbers = uniform_numbers(7, 0, 0, 60_000)
    tokens, _ = draw(scores.expand(60_000, 1000), numbers)
    shares = np.bincount(tokens.numpy(), minlength=1000)[[3, 511, 999]] / 60_000
    assert shares.tolist() == pytest.approx([0.2, 0.3, 0.5], abs=0.01)
    assert shares.sum() == 1.0


def test_a_completions_numbers_depend_on_seed_prompt_and_sample_only() -> None:
    first = uniform_numbers(1, 2, 3, 8)
    assert torch.equal(first, uniform_numbers(1, 2, 3, 20)[:8])
    others = [uniform_numbers(*key, 8) for key in ((0, 2, 3), (1, 3, 3), (1, 2, 4), (1, 3, 2))]
    assert not any(torch.equal(first, other) for other in others)
    assert bool(((first >= 0) & (first < 1)).all())


@pytest.mark.parametrize(
    ("setting", "value", "words"), [("temperature", -1.0, "0 \\(greedy\\) or more"), ("max_completion_tokens", 0, "1")]
)
def test_a_setting_out_of_range_is_refused(setting: str, value: float, words: str) -> None:
    with pytest.raises(UserError, match=words):
        Sampling(**{setting: value})  # type: ignore[arg-type]
