"""The generation engine against one prompt at a time."""

from pathlib import Path

import pytest
import torch

from reasoning_grpo.config import ModelConfig
from reasoning_grpo.errors import UserError
from reasoning_grpo.models import end_token_ids, load_model, load_tokenizer
from reasoning_grpo.rollout import Sampling, generate

PROMPTS = ["2+2?", "a much longer prompt than the first one", "x", "Tom has 3 apples.\n"]


def test_a_batch_gives_what_each_prompt_gives_alone(tiny_model: Path) -> None:
    model, tokenizer = load_model(ModelConfig(name=str(tiny_model))), load_tokenizer(str(tiny_model))
    sampling = Sampling(max_completion_tokens=12)
    together = dict(generate(model, tokenizer, PROMPTS, sampling))
    alone = {i: next(generate(model, tokenizer, [prompt], sampling))[1] for i, prompt in enumerate(PROMPTS)}
    assert together == alone


def test_greedy_is_the_argmax_of_the_model(tiny_model: Path) -> None:
    model, tokenizer = load_model(ModelConfig(name=str(tiny_model))), load_tokenizer(str(tiny_model))
    ids = tokenizer("2+2?")["input_ids"]
    expected: list[int] = []
    for _ in range(5):
        expected.append(int(model(torch.tensor([ids + expected])).logits[0, -1].argmax()))
    ((_, completion),) = generate(model, tokenizer, ["2+2?"], Sampling(max_completion_tokens=5))
    assert completion.text == tokenizer.decode(expected)


def test_a_completion_that_reaches_the_limit_is_truncated_and_counted(tiny_model: Path) -> None:
    model, tokenizer = load_model(ModelConfig(name=str(tiny_model))), load_tokenizer(str(tiny_model))
    ((_, completion),) = generate(model, tokenizer, ["2"], Sampling(max_completion_tokens=3))
    assert (completion.truncated, completion.num_tokens) == (True, 3)


def test_an_end_token_ends_the_text_and_is_counted(tiny_model: Path) -> None:
    model, tokenizer = load_model(ModelConfig(name=str(tiny_model))), load_tokenizer(str(tiny_model))
    with torch.no_grad():
        model.lm_head.weight.zero_()
        model.model.norm.weight.fill_(1.0)
        model.lm_head.weight[1] = 0.0  # all logits equal: argmax takes id 0, the pad token
    model.generation_config.eos_token_id = [0, 1]
    assert end_token_ids(model, tokenizer) == {0, 1}
    ((_, completion),) = generate(model, tokenizer, ["2"], Sampling(max_completion_tokens=3))
    assert (completion.text, completion.truncated, completion.num_tokens) == ("", False, 1)


def test_the_models_own_generation_defaults_change_nothing(tiny_model: Path) -> None:
    model, tokenizer = load_model(ModelConfig(name=str(tiny_model))), load_tokenizer(str(tiny_model))
    plain = dict(generate(model, tokenizer, PROMPTS, Sampling(max_completion_tokens=8)))
    model.generation_config.update(repetition_penalty=5.0, do_sample=True, top_k=3, temperature=9.0)
    assert dict(generate(model, tokenizer, PROMPTS, Sampling(max_completion_tokens=8))) == plain
    assert model.generation_config.repetition_penalty == 5.0


def test_the_models_training_mode_is_put_back(tiny_model: Path) -> None:
    model, tokenizer = load_model(ModelConfig(name=str(tiny_model))), load_tokenizer(str(tiny_model))
    model.train()
    list(generate(model, tokenizer, ["2"], Sampling(max_completion_tokens=1)))
    assert model.training


def test_a_prompt_that_fills_the_context_is_refused(tiny_model: Path) -> None:
    model, tokenizer = load_model(ModelConfig(name=str(tiny_model))), load_tokenizer(str(tiny_model))
    with pytest.raises(UserError, match="prompt 1 has 256 tokens and the model's context holds 256"):
        list(generate(model, tokenizer, ["2", "9" * 256], Sampling(max_completion_tokens=1)))


def test_a_completion_ends_where_the_models_context_does(tiny_model: Path) -> None:
    model, tokenizer = load_model(ModelConfig(name=str(tiny_model))), load_tokenizer(str(tiny_model))
    prompts = ["9" * 250, "2"]  # the context holds 256: room for 6 more
    completions = dict(generate(model, tokenizer, prompts, Sampling(max_completion_tokens=20)))
    assert (completions[0].num_tokens, completions[0].truncated) == (6, True)
    assert completions[1].num_tokens == 20
