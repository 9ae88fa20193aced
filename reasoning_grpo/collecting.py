"""The rows of one generation -> completions with their scores: written and verified at the same time.

Each completion goes to the verifiers as soon as it is finished, while others are still being written
(rewards/stream.py). With a reserve of prompts, groups without signal are replaced by fresh ones, round by round
(`dynamic_sampling.py`). What comes out depends on seeds, weights and data, never on how long anything took.

Left out: how TRL takes the result over (`trainer.py`).
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from reasoning_grpo.advantage import Signal, correctness_signals
from reasoning_grpo.dynamic_sampling import Row
from reasoning_grpo.engine.decoding import Written
from reasoning_grpo.rewards.compose import Scored
from reasoning_grpo.rewards.stream import ScoreStream
from reasoning_grpo.schema import Attempt, Completion, Problem
from reasoning_grpo.trl_bridge import PREFILL_COLUMN, RewardFunction
from reasoning_grpo.trl_rollout import Place, Write


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """One row of a generation: the prompt, what the model wrote and what the verifiers found."""

    row: Row
    prompt_ids: Sequence[int]
    written: Written
    problem: Problem
    completion: Completion
    scored: Scored

    def attempt(self, sample: int) -> Attempt:
        """Return the rollout as the `sample`-th attempt at its problem."""
        verdicts, reward = self.scored.verdicts, self.scored.reward
        return Attempt(
            problem_id=self.problem.id, sample=sample, completion=self.completion, verdicts=verdicts, reward=reward
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaced:
    """A group that gave its place to a fresh prompt, and why."""

    signal: Signal
    rollouts: Sequence[Rollout]


@dataclass(slots=True, kw_only=True)
class Collected:
    """The rollouts of a generation in the order of its rows, and the groups that were replaced on the way."""

    rollouts: list[Rollout] = field(default_factory=list)
    replaced: list[Replaced] = field(default_factory=list)
    num_rounds: int = 0
    """Rounds after the first: how often something was replaced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Collector:
    """Writes and scores; `decode` turns token ids into text as TRL will."""

    write: Write
    decode: Callable[[Sequence[int]], str]
    reward: RewardFunction

    def collect(self, rows: Sequence[Row], places: Sequence[Place]) -> list[Rollout]:
        """Return the rows' rollouts, in order.

        Raises:
            VerifierError: a verifier broke its contract; no worker thread is left behind.
        """
        problems = self.reward.problems([row["prompt"] for row in rows], _columns(rows))
        prompt_ids, writing = self.write([row["prompt"] for row in rows], places)
        finished: dict[int, tuple[Written, Completion, int]] = {}
        with ScoreStream(self.reward.spec) as stream, contextlib.closing(writing):
            for one in writing:
                completion = self.reward.completion(
                    self.decode(one.ids), one.ids, rows[one.index].get(PREFILL_COLUMN, "")
                )
                finished[one.index] = (one, completion, stream.submit(completion, problems[one.index]))
            in_order = [finished[index] for index in range(len(rows))]
            scores = stream.results([ticket for _, _, ticket in in_order])
        return [
            Rollout(row=row, prompt_ids=ids, written=one, problem=problem, completion=completion, scored=scored)
            for row, ids, (one, completion, _), problem, scored in zip(
                rows, prompt_ids, in_order, problems, scores, strict=True
            )
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacement:
    """How groups without signal are replaced: where fresh prompts come from, and how often.

    `draw(count)` returns up to so many rows the step does not hold yet.
    """

    draw: Callable[[int], list[Row]]
    max_rounds: int
    num_generations: int
    num_prompts: int
    """Prompts of a generation over all processes: round r's prompts are numbered from r times that many."""


def collect_with_signal(
    collector: Collector, rows: Sequence[Row], places: Sequence[Place], replacement: Replacement
) -> Collected:
    """Return rollouts of whole groups, those without signal replaced as long as rounds and fresh prompts last."""
    size = replacement.num_generations
    collected = Collected(rollouts=collector.collect(rows, places))
    slots = list(range(len(rows) // size))
    while collected.num_rounds < replacement.max_rounds:
        silent = dict(_without_signal(collected.rollouts, slots, size, collector.reward.spec.terms[0].name))
        fresh = replacement.draw(len(silent)) if silent else []
        if not fresh:
            break
        collected.num_rounds += 1
        slots = list(silent)[: len(fresh)]
        first = [places[slot * size][0] + collected.num_rounds * replacement.num_prompts for slot in slots]
        written = collector.collect(
            [row for row in fresh for _ in range(size)], [(number, n) for number in first for n in range(size)]
        )
        for place, slot in enumerate(slots):
            here, there = slice(slot * size, (slot + 1) * size), slice(place * size, (place + 1) * size)
            collected.replaced.append(Replaced(signal=silent[slot], rollouts=collected.rollouts[here]))
            collected.rollouts[here] = written[there]
    return collected


def scores_tensor(values: Sequence[float | None]) -> torch.Tensor:
    """Return the values with NaN for None."""
    return torch.tensor([float("nan") if value is None else value for value in values], dtype=torch.float64)


def correctness(verdicts: Mapping[str, Any], reward: float | None, term: str) -> float | None:
    """Return 1 for right and 0 for wrong, None where the term or the reward as a whole abstained."""
    verdict = verdicts[term]
    return None if verdict.score is None or reward is None else float(verdict.passed)


def _without_signal(
    rollouts: Sequence[Rollout], slots: Sequence[int], size: int, term: str
) -> Iterator[tuple[int, Signal]]:
    for slot in slots:
        group = [rollout.scored for rollout in rollouts[slot * size : (slot + 1) * size]]
        correct_G = scores_tensor([correctness(scored.verdicts, scored.reward, term) for scored in group])
        (signal,) = correctness_signals(correct_G[None])
        if signal is not Signal.MIXED:
            yield slot, signal


def _columns(rows: Sequence[Row]) -> dict[str, list[Any]]:
    """Return the rows' columns as TRL hands them to a reward function."""
    return {key: [row[key] for row in rows] for key in rows[0] if key != "prompt"}
