"""Scored rollouts -> the micro-batches of an optimizer step: only rows that carry gradient, each batch trimmed.

What a micro-batch weighs is corrected by `loss_scale`, so that the step's sum is the one TRL would have computed:

    grpo, sapo, luspo, dr_grpo   mean over the micro-batch's rows: scaled by rows kept / rows TRL would have had
    dapo, cispo, vespo           divided by the tokens of the whole batch: nothing to correct
    bnpo                         mean over the micro-batch's tokens: rows stay in TRL's own micro-batch, scaled by
                                 tokens kept / tokens TRL would have had

Several processes must forward equally many micro-batches of equally many rows, for TRL gathers figures of rows with
each, and the last micro-batch must be a real one, for it is where gradients are shared. So they agree on the number of
rows of the process that needs most, the others add silent rows, short ones first, and empty micro-batches come first.

Shapes: B rows, C completion columns, P prompt columns.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import Tensor

MicroBatch = dict[str, Any]

ROW_MEANS = frozenset({"grpo", "sapo", "luspo", "dr_grpo"})
BATCH_SUMS = frozenset({"dapo", "cispo", "vespo"})
TOKEN_MEANS = frozenset({"bnpo"})
PROMPT_KEYS = ("prompt_ids", "prompt_mask")
COMPLETION_KEYS = (
    "completion_ids",
    "completion_mask",
    "tool_mask",
    "advantages",
    "old_per_token_logps",
    "ref_per_token_logps",
    "sampling_per_token_logps",
    "importance_sampling_ratio",
)
SCALARS = ("num_items_in_batch",)
KNOWN_KEYS = frozenset((*PROMPT_KEYS, *COMPLETION_KEYS, *SCALARS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What may be done to the micro-batches of one optimizer step without changing its gradient."""

    loss_type: str
    drop_silent_rows: bool
    """Rows with advantage 0 leave: right only where nothing but the advantage gives a row gradient."""
    regroup: bool
    """Rows may change their micro-batch."""
    group_prompts: bool
    """Rows of one prompt stay together, for they share its forward pass; otherwise rows of one length do."""
    agree: Callable[[int], int] | None = None
    """How many rows each of several processes computes, given how many this one needs; None where it is alone."""


def plan(batches: Sequence[MicroBatch], window: int, rules: Rules) -> list[MicroBatch]:
    """Return as many micro-batches as came in; every `window` of them belong to one optimizer step.

    No micro-batch has more positions than TRL's own (rows times longest prompt and completion), so short rows may come
    in larger numbers. Batches at the end of a window (with several processes: at its beginning) may be left without
    rows.
    """
    if any(set(batch) - KNOWN_KEYS for batch in batches):  # images, environments: TRL's split as it is
        return [{**batch, "loss_scale": 1.0} for batch in batches]
    windows = [batches[start : start + window] for start in range(0, len(batches), window)]
    return list(chain.from_iterable(_plan_window(part, rules) for part in windows))


def num_rows(batch: MicroBatch) -> int:
    """Return the number of completions in a micro-batch."""
    return len(batch["completion_ids"])


def silence_rounding(advantages_B: Tensor, num_generations: int, threshold: float) -> Tensor:
    """Return the advantages with 0 for groups in which none exceeds the threshold.

    Equal rewards have a mean that may differ from them in the last bit, and TRL divides the difference by 0.0001.
    """
    if len(advantages_B) % num_generations:
        return advantages_B
    groups_NG = advantages_B.view(-1, num_generations)
    loud_N1 = groups_NG.abs().amax(dim=1, keepdim=True) > threshold
    return torch.where(loud_N1, groups_NG, torch.zeros_like(groups_NG)).flatten()


def _plan_window(batches: Sequence[MicroBatch], rules: Rules) -> list[MicroBatch]:
    if rules.regroup and rules.loss_type in ROW_MEANS | BATCH_SUMS:
        whole = _concatenate(batches)
        kept = _rows_with_gradient(whole) if rules.drop_silent_rows else list(range(num_rows(whole)))
        rows_per_batch = num_rows(batches[0])
        if rules.agree is None:
            buckets = _buckets(whole, kept, rows_per_batch, len(batches), rules.group_prompts)
        else:
            rows = _filled_up(whole, kept, rules.agree(len(kept)))
            buckets = _even_buckets(whole, rows, rows_per_batch, len(batches), rules.group_prompts)
        weighs = rules.loss_type in ROW_MEANS
        return [_select(whole, rows, len(rows) / rows_per_batch if weighs else 1.0) for rows in buckets]
    if rules.drop_silent_rows and rules.loss_type in TOKEN_MEANS and rules.agree is None:
        return [_without_silent_rows(batch) for batch in batches]
    return [_select(batch, list(range(num_rows(batch))), 1.0) for batch in batches]


def _without_silent_rows(batch: MicroBatch) -> MicroBatch:
    kept = _rows_with_gradient(batch)
    tokens_B = (batch["completion_mask"] * batch.get("tool_mask", 1)).sum(dim=1)
    return _select(batch, kept, float(tokens_B[kept].sum() / tokens_B.sum().clamp(min=1)))


def _rows_with_gradient(batch: MicroBatch) -> list[int]:
    advantages = batch["advantages"]
    loud_B = advantages != 0 if advantages.dim() == 1 else (advantages != 0).any(dim=1)
    rows: list[int] = (loud_B & batch["completion_mask"].any(dim=1)).nonzero()[:, 0].tolist()
    return rows


def _buckets(
    whole: MicroBatch, rows: list[int], rows_per_batch: int, num_buckets: int, group_prompts: bool
) -> list[list[int]]:
    """Fill buckets with the longest first; TRL's budget holds at least its own number of rows, so all rows fit."""
    prompts: list[int] = whole["prompt_mask"].sum(dim=1).tolist()
    completions: list[int] = whole["completion_mask"].sum(dim=1).tolist()
    budget = rows_per_batch * (max(prompts) + max(completions))
    buckets: list[list[int]] = [[]]
    for row in _order(whole, rows, _lengths(whole), group_prompts):
        candidate = [*buckets[-1], row]
        longest = max(prompts[i] for i in candidate) + max(completions[i] for i in candidate)
        if len(candidate) * longest > budget:
            buckets.append([row])
        else:
            buckets[-1] = candidate
    return buckets + [[] for _ in range(num_buckets - len(buckets))]


def _filled_up(whole: MicroBatch, rows: list[int], wanted: int) -> list[int]:
    """Return the rows and as many others as are wanted; their advantage of 0 gives them no gradient."""
    lengths: list[int] = whole["completion_mask"].sum(dim=1).tolist()
    others = sorted(set(range(num_rows(whole))) - set(rows), key=lambda row: (lengths[row] == 0, lengths[row]))
    return rows + others[: wanted - len(rows)]


def _even_buckets(
    whole: MicroBatch, rows: list[int], rows_per_batch: int, num_buckets: int, group_prompts: bool
) -> list[list[int]]:
    """Fill the last buckets with as many rows as TRL's micro-batches have."""
    ordered = _order(whole, rows, _lengths(whole), group_prompts)
    full = [ordered[start : start + rows_per_batch] for start in range(0, len(ordered), rows_per_batch)]
    return [[] for _ in range(num_buckets - len(full))] + full


def _lengths(whole: MicroBatch) -> list[int]:
    lengths: list[int] = (whole["prompt_mask"].sum(dim=1) + whole["completion_mask"].sum(dim=1)).tolist()
    return lengths


def _order(whole: MicroBatch, rows: list[int], lengths: list[int], group_prompts: bool) -> list[int]:
    if not group_prompts:
        return sorted(rows, key=lambda row: -lengths[row])
    groups: dict[tuple[int, ...], list[int]] = {}
    for row in rows:
        real = whole["prompt_mask"][row].bool()
        groups.setdefault(tuple(whole["prompt_ids"][row][real].tolist()), []).append(row)
    longest_first = sorted(groups.values(), key=lambda group: -max(lengths[row] for row in group))
    return [row for group in longest_first for row in group]


def _concatenate(batches: Sequence[MicroBatch]) -> MicroBatch:
    """Join micro-batches of one generation: they have the same widths."""
    rows = {key: torch.cat([batch[key] for batch in batches]) for key in batches[0] if key not in SCALARS}
    return {**rows, **{key: batches[0][key] for key in SCALARS if key in batches[0]}}


def _select(batch: MicroBatch, rows: list[int], loss_scale: float) -> MicroBatch:
    """Return some rows, trimmed to the longest prompt and completion among them."""
    width = batch["completion_ids"].shape[1]
    num_prompt = int(batch["prompt_mask"][rows].sum(dim=1).max()) if rows else 0
    num_completion = max(1, int(batch["completion_mask"][rows].sum(dim=1).max())) if rows else 0
    selected: MicroBatch = {"loss_scale": loss_scale}
    for key, value in batch.items():
        if key in SCALARS:
            selected[key] = value
        elif key in PROMPT_KEYS:
            selected[key] = value[rows][:, value.shape[1] - num_prompt :]
        else:
            by_position = value.dim() == 2 and value.shape[1] == width
            selected[key] = value[rows][:, :num_completion] if by_position else value[rows]
    return selected
