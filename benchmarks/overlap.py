"""How long a step's completions and verdicts take when verification overlaps generation, and when it comes after.

    python benchmarks/overlap.py

The shipped demo model writes 8 x 16 completions; three rewards judge them: `accuracy` in this process, and a verifier
in worker processes that waits, or computes, as a sandbox does. The two sides take turns; medians of the repetitions.
"""

import dataclasses
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import tyro

from reasoning_grpo.commands.demo import demo_recipe
from reasoning_grpo.commands.process import prepare_process
from reasoning_grpo.config import HeldoutConfig
from reasoning_grpo.rewards import RewardTerm

HERE = Path(__file__).resolve().parent
VERIFIERS = """
import time

def waits(completion, problem):
    time.sleep(0.01)
    return True

def computes(completion, problem):
    end = time.process_time() + 0.01
    while time.process_time() < end:
        pass
    return True
"""
HEAD = "| reward | verified afterwards | overlapping | saved |\n" + 4 * "|---" + "|"
TRAINER = "reasoning_grpo.trainer.ReasoningGRPOTrainer"


@dataclass(frozen=True, kw_only=True)
class Args:
    """Compare verification after generation with verification during it."""

    repetitions: int = 7
    """Generations on each side; the first one of each warms up and is left out."""
    table: Path = HERE / "overlap.md"
    """The table written."""


def main(args: Args) -> None:
    """Measure and write the table."""
    prepare_process()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mine.py"
        path.write_text(VERIFIERS)
        rewards = {
            "`accuracy`, in this process": RewardTerm(name="accuracy", verifier="accuracy"),
            "isolated, waits 10 ms": RewardTerm(name="waits", verifier=f"{path}:waits", isolate=True),
            "isolated, computes 10 ms": RewardTerm(name="computes", verifier=f"{path}:computes", isolate=True),
        }
        rows = [row(name, *measure(term, args.repetitions, Path(folder))) for name, term in rewards.items()]
    text = table(args, rows)
    args.table.write_text(text, encoding="utf-8")
    print(text)


def measure(term: RewardTerm, repetitions: int, folder: Path) -> tuple[float, float]:
    """Return the median seconds of a generation with its verdicts, verified afterwards and overlapping."""
    from reasoning_grpo.assemble import assemble, open_logs
    from reasoning_grpo.faults import StopSignals
    from reasoning_grpo.prepare import prepare
    from reasoning_grpo.progress import progress

    recipe = dataclasses.replace(demo_recipe(0, None), rewards=(term,), heldout=HeldoutConfig(every=0))
    seconds: dict[bool, list[float]] = {False: [], True: []}
    with open_logs(folder / term.name) as logs, progress("measuring", total=1) as bar:
        trainer: Any = assemble(prepare(recipe), folder / term.name, logs, bar, StopSignals())
        rows = next(iter(trainer.get_train_dataloader()))
        trainer.model.train()
        for _ in range(repetitions):
            for overlapping, times in seconds.items():
                with mock.patch(f"{TRAINER}._may_collect", lambda self, rows, answer=overlapping: answer):
                    started = time.perf_counter()
                    trainer._generate_and_score_completions(rows)
                    times.append(time.perf_counter() - started)
    return statistics.median(seconds[False][1:]), statistics.median(seconds[True][1:])


def row(name: str, afterwards: float, overlapping: float) -> str:
    """Return one line of the table."""
    return f"| {name} | {afterwards:.2f} s | {overlapping:.2f} s | {1 - overlapping / afterwards:.0%} |"


def table(args: Args, rows: list[str]) -> str:
    """Return the Markdown table with what it was measured on."""
    from machine import machine, told

    return "\n".join(
        (
            "# Verification that overlaps generation",
            "",
            f"`python benchmarks/overlap.py` ({told(machine())}): 8 x 16 completions of up to 64 "
            "tokens by the demo's model with their verdicts and advantages, medians of "
            f"{args.repetitions - 1}.",
            "",
            HEAD,
            *rows,
            "",
        )
    )


if __name__ == "__main__":
    main(tyro.cli(Args))
