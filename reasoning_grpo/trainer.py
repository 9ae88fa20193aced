"""The GRPO loop: the fast trainer with verdicts that overlap generation and a record of every rollout.

What differs from `FastGRPOTrainer`:

    reward      a RewardSpec; each completion is verified while others are still being written (`collecting.py`)
    prompts     groups without signal give their place to fresh prompts, where asked for (`dynamic_sampling.py`)
    record      every rollout is written down with its verdicts and advantage, replaced ones with the cause; groups
                without signal are counted by cause

TRL's own methods run on what was collected: its generation is answered with the completions, its reward call with the
scores. Where TRL generates (vLLM, sharded weights, conversations), it generates first and the reward is computed then.
"""

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from accelerate.utils import gather_object

from reasoning_grpo import storage
from reasoning_grpo.advantage import Signal, group_signals
from reasoning_grpo.collecting import (
    Collected,
    Collector,
    Replacement,
    Rollout,
    collect_with_signal,
    correctness,
    scores_tensor,
)
from reasoning_grpo.dynamic_sampling import PromptReserve, Row
from reasoning_grpo.errors import RecipeError
from reasoning_grpo.fast_grpo import FastGRPOTrainer
from reasoning_grpo.schema import Attempt
from reasoning_grpo.trl_bridge import RewardFunction
from reasoning_grpo.trl_rollout import as_trl_output, group_size, places, rollout_func, writer

# The causes for which dynamic sampling replaces a group.
CAUSES = (Signal.ALL_RIGHT, Signal.ALL_WRONG, Signal.UNGRADABLE)


class ReasoningGRPOTrainer(FastGRPOTrainer):
    """The fast trainer with overlapping verification, dynamic sampling and rollouts on record.

    `rollouts` receives one row per completion: step, problem, prompt, completion, verdicts, reward, advantage, and why
    its group was replaced, if it was. `max_resampling_rounds` is that of TrainConfig.

    Raises:
        RecipeError: groups cannot be replaced here; the message says why.
    """

    def __init__(
        self,
        *,
        reward: RewardFunction,
        rollouts: storage.JsonlWriter,
        max_resampling_rounds: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(reward_funcs=reward, **kwargs)
        self.reward = reward
        self.rollouts = rollouts
        self.max_resampling_rounds = max_resampling_rounds
        self.reserve = self._reserve() if max_resampling_rounds else None
        self._collected: Collected | None = None

    def _generate_and_score_completions(self, inputs: list[Row]) -> dict[str, Any]:
        collected = self._collect(inputs) if self._may_collect(inputs) else None
        rows = inputs if collected is None else [rollout.row for rollout in collected.rollouts]
        if collected is not None and self.reserve is not None and self.model.training:
            self._record_replaced(collected)
        with self._answering(collected):
            batch: dict[str, Any] = super()._generate_and_score_completions(rows)
        advantages = batch["advantages"].tolist()
        for row, attempt, advantage in zip(rows, self.reward.last_attempts, advantages, strict=True):
            self.rollouts.write(rollout_row(self.state.global_step, row["prompt"], attempt, advantage))
        self._count_signals()
        return batch

    def _may_collect(self, rows: Sequence[Row]) -> bool:
        """Return whether our decode loop writes, and TRL will read its token ids as plain text."""
        return self.rollout_func is rollout_func and isinstance(rows[0]["prompt"], str)

    def _collect(self, rows: list[Row]) -> Collected:
        where = places(self, len(rows))
        replacement = self._replacement(rows)  # before the model is set to write, which is not training
        with writer(self) as write:
            collector = Collector(write=write, decode=self._decode, reward=self.reward)
            if replacement is None:
                return Collected(rollouts=collector.collect(rows, where))
            return collect_with_signal(collector, rows, where, replacement)

    def _decode(self, ids: Sequence[int]) -> str:
        text: str = self.processing_class.batch_decode([ids], skip_special_tokens=True)[0]
        return text

    @contextlib.contextmanager
    def _answering(self, collected: Collected | None) -> Iterator[None]:
        """Answer TRL's generation and its reward call with what was collected."""
        if collected is not None:
            rollouts = collected.rollouts
            self.reward.announce([one.completion for one in rollouts], [one.scored for one in rollouts])
        self._collected = collected
        try:
            yield
        finally:
            self._collected = None

    def _generate(self, prompts: list[Any]) -> Any:
        if self._collected is None:
            return super()._generate(prompts)
        engine, self.rollout_func = self.rollout_func, _replay(self._collected.rollouts)
        try:
            return super()._generate(prompts)
        finally:
            self.rollout_func = engine

    # -- dynamic sampling

    def _reserve(self) -> PromptReserve:
        cause = self._why_groups_must_stay()
        if cause:
            raise RecipeError(f"`max_resampling_rounds` is {self.max_resampling_rounds} and {cause}; set it to 0")
        place = {"process": self.accelerator.process_index, "num_processes": self.accelerator.num_processes}
        return PromptReserve(self.train_dataset, self.args.seed, **place)

    def _why_groups_must_stay(self) -> str:
        if self.rollout_func is not rollout_func:
            return "TRL's own generation writes here, in which no group can be replaced"
        if not hasattr(self.train_dataset, "__len__") or not isinstance(self.train_dataset[0]["prompt"], str):
            return "the training data are a stream or conversations, not the table of prompts that fresh ones come from"
        num_rows = self.args.per_device_train_batch_size * self.args.steps_per_generation
        if num_rows % self.num_generations:
            return f"a process has {num_rows} completions in groups of {self.num_generations}, not whole groups"
        return ""

    def _replacement(self, rows: Sequence[Row]) -> Replacement | None:
        if self.reserve is None or not self.model.training:
            return None
        mine = list(dict.fromkeys(row["prompt"] for row in rows))
        several = self.accelerator.num_processes > 1
        held = set(gather_object(mine) if several else mine)
        reserve = self.reserve

        def draw(count: int) -> list[Row]:
            fresh = reserve.draw(count, held)
            held.update(row["prompt"] for row in fresh)
            return fresh

        return Replacement(
            draw=draw,
            max_rounds=self.max_resampling_rounds,
            num_generations=self.num_generations,
            num_prompts=self.accelerator.num_processes * len(rows) // self.num_generations,
        )

    def _record_replaced(self, collected: Collected) -> None:
        """Write down and count the groups that were replaced; their tokens were read and written like all others."""
        for replaced in collected.replaced:
            for sample, one in enumerate(replaced.rollouts):
                attempt = one.attempt(sample)
                row = rollout_row(self.state.global_step, one.row["prompt"], attempt, None, replaced.signal)
                self.rollouts.write(row)
        counts = Counter(replaced.signal for replaced in collected.replaced)
        all_rollouts = [one for replaced in collected.replaced for one in replaced.rollouts]
        num_tokens = sum(len(one.prompt_ids) + len(one.written.ids) for one in all_rollouts)
        figures = [*(counts[cause] for cause in CAUSES), num_tokens, collected.num_rounds]
        totals = self.accelerator.reduce(torch.tensor(figures, device=self.accelerator.device), reduction="sum")
        *by_cause, num_tokens, num_rounds = totals.tolist()
        self.state.num_input_tokens_seen += num_tokens
        for cause, count in zip(CAUSES, by_cause, strict=True):
            self._metrics["train"][f"groups/replaced_{cause}"].append(count)
        self._metrics["train"]["groups/rounds"].append(num_rounds / self.accelerator.num_processes)

    def _count_signals(self) -> None:
        """Log the share of this rank's groups with each signal; a group split over ranks is left to TRL's own count."""
        attempts, size = self.reward.last_attempts, group_size(self)
        if len(attempts) % size:
            return
        term = self.reward.spec.terms[0].name
        rewards = scores_tensor([attempt.reward for attempt in attempts])
        correct = scores_tensor([correctness(attempt.verdicts, attempt.reward, term) for attempt in attempts])
        counts = Counter(group_signals(rewards.view(-1, size), correct.view(-1, size)))
        metrics = self._metrics["train" if self.model.training else "eval"]
        for signal in Signal:
            metrics[f"groups/{signal}"].append(counts[signal] / (len(attempts) // size))


def rollout_row(
    step: int, prompt: str, attempt: Attempt, advantage: float | None, replaced: Signal | None = None
) -> dict[str, Any]:
    """Return one row of the rollout log; `replaced` says why its group was not trained on: it has no advantage."""
    return {
        "step": step,
        "prompt": prompt,
        **storage.attempt_row(attempt),
        "advantage": advantage,
        "replaced": replaced,
    }


def _replay(rollouts: Sequence[Rollout]) -> Any:
    """Return a `rollout_func` that hands out what is written already."""
    output = as_trl_output([one.prompt_ids for one in rollouts], [one.written for one in rollouts])
    return lambda prompts, trainer: output
