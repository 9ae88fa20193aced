"""Which rows an optimizer step computes, in which company, and what they weigh."""

from typing import Any

import pytest
import torch

from reasoning_grpo.update.microbatches import MicroBatch, Rules, num_rows, plan, silence_rounding


def batch(lengths: list[int], advantages: list[float], prompts: list[int] | None = None) -> MicroBatch:
    """Return rows with completions of these lengths in 8 columns; `prompts` names each row's prompt token."""
    columns = torch.arange(8)
    return {
        "prompt_ids": torch.tensor([[0, prompt] for prompt in prompts or [9] * len(lengths)]),
        "prompt_mask": torch.tensor([[0, 1]] * len(lengths)),
        "completion_ids": torch.tensor(lengths)[:, None] * 10 + columns,
        "completion_mask": (columns < torch.tensor(lengths)[:, None]).long(),
        "advantages": torch.tensor(advantages),
        "num_items_in_batch": torch.tensor(sum(lengths)),
    }


def rules(loss_type: str = "grpo", **changes: Any) -> Rules:
    settings: dict[str, Any] = {"drop_silent_rows": True, "regroup": True, "group_prompts": False, **changes}
    return Rules(loss_type=loss_type, **settings)


def lengths_of(planned: list[MicroBatch]) -> list[list[int]]:
    return [one["completion_mask"].sum(dim=1).tolist() for one in planned]


def test_rows_without_advantage_leave_and_the_rest_is_sorted_by_length() -> None:
    planned = plan([batch([8, 3], [1.0, 0.0]), batch([5, 2], [0.0, -1.0])], 2, rules())
    assert lengths_of(planned) == [[8, 2], []]
    assert [one["loss_scale"] for one in planned] == [1.0, 0.0]


def test_short_rows_come_in_larger_numbers_within_trls_own_positions() -> None:
    # TRL: 2 rows x (1 + 8) = 18 positions. Rows of 9, 3, 3, 3, 3, 2, 2, 2 positions: the first with one more makes
    # 2 x 9; then six of at most 3 are 6 x 3 = 18.
    lengths = [[2, 2], [8, 2], [1, 1], [2, 1]]
    planned = plan([batch(pair, [1.0, -1.0]) for pair in lengths], 4, rules())
    assert lengths_of(planned) == [[8, 2], [2, 2, 2, 1, 1, 1], [], []]
    assert [one["loss_scale"] for one in planned] == [1.0, 3.0, 0.0, 0.0]


def test_every_row_keeps_what_belongs_to_it_and_is_trimmed() -> None:
    (one,) = plan([batch([2, 3], [1.0, -1.0])], 1, rules())
    assert one["completion_ids"].tolist() == [[30, 31, 32], [20, 21, 22]]
    assert one["advantages"].tolist() == [-1.0, 1.0]
    assert one["prompt_ids"].tolist() == [[9], [9]]
    assert one["num_items_in_batch"] == 5


def test_completions_of_a_prompt_stay_together_when_they_share_its_forward_pass() -> None:
    batches = [batch([4, 8], [1, 1], prompts=[5, 6]), batch([7, 3], [1, 1], prompts=[5, 6])]
    planned = plan(batches, 2, rules(group_prompts=True))
    assert [one["prompt_ids"].flatten().tolist() for one in planned] == [[6, 6], [5, 5]]


@pytest.mark.parametrize("loss_type", ["dapo", "cispo", "vespo"])
def test_losses_over_the_whole_batch_need_no_scale(loss_type: str) -> None:
    planned = plan([batch([8, 3], [1.0, 0.0]), batch([5, 2], [0.0, -1.0])], 2, rules(loss_type))
    assert [one["loss_scale"] for one in planned] == [1.0, 1.0]


def test_a_loss_over_the_micro_batchs_tokens_keeps_trls_micro_batches() -> None:
    planned = plan([batch([6, 2], [0.0, 1.0]), batch([5, 3], [0.0, 0.0])], 2, rules("bnpo"))
    assert lengths_of(planned) == [[2], []]
    assert [one["loss_scale"] for one in planned] == [0.25, 0.0]  # 2 of 8 tokens


def test_a_process_that_needs_fewer_rows_adds_its_shortest_silent_ones_and_fills_the_last_micro_batches() -> None:
    batches = [batch([8, 3], [1.0, 0.0]), batch([5, 2], [0.0, 0.0]), batch([4, 0], [0.0, 0.0])]
    planned = plan(batches, 3, rules(agree=lambda needed: needed + 2))
    assert lengths_of(planned) == [[], [8, 3], [2]]
    assert [one["advantages"].tolist() for one in planned] == [[], [1.0, 0.0], [0.0]]
    assert [one["loss_scale"] for one in planned] == [0.0, 1.0, 0.5]


def test_rows_stay_in_their_optimizer_step() -> None:
    planned = plan([batch([8, 3], [1.0, 1.0]), batch([1, 2], [1.0, -1.0])], 1, rules())
    assert lengths_of(planned) == [[8, 3], [2, 1]]


def test_nothing_moves_where_that_would_change_the_loss() -> None:
    planned = plan([batch([4, 3], [1.0, 0.0])], 1, rules(regroup=False, drop_silent_rows=False))
    assert lengths_of(planned) == [[4, 3]]
    assert planned[0]["completion_ids"].shape == (2, 4)


def test_a_batch_with_something_unknown_in_it_is_left_alone() -> None:
    strange = {**batch([4, 3], [1.0, 0.0]), "pixel_values": torch.zeros(2)}
    (one,) = plan([strange], 1, rules())
    assert num_rows(one) == 2
    assert one["completion_ids"].shape == (2, 8)


def test_an_advantage_that_is_rounding_becomes_nothing() -> None:
    advantages = torch.tensor([6e-4, -6e-4, 0.7, 1e-5])
    assert silence_rounding(advantages, 2, 1e-3).tolist() == pytest.approx([0.0, 0.0, 0.7, 1e-5])
