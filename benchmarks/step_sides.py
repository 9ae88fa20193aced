"""The two sides of the step benchmark: trainers whose completions have recorded lengths, their rewards and clocks."""

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, PrinterCallback, StoppingCriteria, TrainerCallback
from transformers.generation.continuous_batching import ContinuousBatchingManager
from trl import GRPOConfig

from reasoning_grpo import trl_rollout
from reasoning_grpo.data import DataSource
from reasoning_grpo.data.prompts import get_style, render
from reasoning_grpo.data.sources import load_problems
from reasoning_grpo.models import load_tokenizer

# Tokens of SmolLM2-135M-Instruct's own answers to the first 8 GSM8K problems, 8 each, cut at 200. Shorter plans
# scale them.
LONGEST = 200
# fmt: off
LENGTHS = (
    163, 200, 200, 184, 135, 200, 140, 94, 71, 116, 200, 100, 200, 200, 200, 200, 200, 200, 200, 200,
    200, 200, 200, 176, 161, 74, 200, 200, 200, 200, 164, 200, 143, 200, 73, 192, 148, 89, 107, 102,
    130, 200, 200, 200, 200, 200, 200, 200, 200, 198, 200, 200, 200, 139, 200, 200, 200, 200, 200, 200,
    110, 182, 200, 200,
)
# fmt: on


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is measured."""

    model: str
    num_prompts: int
    group: int
    max_tokens: int
    micro_batch_size: int
    repetitions: int
    bfloat16: bool
    processor_seconds: bool
    """Ratios are of processor seconds: for one thread on a machine that others use."""
    problems_per_prompt: int = 1
    """More put solved problems before the question: longer prompts."""

    @property
    def lengths(self) -> list[int]:
        """Return the length of every completion."""
        rows = range(self.num_prompts * self.group)
        return [max(2, LENGTHS[row % len(LENGTHS)] * self.max_tokens // LONGEST) for row in rows]

    def num_silent(self, share: float) -> int:
        """Return how many groups carry no signal when this share of them should."""
        return round(share * self.num_prompts)


@dataclass(frozen=True, slots=True)
class Seconds:
    """Both clocks: on the wall, and of all threads of this process."""

    wall: float
    processor: float

    @classmethod
    def now(cls) -> "Seconds":
        """Read the clocks when the device has done what it was told."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return cls(time.perf_counter(), time.process_time())

    def __add__(self, other: "Seconds") -> "Seconds":
        return Seconds(self.wall + other.wall, self.processor + other.processor)

    def __sub__(self, other: "Seconds") -> "Seconds":
        return Seconds(self.wall - other.wall, self.processor - other.processor)


@dataclass(slots=True)
class Side:
    """One trainer, its clocks, and what was measured by name."""

    trainer: Any
    clock: "Clock"
    rewards: "Rewards"
    seconds: dict[str, list[Seconds]] = field(default_factory=dict)
    memory: list[float] = field(default_factory=list)

    def note(self, name: str, seconds: Seconds) -> None:
        """Keep one measurement."""
        self.seconds.setdefault(name, []).append(seconds)


class Rewards:
    """A reward of 0 and 1 in turn, but 1 throughout for the first `num_silent` groups."""

    def __init__(self, group: int) -> None:
        self.group, self.num_silent = group, 0

    def __call__(self, completions: Sequence[Any], **kwargs: Any) -> list[float]:
        """Return the rewards of a whole batch."""
        rows = range(len(completions))
        return [1.0 if row // self.group < self.num_silent else float(row % 2) for row in rows]


class Clock(TrainerCallback):  # type: ignore[misc]
    """Times an optimizer step; what generation took is kept apart."""

    def __init__(self) -> None:
        self.step = self.rollout = self.started = Seconds(0.0, 0.0)

    def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
        """Start."""
        self.rollout, self.started = Seconds(0.0, 0.0), Seconds.now()

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        """Stop."""
        self.step = Seconds.now() - self.started


class RecordedLengths(StoppingCriteria):  # type: ignore[misc]
    """Ends row i of transformers' `generate` after `lengths[i]` tokens."""

    eos_token_id = None  # its presence lets `generate` end rows one by one

    def __init__(self, lengths: Sequence[int]) -> None:
        self.lengths, self.num_tokens = torch.tensor(lengths), 0

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        """Return which rows have ended; the end token itself is the last one."""
        self.num_tokens += 1
        ended: torch.Tensor = (self.num_tokens >= self.lengths - 1).to(input_ids.device)
        return ended


def load_prompts(plan: Plan) -> list[str]:
    """Return real GSM8K questions in the model's chat template, behind as many solved ones as the plan asks for."""
    per_prompt = plan.problems_per_prompt
    problems = load_problems(DataSource(name="gsm8k", limit=plan.num_prompts * per_prompt)).problems
    tokenizer = load_tokenizer(plan.model)
    prompts = []
    for first in range(0, len(problems), per_prompt):
        *solved, last = problems[first : first + per_prompt]
        examples = [f"{problem.question}\nAnswer: {problem.answer}\n\n" for problem in solved]
        prompts.append(render(get_style("chat-tags"), "".join(examples) + last.question, tokenizer).text)
    return prompts


def make_side(plan: Plan, trainer_class: type[Any], prompts: Sequence[str], out: Path, **options: Any) -> Side:
    """Return a trainer of the plan's model and batch."""
    tokenizer = load_tokenizer(plan.model)
    clock, rewards = Clock(), Rewards(plan.group)
    settings: dict[str, Any] = {
        "output_dir": str(out),
        "report_to": "none",
        "use_cpu": not torch.cuda.is_available(),
        "bf16": plan.bfloat16,
        "gradient_checkpointing": False,
        "num_generations": plan.group,
        "per_device_train_batch_size": plan.micro_batch_size,
        "gradient_accumulation_steps": plan.num_prompts * plan.group // plan.micro_batch_size,
        "max_completion_length": plan.max_tokens,
        "max_steps": 1,
        "learning_rate": 1e-9,  # nothing moves: every repetition measures the same
        "save_strategy": "no",
        "logging_strategy": "no",
        "disable_tqdm": True,
        "shuffle_dataset": False,
        **options,
    }
    trainer = trainer_class(
        model=AutoModelForCausalLM.from_pretrained(plan.model, dtype=torch.float32),
        args=GRPOConfig(**settings),
        reward_funcs=rewards,
        train_dataset=Dataset.from_dict({"prompt": list(prompts)}),
        processing_class=tokenizer,
        callbacks=[clock],
    )
    trainer.remove_callback(PrinterCallback)
    unused = len(tokenizer) - 1  # ends a completion only where the recording says so
    trainer.eos_token_ids = [unused]
    tokenizer.pad_token_id = unused
    trainer.generation_config.eos_token_id = None
    trainer.generation_config.pad_token_id = unused
    return Side(trainer=trainer, clock=clock, rewards=rewards)


@contextmanager
def recorded_lengths(plan: Plan, side: Side) -> Iterator[None]:
    """End completions as recorded, whichever engine writes them, and time the rollout."""
    model, requests, add = side.trainer.model, trl_rollout._requests, ContinuousBatchingManager.add_request
    remaining = iter(plan.lengths)

    def generate(*args: Any, **kwargs: Any) -> Any:
        return type(model).generate(model, *args, **kwargs, stopping_criteria=[RecordedLengths(plan.lengths)])

    def limited(*args: Any) -> list[Any]:
        pairs = zip(requests(*args), plan.lengths, strict=True)
        return [dataclasses.replace(request, max_tokens=length) for request, length in pairs]

    def add_limited(*args: Any, **kwargs: Any) -> Any:
        return add(*args, **{**kwargs, "max_new_tokens": next(remaining)})

    with (
        mock.patch.object(model, "generate", generate),
        mock.patch.object(trl_rollout, "_requests", limited),
        mock.patch.object(ContinuousBatchingManager, "add_request", add_limited),
        mock.patch.object(side.trainer, "_generate", _timed(side)),
    ):
        yield


def _timed(side: Side) -> Callable[..., Any]:
    own = type(side.trainer)._generate

    def timed(*args: Any, **kwargs: Any) -> Any:
        started = Seconds.now()
        result = own(side.trainer, *args, **kwargs)
        side.clock.rollout += Seconds.now() - started
        return result

    return timed


@contextmanager
def fixed_rollouts(side: Side, lengths: Sequence[int]) -> Iterator[None]:
    """Hand out completions of these lengths that are there already."""
    ids = [[100 + (7 * row + place) % 1000 for place in range(length)] for row, length in enumerate(lengths)]

    def replay(prompts: Sequence[str], trainer: Any) -> dict[str, Any]:
        prompt_ids = trainer.processing_class(text=list(prompts))["input_ids"]
        return {"prompt_ids": prompt_ids, "completion_ids": [list(row) for row in ids], "logprobs": None}

    with mock.patch.object(side.trainer, "rollout_func", replay):
        yield


def run_step(side: Side) -> None:
    """Run one optimizer step."""
    side.trainer._step, side.trainer._buffered_inputs = 0, None
    side.trainer.train()
