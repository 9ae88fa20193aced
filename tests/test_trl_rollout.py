"""TRL's generation seam: what it is given, what it gets back, and when it is left alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from trl import GRPOConfig

from reasoning_grpo.fast_grpo import FastGRPOTrainer
from reasoning_grpo.models import load_tokenizer
from reasoning_grpo.trl_rollout import bfloat16_copy, can_roll_out, rollout_func

Make = Callable[[str], Any]
PROMPTS = ["2+2?"] * 3 + ["Tom has 3 apples."] * 3


def make_trainer(model: Any, folder: Path, out: Path, **options: Any) -> FastGRPOTrainer:
    from datasets import Dataset

    config = GRPOConfig(
        output_dir=str(out),
        report_to="none",
        use_cpu=True,
        **{"bf16": False, "max_completion_length": 12, "num_generations": 3, **options},
        per_device_train_batch_size=3,
        gradient_checkpointing=False,
        seed=4,
    )
    return FastGRPOTrainer(
        model=model,
        args=config,
        reward_funcs=lambda completions, **kwargs: [0.0] * len(completions),
        train_dataset=Dataset.from_dict({"prompt": PROMPTS}),
        processing_class=load_tokenizer(str(folder)),
    )


def test_rollouts_are_trls_columns_with_the_log_probabilities_of_trls_own_forward(
    make_tiny: Make, tiny_model: Path, tmp_path: Path
) -> None:
    trainer = make_trainer(make_tiny("llama"), tiny_model, tmp_path, temperature=0.8)
    output = rollout_func(PROMPTS, trainer)
    assert output["prompt_ids"] == trainer.processing_class(text=PROMPTS)["input_ids"]
    assert len({tuple(ids) for ids in output["completion_ids"]}) == 6
    for prompt, ids, logprobs in zip(output["prompt_ids"], output["completion_ids"], output["logprobs"], strict=True):
        rows = torch.tensor([[*prompt, *ids]])
        logps, _, _ = super(FastGRPOTrainer, trainer)._get_per_token_logps_and_entropies(
            trainer.model, rows, torch.ones_like(rows), len(ids)
        )
        assert logprobs == pytest.approx(logps[0].tolist(), abs=2e-5)


def test_rollouts_depend_on_the_seed_and_the_step_and_on_no_random_state(
    make_tiny: Make, tiny_model: Path, tmp_path: Path
) -> None:
    trainer = make_trainer(make_tiny("llama"), tiny_model, tmp_path)
    first = rollout_func(PROMPTS, trainer)
    torch.manual_seed(99)
    assert rollout_func(PROMPTS, trainer) == first
    trainer.state.global_step = 1
    assert rollout_func(PROMPTS, trainer)["completion_ids"] != first["completion_ids"]


def test_the_entropy_over_every_row_is_logged_whatever_the_loss_computes(
    make_tiny: Make, tiny_model: Path, tmp_path: Path
) -> None:
    trainer = make_trainer(make_tiny("llama"), tiny_model, tmp_path)
    trainer.model.train()
    trainer._generate_and_score_completions([{"prompt": prompt} for prompt in PROMPTS])
    logprobs = [logprob for row in rollout_func(PROMPTS, trainer)["logprobs"] for logprob in row]
    assert trainer._metrics["train"]["rollout/entropy"] == pytest.approx([-sum(logprobs) / len(logprobs)], rel=1e-5)


def test_training_goes_through_the_decode_loop(make_tiny: Make, tiny_model: Path, tmp_path: Path) -> None:
    assert make_trainer(make_tiny("llama"), tiny_model, tmp_path).rollout_func is rollout_func


def test_a_compiled_model_is_rolled_out_by_the_decode_loop_uncompiled(
    make_tiny: Make, tiny_model: Path, tmp_path: Path
) -> None:
    trainer = make_trainer(make_tiny("llama"), tiny_model, tmp_path)
    plain = rollout_func(PROMPTS, trainer)
    trainer.model_wrapped = torch.compile(trainer.model_wrapped, backend="eager")
    assert rollout_func(PROMPTS, trainer) == plain


@pytest.mark.parametrize(
    "options",
    [{"repetition_penalty": 1.1}, {"generation_kwargs": {"num_beams": 2}}, {"cache_implementation": "static"}],
)
def test_what_only_trls_generation_can_do_is_left_to_it(
    make_tiny: Make, tiny_model: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    assert make_trainer(make_tiny("llama"), tiny_model, tmp_path, **options).rollout_func is None


@pytest.mark.parametrize("asked", ["use_vllm", "use_transformers_continuous_batching", "is_fsdp_enabled"])
def test_another_engine_that_was_asked_for_is_used(
    make_tiny: Make, tiny_model: Path, tmp_path: Path, asked: str
) -> None:
    trainer = make_trainer(make_tiny("llama"), tiny_model, tmp_path)
    assert can_roll_out(trainer)
    setattr(trainer if asked == "is_fsdp_enabled" else trainer.args, asked, True)
    assert not can_roll_out(trainer)


def test_the_bfloat16_copy_is_a_model_of_its_own_with_tied_weights_tied(make_tiny: Make) -> None:
    model = make_tiny("llama")
    model.lm_head.weight = model.model.embed_tokens.weight
    # As accelerate does: a closure over the original's forward, kept on the instance.
    original = model.forward
    model.forward = lambda **inputs: original(**inputs)
    twin = bfloat16_copy(model)
    assert twin.lm_head.weight is twin.model.embed_tokens.weight
    assert twin.dtype == torch.bfloat16
    assert model.dtype == torch.float32
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        assert twin(input_ids=ids).logits.dtype == torch.bfloat16
        difference = (twin(input_ids=ids).logits.float() - original(input_ids=ids).logits).abs().max()
        assert 0 < difference < 0.5


def test_bfloat16_training_rolls_out_and_updates(make_tiny: Make, tiny_model: Path, tmp_path: Path) -> None:
    trainer = make_trainer(make_tiny("llama"), tiny_model, tmp_path, bf16=True, max_steps=1)
    before = trainer.model.lm_head.weight.detach().clone()
    trainer.reward_funcs = [lambda completions, **kwargs: [float(row % 2) for row in range(len(completions))]]
    trainer.train()
    assert trainer.model.lm_head.weight.dtype == torch.float32
    assert not torch.equal(before, trainer.model.lm_head.weight)
