"""How long a GRPO step takes: stock TRL against ours, in one run, interleaved, on a real model and real prompts.

    python benchmarks/step_time.py MODEL --quick --json step_time.json
    REASONING_GRPO_DATA=FOLDER python benchmarks/step_time.py MODEL --table benchmarks/step_time.md

MODEL is a model folder or hub id; the prompts are GSM8K's. Both sides train in bfloat16 (`--float32`: neither) with the
same prompts, the same micro-batch size and completions of the same recorded lengths, so that neither is lucky. A
repetition runs, one after the other: TRL's step, our step with every group carrying signal, and our update with 60 and
80 % of the groups (to the nearest whole one) carrying none; TRL computes those all the same, so its update is timed
once. Peak memory is what a step adds to the resident memory before it.

The floor is the time the machine needs for the operations nobody can leave out (weights times tokens, attention left
out) at its measured matrix rate, or for reading the weights once per decoded position at its measured bandwidth.
"""

import argparse
import dataclasses
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning threads on a shared machine made steps 10 x slower
os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")

import torch
from datasets import Dataset
from machine import PeakMemory, machine, machine_rates
from transformers import AutoModelForCausalLM, PrinterCallback, StoppingCriteria, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from reasoning_grpo import trl_rollout
from reasoning_grpo.data import DataSource
from reasoning_grpo.data.prompts import get_style, render
from reasoning_grpo.data.sources import load_problems
from reasoning_grpo.fast_grpo import FastGRPOTrainer
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
SILENT_SHARES = (0.0, 0.6, 0.8)


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

    @property
    def lengths(self) -> list[int]:
        """Return the length of every completion."""
        rows = range(self.num_prompts * self.group)
        return [max(2, LENGTHS[row % len(LENGTHS)] * self.max_tokens // LONGEST) for row in rows]


@dataclass(slots=True)
class Side:
    """One trainer and its clocks, in seconds and bytes."""

    trainer: Any
    clock: "Clock"
    rewards: "Rewards"
    seconds: dict[str, list[float]] = field(default_factory=dict)
    memory: list[float] = field(default_factory=list)

    def note(self, name: str, seconds: float) -> None:
        """Keep one measurement."""
        self.seconds.setdefault(name, []).append(seconds)


class Rewards:
    """A reward of 0 and 1 in turn, but 1 throughout for the first groups, as many as the share says."""

    def __init__(self, group: int) -> None:
        self.group, self.silent_share = group, 0.0

    def __call__(self, completions: Sequence[Any], **kwargs: Any) -> list[float]:
        """Return the rewards of a whole batch."""
        num_silent = round(self.silent_share * len(completions) / self.group)
        return [1.0 if row // self.group < num_silent else float(row % 2) for row in range(len(completions))]


class Clock(TrainerCallback):  # type: ignore[misc]
    """Times an optimizer step; what generation took is kept apart.

    On a machine that others use, processor seconds of one thread say what a quiet core would take; wall time does not.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self.step = self.rollout = self.started = 0.0

    def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
        """Start."""
        self.rollout, self.started = 0.0, self.now()

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        """Stop."""
        self.step = self.now() - self.started


class RecordedLengths(StoppingCriteria):  # type: ignore[misc]
    """Ends row i of transformers' `generate` after `lengths[i]` tokens."""

    eos_token_id = None  # its presence lets `generate` end rows one by one

    def __init__(self, lengths: Sequence[int]) -> None:
        self.lengths, self.num_tokens = torch.tensor(lengths), 0

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        """Return which rows have ended; the end token itself is the last one."""
        self.num_tokens += 1
        return self.num_tokens >= self.lengths - 1


def make_side(plan: Plan, trainer_class: type[Any], prompts: Sequence[str], out: Path, **options: Any) -> Side:
    """Return a trainer whose completions have the recorded lengths."""
    tokenizer = load_tokenizer(plan.model)
    clock = Clock(time.process_time if plan.processor_seconds else time.perf_counter)
    rewards = Rewards(plan.group)
    rows = plan.num_prompts * plan.group
    settings: dict[str, Any] = {
        "output_dir": str(out),
        "report_to": "none",
        "use_cpu": not torch.cuda.is_available(),
        "bf16": plan.bfloat16,
        "gradient_checkpointing": False,
        "num_generations": plan.group,
        "per_device_train_batch_size": plan.micro_batch_size,
        "gradient_accumulation_steps": rows // plan.micro_batch_size,
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
    """End completions as recorded, on whichever side, and time the rollout."""
    model, requests = side.trainer.model, trl_rollout._requests

    def generate(*args: Any, **kwargs: Any) -> Any:
        return type(model).generate(model, *args, **kwargs, stopping_criteria=[RecordedLengths(plan.lengths)])

    def limited(*args: Any) -> list[Any]:
        pairs = zip(requests(*args), plan.lengths, strict=True)
        return [dataclasses.replace(request, max_tokens=length) for request, length in pairs]

    own = type(side.trainer)._generate

    def timed(*args: Any, **kwargs: Any) -> Any:
        started = side.clock.now()
        result = own(side.trainer, *args, **kwargs)
        side.clock.rollout += side.clock.now() - started
        return result

    with (
        mock.patch.object(model, "generate", generate),
        mock.patch.object(trl_rollout, "_requests", limited),
        mock.patch.object(side.trainer, "_generate", timed),
    ):
        yield


@contextmanager
def fixed_rollouts(side: Side, ids: Sequence[Sequence[int]]) -> Iterator[None]:
    """Hand out completions that are there already."""

    def replay(prompts: Sequence[str], trainer: Any) -> dict[str, Any]:
        prompt_ids = trainer.processing_class(text=list(prompts))["input_ids"]
        return {"prompt_ids": prompt_ids, "completion_ids": [list(row) for row in ids], "logprobs": None}

    with mock.patch.object(side.trainer, "rollout_func", replay):
        yield


def run_step(side: Side) -> None:
    """Run one optimizer step."""
    side.trainer._step, side.trainer._buffered_inputs = 0, None
    side.trainer.train()


def measure(plan: Plan, stock: Side, ours: Side) -> None:
    """Run every repetition, the sides in turn."""
    ids = [[100 + (row + place) % 1000 for place in range(length)] for row, length in enumerate(plan.lengths)]
    for repetition in range(-1, plan.repetitions):
        for side in (stock, ours):
            side.rewards.silent_share = 0.0
            with recorded_lengths(plan, side), PeakMemory() as memory:
                run_step(side)
            if repetition >= 0:  # the first one warms up
                side.note("rollout", side.clock.rollout)
                side.note("update 0", side.clock.step - side.clock.rollout)
                side.memory.append(memory.peak - memory.before)
        for share in SILENT_SHARES[1:]:
            ours.rewards.silent_share = share
            with fixed_rollouts(ours, ids):
                run_step(ours)
            if repetition >= 0:
                ours.note(f"update {share:.0%}", ours.clock.step)
        print(f"repetition {repetition + 1} of {plan.repetitions} done", file=sys.stderr, flush=True)


def gradient_error(plan: Plan, prompts: Sequence[str], out: Path) -> float:
    """Return the largest difference of our float32 gradients from TRL's, as a share of the largest entry."""
    small = dataclasses.replace(plan, num_prompts=2, group=4, max_tokens=24, micro_batch_size=4, bfloat16=False)
    ids = [[100 + (7 * row + place) % 1000 for place in range(length)] for row, length in enumerate(small.lengths)]
    found: list[dict[str, torch.Tensor]] = []

    class Keep(TrainerCallback):  # type: ignore[misc]
        def on_pre_optimizer_step(self, *args: Any, model: Any = None, **kwargs: Any) -> None:
            found.append({name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None})

    for trainer_class in (GRPOTrainer, FastGRPOTrainer):
        side = make_side(small, trainer_class, prompts[:2], out, max_grad_norm=0.0)
        side.trainer.add_callback(Keep())
        with fixed_rollouts(side, ids):
            run_step(side)
    largest = max(float(gradient.abs().max()) for gradient in found[0].values())
    return max(float((found[0][name] - found[1][name]).abs().max()) for name in found[0]) / largest


def floor_seconds(plan: Plan, trainer: Any, prompts: Sequence[str], silent_share: float) -> float:
    """Return the least time a whole step can take on this machine; see the module."""
    rate, bandwidth = machine_rates(torch.bfloat16 if plan.bfloat16 else torch.float32)
    head = trainer.model.get_output_embeddings().weight.numel()
    embedding = trainer.model.get_input_embeddings().weight.numel()
    tied = trainer.model.config.tie_word_embeddings
    body = sum(p.numel() for p in trainer.model.parameters()) - embedding - (0 if tied else head)
    prompt_tokens = [len(ids) for ids in trainer.processing_class(text=list(prompts))["input_ids"]]
    lengths = plan.lengths
    first = round(silent_share * plan.num_prompts)
    scored = sum(lengths[first * plan.group :])
    rollout = (2 * body * (sum(prompt_tokens) + sum(lengths)) + 2 * head * sum(lengths)) / rate
    reading = max(lengths) * (body + head) * (2 if plan.bfloat16 else 4) / bandwidth
    update = 3 * (2 * body * (sum(prompt_tokens[first:]) + scored) + 2 * head * scored) / rate
    return float(max(rollout, reading) + update)


def summary(plan: Plan, stock: Side, ours: Side, floor: float, error: float) -> dict[str, Any]:
    """Return medians and ratios."""

    def median(side: Side, name: str) -> float:
        return statistics.median(side.seconds[name])

    our_step = median(ours, "rollout") + median(ours, "update 60%")
    stock_step = median(stock, "rollout") + median(stock, "update 0")
    return {
        "rollout_ratio": median(stock, "rollout") / median(ours, "rollout"),
        "update_ratio_0": median(stock, "update 0") / median(ours, "update 0"),
        "update_ratio_60": median(stock, "update 0") / median(ours, "update 60%"),
        "update_ratio_80": median(stock, "update 0") / median(ours, "update 80%"),
        "step_ratio": stock_step / our_step,
        "peak_memory_ratio": statistics.median(ours.memory) / statistics.median(stock.memory),
        "max_gradient_error": error,
        "floor_fraction": floor / our_step,
        "floor_seconds": floor,
        "seconds": {"stock": stock.seconds, "ours": ours.seconds},
        "peak_bytes": {"stock": stock.memory, "ours": ours.memory},
        "plan": dataclasses.asdict(plan),
        "machine": machine(),
    }


def table(result: dict[str, Any]) -> str:
    """Return the result as Markdown."""
    seconds, plan, where = result["seconds"], result["plan"], result["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in where["versions"].items())
    lines = [
        f"{where['date']}, {where['cores']} cores ({where['processor']}), {where['threads']} threads, load "
        f"{where['load_average']:.1f}; {versions}. {plan['num_prompts']} prompts x {plan['group']} completions, up to "
        f"{plan['max_tokens']} tokens, {'bfloat16' if plan['bfloat16'] else 'float32'}, {plan['repetitions']} "
        f"repetitions; medians in {'processor ' if plan['processor_seconds'] else ''}seconds.",
        "",
        "| part | TRL | ours | ratio |",
        "|---|---|---|---|",
    ]
    rows = (("rollout", "rollout"), ("update 0", "update 0"), ("update 0", "update 60%"), ("update 0", "update 80%"))
    for theirs, name in rows:
        stock, ours = statistics.median(seconds["stock"][theirs]), statistics.median(seconds["ours"][name])
        lines.append(f"| {name} | {stock:.1f} | {ours:.1f} | {stock / ours:.2f} |")
    lines += [
        f"| whole step, 60 % without signal | | | {result['step_ratio']:.2f} |",
        f"| peak memory a step adds | | | {result['peak_memory_ratio']:.2f} |",
        "",
        f"Floor {result['floor_seconds']:.1f} s, of which our step reaches {result['floor_fraction']:.0%}. Largest "
        f"difference of our float32 gradients from TRL's: {result['max_gradient_error']:.0e} of the largest entry.",
    ]
    return "\n".join(lines) + "\n"


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="GRPO step time: stock TRL against ours.")
    parser.add_argument("model", help="model folder or hub id")
    parser.add_argument("--quick", action="store_true", help="5 prompts x 8 completions of up to 64 tokens")
    parser.add_argument("--prompts", type=int, help="distinct prompts a step, instead of 5 or 8")
    parser.add_argument("--tokens", type=int, help="longest completion, instead of 64 or 200")
    parser.add_argument("--group", type=int, default=8, help="completions per prompt")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--micro-batch-size", type=int, default=8)
    parser.add_argument("--float32", action="store_true", help="train both sides in float32")
    parser.add_argument("--processor-seconds", action="store_true", help="for one thread on a machine in use")
    parser.add_argument("--json", type=Path, help="write the numbers here")
    parser.add_argument("--table", type=Path, help="append the table to this file")
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    args = parse()
    plan = Plan(
        model=args.model,
        num_prompts=args.prompts or (5 if args.quick else 8),
        group=args.group,
        max_tokens=args.tokens or (64 if args.quick else 200),
        micro_batch_size=args.micro_batch_size,
        repetitions=args.repetitions,
        bfloat16=not args.float32,
        processor_seconds=args.processor_seconds,
    )
    problems = load_problems(DataSource(name="gsm8k", limit=plan.num_prompts)).problems
    tokenizer = load_tokenizer(plan.model)
    prompts = [render(get_style("chat-tags"), problem.question, tokenizer).text for problem in problems]
    with tempfile.TemporaryDirectory() as out:
        stock = make_side(plan, GRPOTrainer, prompts, Path(out))
        ours = make_side(plan, FastGRPOTrainer, prompts, Path(out))
        measure(plan, stock, ours)
        floor = floor_seconds(plan, ours.trainer, prompts, 0.6)
        result = summary(plan, stock, ours, floor, gradient_error(plan, prompts, Path(out)))
    print(table(result))
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n")
    if args.table:
        with args.table.open("a") as file:
            file.write("\n" + table(result))


if __name__ == "__main__":
    main()
