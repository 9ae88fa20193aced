"""TRL's GRPOTrainer with the same gradients in a fraction of the time.

A drop-in for `trl.GRPOTrainer`, on narrow seams; nothing of TRL's generation or loss is copied. What differs:

    rollouts   a prompt is read once for all that begin together, finished rows leave (`trl_rollout.py`)
    batches    rows without gradient leave, the others are regrouped and trimmed (`update/microbatches.py`)
    forward    no padding, a group's prompt once (`update/packing.py`)
    head       completion positions only, products in the dtype of training (`update/lm_head.py`)

Where an option makes one of these inexact or impossible, TRL's own path is taken: the conditions are the three
`_may_...` functions and `_own_temperature` below. Metrics that TRL averages over micro-batches (entropy, clip ratios)
are over the rows that are computed: those that carry gradient and, of several processes, the silent ones that fill up.

A script of its own says how threads wait before it imports torch, as the command line does: `set_waiting` in
`commands/process.py`.
"""

from typing import Any

import torch
from torch import Tensor
from trl import GRPOTrainer

from reasoning_grpo.trl_rollout import can_roll_out, rollout_func
from reasoning_grpo.update.lm_head import has_linear_head
from reasoning_grpo.update.microbatches import MicroBatch, Rules, num_rows, plan, silence_rounding
from reasoning_grpo.update.packed_forward import agrees_with_plain_forward, longest_window, packed_log_probs
from reasoning_grpo.update.packing import pack


class FastGRPOTrainer(GRPOTrainer):  # type: ignore[misc]  # trl ships no types
    """See the module."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._agrees: dict[int, bool] = {}
        self._linear: dict[int, bool] = {}
        self.rollout_func: Any
        self._buffered_inputs: Any
        if self.rollout_func is None and can_roll_out(self):
            self.rollout_func = rollout_func

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        batch: dict[str, Any] = super()._generate_and_score_completions(inputs)
        if self.rollout_func is rollout_func:
            self._note_entropy(batch)
        if self.off_policy_mask_threshold is not None and self.rollout_func is rollout_func:
            # TRL would measure drift against these; without a `rollout_func` it takes the trained model's own.
            batch.pop("sampling_per_token_logps", None)
        if self.multi_objective_aggregation == "sum_then_normalize" and batch["advantages"].dim() == 1:
            group = self.num_generations if self.model.training else self.num_generations_eval
            threshold = 1e-3 if self.scale_rewards == "group" else 1e-6
            batch["advantages"] = silence_rounding(batch["advantages"], group, threshold)
        return batch

    def _note_entropy(self, batch: dict[str, Any]) -> None:
        """Log minus the mean log-probability of what was sampled: the policy's entropy over every row, estimated.

        TRL's own `entropy` is over the rows the loss computes, which here are few that carry no gradient.
        """
        mask_BC = batch["completion_mask"]
        sums = torch.stack([(batch["sampling_per_token_logps"] * mask_BC).sum(), mask_BC.sum()])
        total, count = self.accelerator.reduce(sums, reduction="sum").tolist()
        self._metrics["train" if self.model.training else "eval"]["rollout/entropy"].append(-total / max(count, 1))

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        inputs = super()._prepare_inputs(generation_batch)
        if not self.model.training:
            return inputs
        if "loss_scale" not in self._buffered_inputs[0]:
            self._buffered_inputs = plan(self._buffered_inputs, self._window(), self._rules())
        return self._buffered_inputs[self._step % self.args.steps_per_generation]

    def _window(self) -> int:
        """Return how many micro-batches of a generation fall into one optimizer step."""
        return min(int(self.args.gradient_accumulation_steps), int(self.args.steps_per_generation))

    def _rules(self) -> Rules:
        regroup = self._may_regroup()
        return Rules(
            loss_type=self.loss_type,
            drop_silent_rows=regroup and self.beta == 0.0,
            regroup=regroup,
            group_prompts=self._may_pack(self.model),
            agree=self._most_rows if self.accelerator.num_processes > 1 else None,
        )

    def _most_rows(self, needed: int) -> int:
        """Return how many rows the process that needs most has, but 1 where none needs any (`_loss_of_nothing`)."""
        counts = self.accelerator.gather(torch.tensor([needed], device=self.accelerator.device))
        return max(1, int(counts.max()))

    def _may_regroup(self) -> bool:
        """Terms that are means over a micro-batch need TRL's own; sharded weights meet in every forward pass.

        Several processes must plan alike, and of a mixed data set one may have images where another has none.
        """
        if self._is_vlm and self.accelerator.num_processes > 1:
            return False
        split_matters = self._entropy_bonus_enabled or self.aux_loss_enabled or self.top_entropy_quantile < 1.0
        steps, window = self.args.steps_per_generation, self._window()
        aligned = steps % window == 0 and self.args.gradient_accumulation_steps % window == 0
        return aligned and not split_matters and not (self.is_fsdp_enabled or self.is_deepspeed_enabled)

    def _may_pack(self, model: Any) -> bool:
        """Recomputation in the backward pass, compiled or sharded models and virtual prompts need the plain forward."""
        if self.args.gradient_checkpointing or self.args.torch_compile:
            return False
        if self.is_fsdp_enabled or self.is_deepspeed_enabled:
            return False
        unwrapped = self.accelerator.unwrap_model(model)
        if any(config.is_prompt_learning for config in getattr(unwrapped, "peft_config", {}).values()):
            return False
        base = _base(unwrapped)
        if id(base) not in self._agrees:
            self._agrees[id(base)] = agrees_with_plain_forward(base)
        return self._agrees[id(base)]

    def _own_temperature(self, base: Any) -> float | None:
        """Return the temperature where our own head may score, None where only TRL's is right."""
        if self._entropy_bonus_enabled or self.args.cast_lm_head_to_fp32:
            return None
        if id(base) not in self._linear:
            self._linear[id(base)] = has_linear_head(base)
        return float(self.temperature) if self._linear[id(base)] else None

    def _get_per_token_logps_and_entropies(
        self,
        model: Any,
        input_ids: Tensor,
        attention_mask: Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        compute_entropy: bool = False,
        compute_aux_loss: bool = False,
        **others: Any,
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        plain = compute_aux_loss or any(value is not None for value in others.values())
        if not plain and self._may_pack(model):
            size = batch_size or len(input_ids)
            parts = [
                self._packed_logps(model, input_ids[i : i + size], attention_mask[i : i + size], logits_to_keep)
                for i in range(0, len(input_ids), size)
            ]
            if all(part is not None for part in parts):
                logps, entropies = zip(*(part for part in parts if part is not None), strict=True)
                return torch.cat(logps), torch.cat(entropies) if compute_entropy else None, None
        result: tuple[Tensor, Tensor | None, Tensor | None] = super()._get_per_token_logps_and_entropies(
            model,
            input_ids,
            attention_mask,
            logits_to_keep,
            batch_size=batch_size,
            compute_entropy=compute_entropy,
            compute_aux_loss=compute_aux_loss,
            **others,
        )
        return result

    def _packed_logps(
        self, model: Any, ids_BT: Tensor, mask_BT: Tensor, num_columns: int
    ) -> tuple[Tensor, Tensor | None] | None:
        """Return log-probabilities and entropies (B, C), or None where only the plain forward is right."""
        packed = pack(ids_BT, mask_BT, num_columns)
        base = _base(self.accelerator.unwrap_model(model))
        if not len(packed.targets_S) or packed.longest > longest_window(base):
            return None
        temperature = self._own_temperature(base)
        with self.accelerator.autocast():
            logps_S, entropies_S = packed_log_probs(model, base, packed, temperature)
        return packed.unpack(logps_S), None if entropies_S is None else packed.unpack(entropies_S)

    def _compute_loss(self, model: Any, inputs: MicroBatch) -> Tensor:
        if num_rows(inputs) == 0:
            return self._loss_of_nothing()
        loss: Tensor = super()._compute_loss(model, inputs) * inputs.get("loss_scale", 1.0)
        return loss

    def _loss_of_nothing(self) -> Tensor:
        """Return 0 without a forward pass, and make sure that the optimizer finds a gradient of 0 where it is alone.

        An optimizer skips weights that have no gradient; decay and moments would miss the step. Of several processes
        none is ever here where gradients are shared: that needs a backward pass.
        """
        if self.accelerator.sync_gradients:
            for weight in self.model.parameters():
                if weight.requires_grad and weight.grad is None:
                    weight.grad = torch.zeros_like(weight)
        return torch.zeros((), device=self.accelerator.device, requires_grad=True)


def _base(model: Any) -> Any:
    """Return the causal language model without adapters' wrapping."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model
