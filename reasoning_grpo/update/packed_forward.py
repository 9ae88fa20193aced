"""Log-probabilities of a packed row, and whether a model can be trusted with one.

Where the model's logits are a linear head's product, our own head scores them (`lm_head.py`), otherwise TRL's.

Shapes: as in `packing.py`.
"""

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from reasoning_grpo.engine.attention_seam import rotates_by_length
from reasoning_grpo.update.lm_head import token_log_probs
from reasoning_grpo.update.packed_attention import AttentionPlan, packed_attention_in
from reasoning_grpo.update.packing import Packed, pack

log = logging.getLogger("reasoning_grpo")

# Two prompts, three completions, one prompt of a single token: every case of the layout in eleven tokens.
PROBE_ROWS = (((5, 6, 7, 8), (9, 10, 11)), ((5, 6, 7, 8), (12, 13)), ((14,), (15, 16)))
TOLERANCE = 1e-3  # of the largest hidden value; rounding in float32 is a hundred times below it


def packed_log_probs(
    model: Any, base: PreTrainedModel, packed: Packed, temperature: float | None
) -> tuple[Tensor, Tensor | None]:
    """Return the log-probabilities (S) of the completion tokens, and the entropies (S) where the head computes them.

    `model` is what TRL calls (wrapped or not), `base` the causal language model inside it. With a temperature our own
    head is taken, whose entropies carry no gradient; with None TRL's, which it has set up with the temperature.
    """
    inputs = {
        "input_ids": packed.input_ids_T[None],
        "position_ids": packed.position_ids_T[None],
        "packed_plan": AttentionPlan.of(packed),
    }
    with packed_attention_in(base):
        if temperature is not None:
            with _own_head(base, packed, temperature):
                logps_S, entropies_S = model(**inputs)
            return logps_S, entropies_S
        with _suffixes_only(base, packed.num_prefix_tokens):
            outputs = model(**inputs, shift_labels=packed.targets_S[None], fused_lm_head=True)
    return outputs.log_probs[0], None if outputs.entropy is None else outputs.entropy[0]


@contextlib.contextmanager
def _own_head(base: PreTrainedModel, packed: Packed, temperature: float) -> Iterator[None]:
    """Let the model score the packed suffixes while the block runs: wrappers around it still see one forward pass."""

    def forward(**inputs: Any) -> tuple[Tensor, Tensor]:
        hidden_TD = base.base_model(**inputs, use_cache=False).last_hidden_state[0]
        head = base.get_output_embeddings()
        suffixes_SD = hidden_TD[packed.num_prefix_tokens :].to(head.weight.device)
        return token_log_probs(suffixes_SD, head, packed.targets_S.to(head.weight.device), temperature)

    own = base.__dict__.get("forward")
    base.forward = forward
    try:
        yield
    finally:
        del base.forward
        if own is not None:
            base.forward = own


def longest_window(base: PreTrainedModel) -> float:
    """Return how many positions every layer of the model sees at once."""
    text = base.config.get_text_config()
    windows = [getattr(text, name, None) for name in ("sliding_window", "attention_chunk_size")]
    return min((float(window) for window in windows if window), default=float("inf"))


def agrees_with_plain_forward(base: PreTrainedModel) -> bool:
    """Compare hidden states of a packed probe with those of each row alone; says so when they differ.

    Architectures differ in what they pass to attention, and a list of good ones would grow old: the model is asked.
    """
    if rotates_by_length(base.config):
        return False
    was_training = base.training
    base.eval()
    try:
        difference = _probe(base)
    except Exception as error:  # whatever a strange architecture raises, the plain path still serves it
        log.warning("prompts are not shared in updates: %s refuses packed rows (%s)", type(base).__name__, error)
        return False
    finally:
        base.train(was_training)
    if difference > TOLERANCE * (1 if base.dtype == torch.float32 else 30):
        log.warning("prompts are not shared in updates: packed rows change %s by %.0e", type(base).__name__, difference)
        return False
    return True


@torch.no_grad()
def _probe(base: PreTrainedModel) -> float:
    """Return the largest difference between packed and plain hidden states, as a share of the largest value."""
    width = max(len(prompt) for prompt, _ in PROBE_ROWS)
    columns = max(len(completion) for _, completion in PROBE_ROWS)
    rows, masks = [], []
    for prompt, completion in PROBE_ROWS:
        left, right = width - len(prompt), columns - len(completion)
        rows.append([0] * left + [*prompt, *completion] + [0] * right)
        masks.append([0] * left + [1] * (len(prompt) + len(completion)) + [0] * right)
    packed = pack(torch.tensor(rows, device=base.device), torch.tensor(masks, device=base.device), columns)
    plan = AttentionPlan.of(packed)
    backbone = base.base_model
    with torch.autocast(base.device.type, enabled=False):
        with packed_attention_in(base):
            inputs = {"input_ids": packed.input_ids_T[None], "position_ids": packed.position_ids_T[None]}
            states_SD = backbone(**inputs, packed_plan=plan, use_cache=False).last_hidden_state[0]
        plain_SD = torch.cat([_plain_states(backbone, *row) for row in PROBE_ROWS])
    difference = (states_SD[packed.num_prefix_tokens :] - plain_SD).abs().max() / plain_SD.abs().max()
    return float(difference.nan_to_num(nan=float("inf")))


def _plain_states(backbone: Any, prompt: tuple[int, ...], completion: tuple[int, ...]) -> Tensor:
    ids = torch.tensor([[*prompt, *completion]], device=backbone.device)
    states: Tensor = backbone(input_ids=ids, use_cache=False).last_hidden_state
    return states[0, len(prompt) - 1 : -1]


@contextlib.contextmanager
def _suffixes_only(base: PreTrainedModel, num_prefix_tokens: int) -> Iterator[None]:
    """Hand only the scored positions to the head: on a CPU TRL's head projects every position it is given."""

    def cut(module: Any, inputs: Any, output: Any) -> Any:
        output.last_hidden_state = output.last_hidden_state[:, num_prefix_tokens:]
        return output

    hook = base.base_model.register_forward_hook(cut)
    try:
        yield
    finally:
        hook.remove()
