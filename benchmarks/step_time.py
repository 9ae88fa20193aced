"""How long a GRPO step takes: stock TRL against ours, in one run, interleaved, on a real model and real prompts.

    python benchmarks/step_time.py MODEL --quick --json step_time.json
    REASONING_GRPO_DATA=FOLDER python benchmarks/step_time.py MODEL --table benchmarks/step_time.md
    REASONING_GRPO_DATA=FOLDER python benchmarks/step_time.py MODEL --scaling --table benchmarks/step_time.md
    REASONING_GRPO_DATA=FOLDER python benchmarks/step_time.py MODEL --rollouts

MODEL is a model folder or hub id; the prompts are GSM8K's. Both sides train in bfloat16 (`--float32`: neither) with the
same prompts, the same micro-batch size and completions of the same recorded lengths, so that neither is lucky. A
repetition runs, one after the other: TRL's step, our step with every group carrying signal, and our update with 60 and
80 % of the groups (to the nearest whole one) carrying none; TRL computes those all the same, so its update is timed
once. TRL's other engine, continuous batching, writes one rollout at the end; the faster of the two is TRL's side of
the ratio. `--rollouts` leaves updates and that engine out. Peak memory is what a step adds to the resident memory (on a
GPU: to what is allocated) before it.

Seconds on the wall are what one waits for, and mean something on a quiet machine only. Processor seconds add up the
threads; with one thread (`OMP_NUM_THREADS=1 ... --processor-seconds`) they say on a machine that others use about what
a quiet core would take.

The floor is the time the machine needs for the operations nobody can leave out (weights times tokens, attention left
out) at its measured matrix rate, or for reading the weights once per decoded position at its measured bandwidth.
"""

import argparse
import dataclasses
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as the command line on a quiet machine, for both sides
os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")

import torch
from machine import PeakMemory
from step_report import floor_seconds, rollout_sentence, scaling_table, summary, table
from step_sides import Plan, Seconds, Side, fixed_rollouts, load_prompts, make_side, recorded_lengths, run_step
from transformers import TrainerCallback
from trl import GRPOTrainer

from reasoning_grpo.fast_grpo import FastGRPOTrainer
from reasoning_grpo.progress import Bar, progress

SILENT_SHARES = (0.6, 0.8)
FULL = {"num_prompts": 8, "group": 8, "max_tokens": 200, "micro_batch_size": 8}
QUICK = {"num_prompts": 5, "group": 6, "max_tokens": 48, "micro_batch_size": 6}
SCALING = {"num_prompts": 5, "group": 8, "max_tokens": 64, "micro_batch_size": 8}
VARIANTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("4 completions", {"group": 4, "micro_batch_size": 4}),
    ("16 completions", {"group": 16}),
    ("up to 32 tokens", {"max_tokens": 32}),
    ("up to 200 tokens", {"max_tokens": 200}),
    ("prompts of 3 problems", {"problems_per_prompt": 3}),
    ("prompts of 6 problems", {"problems_per_prompt": 6}),
)


def measure(plan: Plan, stock: Side, ours: Side, bar: Bar) -> None:
    """Run every repetition, the sides in turn."""
    for repetition in range(-1, plan.repetitions):
        for side in (stock, ours):
            side.rewards.num_silent = 0
            with recorded_lengths(plan, side), PeakMemory() as memory:
                run_step(side)
            if repetition >= 0:  # the first one warms up
                side.note("rollout", side.clock.rollout)
                side.note("update 0%", side.clock.step - side.clock.rollout)
                side.memory.append(memory.peak - memory.before)
        for share in SILENT_SHARES:
            ours.rewards.num_silent = plan.num_silent(share)
            with fixed_rollouts(ours, plan.lengths):
                run_step(ours)
            if repetition >= 0:
                ours.note(f"update {share:.0%}", ours.clock.step)
        bar.advance(note=f"TRL's step {stock.clock.step.wall:.0f} s")


def rollouts(plan: Plan, out: Path) -> str:
    """Return a sentence on the rollouts of both sides, in turn and without updates."""
    prompts = load_prompts(plan)
    sides = [make_side(plan, trainer_class, prompts, out) for trainer_class in (GRPOTrainer, FastGRPOTrainer)]
    with progress("rollouts", plan.repetitions + 1) as bar:
        for repetition in range(-1, plan.repetitions):
            for side in sides:
                with recorded_lengths(plan, side):
                    side.clock.on_step_begin()
                    side.trainer._generate([prompt for prompt in prompts for _ in range(plan.group)])
                if repetition >= 0:
                    side.note("rollout", side.clock.rollout)
            bar.advance()
    return rollout_sentence(plan, *sides)


def continuous_rollout(plan: Plan, prompts: Sequence[str], out: Path) -> Seconds | None:
    """Return what one rollout takes TRL's continuous batching, None (said on stderr) where it does not run."""
    side = make_side(plan, GRPOTrainer, prompts, out, use_transformers_continuous_batching=True)
    try:
        with recorded_lengths(plan, side):
            side.clock.on_step_begin()
            side.trainer._generate([prompt for prompt in prompts for _ in range(plan.group)])
    except Exception as error:  # it is the other side's engine: whatever stops it, the comparison goes on
        print(f"continuous batching does not run here: {type(error).__name__}: {error}", file=sys.stderr)
        return None
    return side.clock.rollout


def gradient_error(plan: Plan, prompts: Sequence[str], out: Path) -> float:
    """Return the largest difference of our float32 gradients from TRL's, as a share of the largest entry."""
    small = dataclasses.replace(plan, num_prompts=2, group=4, max_tokens=24, micro_batch_size=4, bfloat16=False)
    found: list[dict[str, torch.Tensor]] = []

    class Keep(TrainerCallback):  # type: ignore[misc]
        def on_pre_optimizer_step(self, *args: Any, model: Any = None, **kwargs: Any) -> None:
            found.append({name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None})

    for trainer_class in (GRPOTrainer, FastGRPOTrainer):
        side = make_side(small, trainer_class, prompts[:2], out, max_grad_norm=0.0)
        side.trainer.add_callback(Keep())
        with fixed_rollouts(side, small.lengths):
            run_step(side)
    largest = max(float(gradient.abs().max()) for gradient in found[0].values())
    return max(float((found[0][name] - found[1][name]).abs().max()) for name in found[0]) / largest


def compare(plan: Plan, out: Path, title: str) -> dict[str, Any]:
    """Measure one plan and return its summary."""
    prompts = load_prompts(plan)
    stock = make_side(plan, GRPOTrainer, prompts, out)
    ours = make_side(plan, FastGRPOTrainer, prompts, out)
    with progress(title, plan.repetitions + 3) as bar:
        measure(plan, stock, ours, bar)
        continuous = continuous_rollout(plan, prompts, out)
        bar.advance(note="continuous batching")
        error = gradient_error(plan, prompts, out)
        bar.advance(note="gradients compared")
    floor = floor_seconds(plan, ours.trainer, prompts, SILENT_SHARES[0])
    return summary(plan, stock, ours, continuous, floor, error)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="GRPO step time: stock TRL against ours.")
    parser.add_argument("model", help="model folder or hub id")
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument("--quick", action="store_true", help="5 prompts x 6 completions of up to 48 tokens")
    sizes.add_argument("--scaling", action="store_true", help="ratios over completions, their length and the prompt's")
    parser.add_argument("--rollouts", action="store_true", help="only the rollouts, TRL's by `generate`")
    parser.add_argument("--prompts", type=int, help="distinct prompts a step, instead of 8")
    parser.add_argument("--group", type=int, help="completions per prompt, instead of 8")
    parser.add_argument("--tokens", type=int, help="longest completion, instead of 200")
    parser.add_argument("--micro-batch-size", type=int, help="rows of TRL's micro-batches, instead of 8")
    parser.add_argument("--repetitions", type=int, help="instead of 5, or 2 for each variant of --scaling")
    parser.add_argument("--float32", action="store_true", help="train both sides in float32")
    parser.add_argument("--processor-seconds", action="store_true", help="for one thread on a machine in use")
    parser.add_argument("--json", type=Path, help="write the numbers here")
    parser.add_argument("--table", type=Path, help="append the table to this file")
    return parser.parse_args()


def plan_of(args: argparse.Namespace) -> Plan:
    """Return the plan the command line asks for."""
    sizes = QUICK if args.quick else SCALING if args.scaling else FULL
    asked = {"num_prompts": args.prompts, "group": args.group, "max_tokens": args.tokens}
    asked["micro_batch_size"] = args.micro_batch_size
    return Plan(
        model=args.model,
        repetitions=args.repetitions or (2 if args.scaling else 5),
        bfloat16=not args.float32,
        processor_seconds=args.processor_seconds,
        **{**sizes, **{name: value for name, value in asked.items() if value is not None}},
    )


def main() -> None:
    """Measure and print."""
    args = parse()
    plan = plan_of(args)
    with tempfile.TemporaryDirectory() as out:
        if args.rollouts:
            numbers, text = {}, rollouts(plan, Path(out))
        elif args.scaling:
            base = f"{plan.num_prompts} prompts x {plan.group} completions of up to {plan.max_tokens} tokens"
            plans = [(title, dataclasses.replace(plan, **changes)) for title, changes in ((base, {}), *VARIANTS)]
            results = [(title, compare(one, Path(out), title)) for title, one in plans]
            text, numbers = scaling_table(results), dict(results)
        else:
            numbers = compare(plan, Path(out), "repetitions")
            text = table(numbers)
    print(text)
    if args.json:
        args.json.write_text(json.dumps(numbers, indent=1) + "\n")
    if args.table:
        with args.table.open("a") as file:
            file.write("\n" + text)


if __name__ == "__main__":
    main()
