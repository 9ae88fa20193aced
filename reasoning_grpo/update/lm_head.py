"""Log-probabilities of given tokens under a linear head, in the dtype of training and without logits in float32.

TRL's fused head makes its gradient products in float32 wherever no GPU is: in bfloat16 training on a CPU they are half
of an update's time. Here the products run in the training dtype, accumulated in float32 by the kernel and rounded once,
as every other linear layer's under autocast; softmax, log-probabilities and entropies are in float32. The forward pass
leaves `probability - one for the target` in the logits' place, which is all that the backward pass needs; what does not
fit into the memory granted for it is computed again.

Shapes: S scored positions, D width of a hidden state, V vocabulary, C positions of a slab.
"""

import logging
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

log = logging.getLogger("reasoning_grpo")

SLAB_BYTES = 2**27  # logits held at once; the vocabulary is never cut, so that a gradient is rounded once
KEPT_SLABS = 2  # of each micro-batch, until its backward pass
CACHED_ENTRIES = 2**21  # entries of the softmax at a time: what stays in a processor's cache
GPU_ENTRIES = 2**27
PROBE_TOKENS = (5, 6, 7, 8)
LARGE_LOGIT = 1000.0


def token_log_probs(hidden_SD: Tensor, head: nn.Linear, targets_S: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Return the targets' log-probabilities (S) at the temperature, and the entropies (S), which carry no gradient."""
    keep = torch.is_grad_enabled()
    result: tuple[Tensor, Tensor] = _TokenLogProbs.apply(  # type: ignore[no-untyped-call]
        hidden_SD, head.weight, head.bias, targets_S, 1.0 / temperature, keep
    )
    return result


@torch.no_grad()
def has_linear_head(base: PreTrainedModel) -> bool:
    """Return whether the model's logits are its head's product and nothing else: no cap, no scale, no adapter.

    Configurations name these things differently in every architecture, so the model is asked: its head gets hidden
    states so large that every cap shows.
    """
    head = base.get_output_embeddings()
    if type(head) is not nn.Linear:
        return False
    seen: list[Tensor] = []

    def enlarge(module: Any, inputs: Any, output: Any) -> Any:
        hidden = output.last_hidden_state
        seen.append(hidden * (LARGE_LOGIT / head(hidden).abs().max()))
        output.last_hidden_state = seen[-1]
        return output

    hook, was_training = base.base_model.register_forward_hook(enlarge), base.training
    base.eval()
    try:
        with torch.autocast(base.device.type, enabled=False):
            # the class's own forward: instances carry wrappers that cast
            logits = type(base).forward(base, input_ids=torch.tensor([PROBE_TOKENS], device=base.device)).logits
            expected = head(seen[-1])
    except Exception as error:  # whatever a strange architecture raises, TRL's own head still serves it
        log.warning("updates keep TRL's head: %s refuses the probe of its own (%s)", type(base).__name__, error)
        return False
    finally:
        hook.remove()
        base.train(was_training)
    return bool((logits - expected).abs().max() < 1e-2 * LARGE_LOGIT)


class _TokenLogProbs(torch.autograd.Function):
    """See the module."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden_SD: Tensor,
        weight_VD: Tensor,
        bias_V: Tensor | None,
        targets_S: Tensor,
        inverse_temperature: float,
        keep: bool,
    ) -> tuple[Tensor, Tensor]:
        device = hidden_SD.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden_SD.dtype
        ctx.slab = max(1, SLAB_BYTES // (len(weight_VD) * dtype.itemsize))
        ctx.dtype, ctx.inverse_temperature = dtype, inverse_temperature
        cast_VD = weight_VD.to(dtype)
        kept: list[Tensor] = []
        parts: list[list[Tensor]] = []
        for hidden_CD, targets_C in zip(
            torch.split(hidden_SD, ctx.slab), torch.split(targets_S, ctx.slab), strict=True
        ):
            residual_CV, *scores = _residuals(hidden_CD.to(dtype), cast_VD, bias_V, targets_C, inverse_temperature)
            parts.append(scores)
            if keep and len(kept) < KEPT_SLABS:
                kept.append(residual_CV)
        ctx.save_for_backward(hidden_SD, weight_VD, bias_V, targets_S, *kept)
        logps_S, entropies_S = (torch.cat(part) for part in zip(*parts, strict=True))
        ctx.mark_non_differentiable(entropies_S)
        return logps_S, entropies_S

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        hidden_SD, weight_VD, bias_V, targets_S, *kept = ctx.saved_tensors
        factor_S1 = gradients[0][:, None] * -ctx.inverse_temperature
        cast_VD = weight_VD.to(ctx.dtype)
        wide = factor_S1.dtype
        grad_hidden_SD = torch.empty_like(hidden_SD) if ctx.needs_input_grad[0] else None
        grad_weight_VD = torch.zeros_like(weight_VD, dtype=wide) if ctx.needs_input_grad[1] else None
        grad_bias_V = torch.zeros_like(bias_V, dtype=wide) if bias_V is not None and ctx.needs_input_grad[2] else None
        for number, start in enumerate(range(0, len(hidden_SD), ctx.slab)):
            at = slice(start, start + ctx.slab)
            hidden_CD, factor_C1 = hidden_SD[at].to(ctx.dtype), factor_S1[at]
            if number < len(kept):
                residual_CV = kept[number]
            else:
                residual_CV, *_ = _residuals(hidden_CD, cast_VD, bias_V, targets_S[at], ctx.inverse_temperature)
            if grad_hidden_SD is not None:
                grad_hidden_SD[at] = (residual_CV @ cast_VD) * factor_C1
            if grad_weight_VD is not None:
                grad_weight_VD += residual_CV.t() @ (hidden_CD * factor_C1).to(ctx.dtype)
            if grad_bias_V is not None:
                grad_bias_V += (factor_C1.t().to(ctx.dtype) @ residual_CV)[0]
        grad_weight = None if grad_weight_VD is None else grad_weight_VD.to(weight_VD.dtype)
        grad_bias = None if grad_bias_V is None or bias_V is None else grad_bias_V.to(bias_V.dtype)
        return grad_hidden_SD, grad_weight, grad_bias, None, None, None


def _residuals(
    hidden_CD: Tensor, weight_VD: Tensor, bias_V: Tensor | None, targets_C: Tensor, inverse_temperature: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return probabilities less one at the target (C, V), log-probabilities (C) and entropies (C).

    One is subtracted before rounding: a confident token's small gradient keeps its digits.
    """
    residual_CV = hidden_CD @ weight_VD.t()
    if bias_V is not None:
        residual_CV += bias_V.to(residual_CV.dtype)
    wide = torch.promote_types(residual_CV.dtype, torch.float32)
    entries = CACHED_ENTRIES if residual_CV.device.type == "cpu" else GPU_ENTRIES
    rows = max(1, entries // len(weight_VD))
    scores = []
    for part, targets in zip(torch.split(residual_CV, rows), torch.split(targets_C[:, None], rows), strict=True):
        scaled = part if inverse_temperature == 1.0 else part.to(wide) * inverse_temperature
        logs = torch.log_softmax(scaled, dim=-1, dtype=wide)
        probabilities = logs.exp()
        entropies = -torch.linalg.vecdot(probabilities, logs)
        scores.append((logs.gather(1, targets)[:, 0], entropies))
        part.copy_(probabilities.scatter_add_(1, targets, -torch.ones_like(targets, dtype=wide)))
    logps_C, entropies_C = (torch.cat(values) for values in zip(*scores, strict=True))
    return residual_CV, logps_C, entropies_C
