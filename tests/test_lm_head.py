"""The head that scores completion tokens, against plain autograd, against TRL's, and the models it must not score."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from trl.kernels import ChunkedLogProbFunction

from reasoning_grpo.update import lm_head
from reasoning_grpo.update.lm_head import has_linear_head, token_log_probs

Make = Callable[[str], Any]


def random_head(*, bias: bool, dtype: torch.dtype) -> tuple[Tensor, nn.Linear, Tensor, Tensor]:
    """Return 11 hidden states of width 16, a head of 103 tokens, targets, and a weight for each log-probability."""
    torch.manual_seed(0)
    head = nn.Linear(16, 103, bias=bias).to(dtype)
    hidden_SD = torch.randn(11, 16, dtype=dtype, requires_grad=True)
    return hidden_SD, head, torch.randint(103, (11,)), torch.randn(11, dtype=dtype)


def gradients(logps_S: Tensor, factor_S: Tensor, *leaves: Tensor | None) -> list[Tensor]:
    return list(torch.autograd.grad((logps_S * factor_S).sum(), [leaf for leaf in leaves if leaf is not None]))


def test_two_equal_logits_have_half_the_probability_each() -> None:
    head = nn.Linear(1, 2, bias=False)
    nn.init.constant_(head.weight, 3.0)
    logps, entropies = token_log_probs(torch.ones(1, 1), head, torch.tensor([1]), 1.0)
    assert logps.tolist() == pytest.approx([-0.6931472])  # log(1/2)
    assert entropies.tolist() == pytest.approx([0.6931472])


@pytest.mark.parametrize("slab_positions", [100, 2], ids=["one slab, kept", "six slabs, two kept"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_values_and_gradients_are_those_of_autograd(
    monkeypatch: pytest.MonkeyPatch, temperature: float, bias: bool, slab_positions: int
) -> None:
    monkeypatch.setattr(lm_head, "SLAB_BYTES", slab_positions * 103 * 8)
    monkeypatch.setattr(lm_head, "CACHED_ENTRIES", 3 * 103)
    hidden_SD, head, targets_S, factor_S = random_head(bias=bias, dtype=torch.float64)
    logs_SV = (head(hidden_SD) / temperature).log_softmax(-1)
    expected = gradients(logs_SV[range(11), targets_S], factor_S, hidden_SD, head.weight, head.bias)
    logps_S, entropies_S = token_log_probs(hidden_SD, head, targets_S, temperature)
    found = gradients(logps_S, factor_S, hidden_SD, head.weight, head.bias)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(logps_S, logs_SV[range(11), targets_S])
    torch.testing.assert_close(entropies_S, -(logs_SV.exp() * logs_SV).sum(-1))


def test_in_bfloat16_gradients_are_as_close_to_float32_as_trls() -> None:
    hidden_SD, head, targets_S, factor_S = random_head(bias=False, dtype=torch.float32)
    leaves = (hidden_SD, head.weight)
    exact = gradients(token_log_probs(hidden_SD, head, targets_S, 1.0)[0], factor_S, *leaves)
    with torch.autocast("cpu", torch.bfloat16):
        ours_S = token_log_probs(hidden_SD, head, targets_S, 1.0)[0]
        trls_S = ChunkedLogProbFunction.apply(hidden_SD, head.weight, None, targets_S, 1.0, 64)[0]
    errors = [
        [float((found - true).norm() / true.norm()) for found, true in zip(found_all, exact, strict=True)]
        for found_all in (gradients(ours_S, factor_S, *leaves), gradients(trls_S, factor_S, *leaves))
    ]
    torch.testing.assert_close(ours_S, trls_S, atol=2e-3, rtol=0)
    # One rounding of a product more than TRL's, of 1/512 at most; measured 3e-3 beside its 2e-3.
    assert all(ours < trls + 2**-9 for ours, trls in zip(*errors, strict=True))


def test_a_confident_tokens_gradient_keeps_its_digits_in_bfloat16() -> None:
    # Logits 8 and 0: p = 0.99966, which bfloat16 rounds to 1; d log p / d logit is 1 - p = 3.4e-4.
    head, hidden = nn.Linear(1, 2, bias=False), torch.ones(1, 1, requires_grad=True)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[8.0], [0.0]]))
    with torch.autocast("cpu", torch.bfloat16):
        token_log_probs(hidden, head, torch.tensor([0]), 1.0)[0].sum().backward()  # type: ignore[no-untyped-call]
    assert head.weight.grad is not None
    assert head.weight.grad[:, 0].tolist() == pytest.approx([3.354e-4, -3.354e-4], rel=4e-3)


@pytest.mark.parametrize("name", ["llama", "qwen2", "gpt_neox", "mistral", "gemma3_text", "gpt2", "olmo2"])
def test_a_plain_head_is_recognized(make_tiny: Make, name: str) -> None:
    assert has_linear_head(make_tiny(name))


@pytest.mark.parametrize("name", ["gemma2", "cohere", "granite"])
def test_a_head_that_caps_or_scales_its_logits_is_left_to_trl(make_tiny: Make, name: str) -> None:
    model = make_tiny(name)
    if name == "granite":
        model.config.logits_scaling = 4.0  # its default of 1 is a plain head
    assert not has_linear_head(model)


def test_a_model_that_refuses_the_probe_keeps_trls_head(make_tiny: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_tiny("llama")

    def refuse(self: Any, *args: Any, **kwargs: Any) -> Any:
        raise ValueError("images are missing")

    monkeypatch.setattr(type(model), "forward", refuse)
    assert not has_linear_head(model)
