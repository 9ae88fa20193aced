"""Batch arithmetic: whatever a person asks for divides in the end."""

import itertools

from reasoning_grpo.batching import plan_batches


def test_a_plan_that_divides_is_kept_as_asked() -> None:
    plan = plan_batches(prompts_per_step=16, num_generations=8, micro_batch_size=32)
    assert (plan.prompts_per_step, plan.micro_batch_size, plan.accumulation_steps, plan.notes) == (16, 32, 4, ())


def test_a_micro_batch_that_does_not_divide_is_lowered_and_said() -> None:
    # 7 x 3 = 21 rows; 8 does not divide 21, 7 does
    plan = plan_batches(prompts_per_step=7, num_generations=3, micro_batch_size=8)
    assert (plan.micro_batch_size, plan.accumulation_steps) == (7, 3)
    assert plan.notes == ("micro_batch_size lowered from 8 to 7, which divides 21 rows",)


def test_a_step_smaller_than_the_micro_batch_is_one_micro_batch_without_a_note() -> None:
    plan = plan_batches(prompts_per_step=2, num_generations=2, micro_batch_size=64)
    assert (plan.micro_batch_size, plan.accumulation_steps, plan.notes) == (4, 1, ())


def test_prompts_are_raised_until_the_rows_divide_over_the_devices() -> None:
    # 5 x 2 = 10 rows do not divide over 4 devices; 6 x 2 = 12 do
    plan = plan_batches(prompts_per_step=5, num_generations=2, micro_batch_size=8, world_size=4)
    assert (plan.prompts_per_step, plan.micro_batch_size, plan.accumulation_steps) == (6, 3, 1)
    assert "raised from 5 to 6" in plan.notes[0]


def test_every_small_combination_satisfies_trls_rules() -> None:
    for prompts, group, micro, world in itertools.product(range(1, 9), range(2, 7), range(1, 10), range(1, 5)):
        plan = plan_batches(prompts, group, micro, world)
        generation_batch = plan.micro_batch_size * world * plan.accumulation_steps
        assert generation_batch == plan.rows_per_step
        assert generation_batch % group == 0
        assert plan.prompts_per_step >= prompts
        assert plan.micro_batch_size <= micro
