"""Exactness is the condition of speed: our step's gradients against stock TRL's on the same rollouts, loss by loss."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from gradients import LOSSES, PROMPTS, TOLERANCE, Rollouts, train, worst_error
from trl import GRPOTrainer

from reasoning_grpo import fast_grpo
from reasoning_grpo.fast_grpo import FastGRPOTrainer
from reasoning_grpo.models import load_tokenizer
from reasoning_grpo.update.packed_forward import packed_log_probs

Make = Callable[[str], Any]


@pytest.fixture(autouse=True)
def _silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRL_EXPERIMENTAL_SILENCE", "1")  # it warns of `rollout_func`


def compare(make: Callable[[], Any], folder: Path, out: Path, **options: Any) -> tuple[float, FastGRPOTrainer]:
    tokenizer = load_tokenizer(str(folder))
    stock, _ = train(GRPOTrainer, make(), tokenizer, out, **options)
    ours, trainer = train(FastGRPOTrainer, make(), tokenizer, out, **options)
    return worst_error(ours, stock), trainer


@pytest.fixture(scope="session")
def reference(make_tiny: Make, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a Llama that is not quite the one trained: TRL loads the KL term's reference from disk."""
    model, folder = make_tiny("llama"), tmp_path_factory.mktemp("reference")
    torch.manual_seed(5)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.02)
    model.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("beta", [0.0, 0.1])
@pytest.mark.parametrize("loss_type", LOSSES)
def test_every_loss_has_trls_gradients(
    make_tiny: Make, tiny_model: Path, reference: Path, tmp_path: Path, loss_type: str, beta: float
) -> None:
    def make() -> Any:
        model = make_tiny("llama")
        model.config._name_or_path = str(reference)
        return model

    error, trainer = compare(make, tiny_model, tmp_path, loss_type=loss_type, beta=beta)
    assert error < TOLERANCE
    assert trainer._may_pack(trainer.model)  # the comparison was not of the plain path with itself
    assert trainer._own_temperature(trainer.model) == 1.0  # nor of TRL's head with itself


@pytest.mark.parametrize("loss_type", LOSSES)
def test_a_second_pass_over_the_same_rollouts_has_trls_gradients(
    make_tiny: Make, tiny_model: Path, tmp_path: Path, loss_type: str
) -> None:
    options = {"loss_type": loss_type, "num_iterations": 2, "max_steps": 4}
    # Weights in float64: over four optimizer steps float32 weights would carry their rounding from step to step, which
    # vespo's weights amplify to 1.2e-5 of the gradient. One float32 step is compared above.
    assert compare(lambda: make_tiny("llama").double(), tiny_model, tmp_path, **options)[0] < TOLERANCE


@pytest.mark.parametrize(
    "options",
    [
        {"scale_rewards": "batch"},
        {"scale_rewards": "none"},
        {"steps_per_generation": 8, "max_steps": 4},
        {"gradient_accumulation_steps": 8, "steps_per_generation": 4},
        {"importance_sampling_level": "sequence", "num_iterations": 2},
        {"off_policy_mask_threshold": 1e-3, "num_iterations": 2, "max_steps": 4},
        {"mask_truncated_completions": True},
        {"entropy_coef": 0.01},
        {"top_entropy_quantile": 0.5},
        {"temperature": 0.6},
        {"multi_objective_aggregation": "normalize_then_sum"},
        {"gradient_checkpointing": True},
    ],
    ids=str,
)
def test_every_option_has_trls_gradients(
    make_tiny: Make, tiny_model: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    assert compare(lambda: make_tiny("llama"), tiny_model, tmp_path, **options)[0] < TOLERANCE


@pytest.mark.parametrize("name", ["qwen2", "qwen3", "gpt_neox", "mistral", "gemma3_text", "olmo2", "gemma2", "cohere"])
def test_every_architecture_has_trls_gradients(make_tiny: Make, tiny_model: Path, tmp_path: Path, name: str) -> None:
    assert compare(lambda: make_tiny(name), tiny_model, tmp_path)[0] < TOLERANCE


@pytest.mark.parametrize("loss_type", ["dapo", "bnpo"])
@pytest.mark.parametrize("beta", [0.0, 0.1])
def test_adapters_have_trls_gradients(
    make_tiny: Make, tiny_model: Path, tmp_path: Path, loss_type: str, beta: float
) -> None:
    peft = pytest.importorskip("peft")

    def make() -> Any:
        torch.manual_seed(1)
        lora = peft.LoraConfig(r=2, lora_alpha=4, target_modules="all-linear", task_type="CAUSAL_LM")
        adapted = peft.get_peft_model(make_tiny("llama"), lora)
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:  # 0 at the start, and then the other half has no gradient
                torch.nn.init.normal_(weight, std=0.1)
        return adapted

    assert compare(make, tiny_model, tmp_path, loss_type=loss_type, beta=beta)[0] < TOLERANCE


def test_a_step_without_any_signal_still_decays_the_weights_as_trl_does(
    make_tiny: Make, tiny_model: Path, tmp_path: Path
) -> None:
    tokenizer, weights = load_tokenizer(str(tiny_model)), []
    for trainer_class in (GRPOTrainer, FastGRPOTrainer):
        model = make_tiny("llama")
        options: dict[str, Any] = {"optim": "adamw_torch", "weight_decay": 0.1, "rollouts": Rollouts([1.0] * 16)}
        train(trainer_class, model, tokenizer, tmp_path, **options)
        weights.append({name: p.detach().clone() for name, p in model.named_parameters()})
    start = dict(make_tiny("llama").named_parameters())
    assert all(torch.equal(weights[1][name], weights[0][name]) for name in start)
    assert not torch.equal(weights[0]["lm_head.weight"], start["lm_head.weight"])


def test_rows_without_signal_cost_no_forward_pass(
    make_tiny: Make, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens: list[int] = []

    def spy(model: Any, base: Any, packed: Any, temperature: float | None) -> Any:
        tokens.append(len(packed.input_ids_T))
        return packed_log_probs(model, base, packed, temperature)

    monkeypatch.setattr(fast_grpo, "packed_log_probs", spy)
    train(FastGRPOTrainer, make_tiny("llama"), load_tokenizer(str(tiny_model)), tmp_path, max_steps=1)
    rollouts = Rollouts()
    lengths = [len(ids) for ids in rollouts.rollout_func(["x"] * 16, _Tokens())["completion_ids"]]
    # Groups 0 ("2+2?") and 2 ("x") differ in reward; a prompt's last token is part of each suffix.
    expected = (len(PROMPTS[0]) - 1) + (len(PROMPTS[2]) - 1) + sum(lengths[0:4]) + sum(lengths[8:12])
    assert sum(tokens) == expected


@pytest.mark.parametrize(
    ("may_have_images", "num_processes", "may_regroup"), [(True, 2, False), (True, 1, True), (False, 2, True)]
)
def test_processes_of_which_one_may_have_images_and_another_none_keep_trls_micro_batches(
    may_have_images: bool, num_processes: int, may_regroup: bool
) -> None:
    trainer: Any = SimpleNamespace(
        args=SimpleNamespace(steps_per_generation=4, gradient_accumulation_steps=4),
        accelerator=SimpleNamespace(num_processes=num_processes),
        is_fsdp_enabled=False,
        is_deepspeed_enabled=False,
        aux_loss_enabled=False,
        top_entropy_quantile=1.0,
        _entropy_bonus_enabled=False,
        _is_vlm=may_have_images,
        _window=lambda: 4,
    )
    assert FastGRPOTrainer._may_regroup(trainer) is may_regroup


class _Tokens:
    """A trainer as far as `Rollouts.rollout_func` needs one."""

    @staticmethod
    def processing_class(text: list[str]) -> dict[str, list[list[int]]]:
        return {"input_ids": [[5] for _ in text]}
