"""Batch arithmetic: prompts per step and completions per prompt -> what TRL's divisibility rules want.

A step sees prompts x generations rows. They are spread over the devices and cut into equal micro-batches; TRL refuses
any combination that does not divide, so the numbers are chosen here to divide, and every adjustment is said.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchPlan:
    """Numbers that divide: prompts_per_step * num_generations = world_size * micro_batch_size * accumulation_steps."""

    prompts_per_step: int
    num_generations: int
    world_size: int
    micro_batch_size: int
    accumulation_steps: int
    notes: tuple[str, ...] = ()

    @property
    def rows_per_step(self) -> int:
        """Completions per optimizer step over all devices."""
        return self.prompts_per_step * self.num_generations


def plan_batches(prompts_per_step: int, num_generations: int, micro_batch_size: int, world_size: int = 1) -> BatchPlan:
    """Return the plan closest to what was asked: never fewer prompts, never a larger micro-batch."""
    prompts = prompts_per_step
    while prompts * num_generations % world_size:
        prompts += 1
    rows_per_device = prompts * num_generations // world_size
    micro = max(size for size in range(1, min(micro_batch_size, rows_per_device) + 1) if rows_per_device % size == 0)
    notes = []
    if prompts != prompts_per_step:
        notes.append(
            f"prompts_per_step raised from {prompts_per_step} to {prompts}, so that {prompts} x {num_generations} "
            f"completions divide over {world_size} devices"
        )
    if micro != min(micro_batch_size, rows_per_device):
        notes.append(
            f"micro_batch_size lowered from {micro_batch_size} to {micro}, which divides {rows_per_device} rows"
        )
    return BatchPlan(
        prompts_per_step=prompts,
        num_generations=num_generations,
        world_size=world_size,
        micro_batch_size=micro,
        accumulation_steps=rows_per_device // micro,
        notes=tuple(notes),
    )
