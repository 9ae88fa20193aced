"""What it brings that waiting prompts take the places of answers that have ended, in tokens per second.

    REASONING_GRPO_DATA=FOLDER python benchmarks/refill.py --model SMOLLM2_FOLDER

The same GSM8K prompts, greedy, with the same rows at a time: once as the engine does it, once with every
batch written to its end before the next begins. Both in one run, in turn; medians. Greedy answers may differ where two
tokens are nearly as likely and rounding decides: they are counted.
"""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from unittest import mock

import tyro
from machine import machine, told

from reasoning_grpo.commands.process import prepare_process
from reasoning_grpo.config import ModelConfig
from reasoning_grpo.data import DataSource, get_style, load_problems
from reasoning_grpo.data.prompts import render
from reasoning_grpo.models import load_model, load_tokenizer
from reasoning_grpo.progress import progress


@dataclass(frozen=True, kw_only=True)
class Args:
    """Time the decode loop with and without refilling."""

    model: Path
    """Model folder with a chat template."""
    problems: int = 96
    """GSM8K test problems."""
    rows: int = 24
    """Answers written at a time."""
    max_tokens: int = 256
    """Limit per answer."""
    dtype: Literal["float32", "bfloat16"] = "bfloat16"
    """Of weights and products."""
    repetitions: int = 5
    """After a shorter one that warms up."""


def main(args: Args) -> None:
    """Measure and print."""
    prepare_process()
    model = load_model(ModelConfig(name=str(args.model), dtype=args.dtype))
    tokenizer = load_tokenizer(str(args.model))
    problems = load_problems(DataSource(name="gsm8k", split="test", limit=args.problems)).problems
    prompts = [render(get_style("chat-boxed"), problem.question, tokenizer).text for problem in problems]
    write(args, model, tokenizer, prompts[: args.rows], refill=True)
    seconds: dict[bool, list[float]] = {True: [], False: []}
    texts: dict[bool, list[str]] = {}
    lengths: dict[bool, list[int]] = {}
    with progress("write", total=2 * args.repetitions) as bar:
        for refill in [True, False] * args.repetitions:
            started = time.perf_counter()
            texts[refill], lengths[refill] = write(args, model, tokenizer, prompts, refill=refill)
            seconds[refill].append(time.perf_counter() - started)
            bar.advance()
    print(table(args, seconds, lengths, sum(a != b for a, b in zip(texts[True], texts[False], strict=True))))


def write(
    args: Args, model: Any, tokenizer: Any, prompts: Sequence[str], *, refill: bool
) -> tuple[list[str], list[int]]:
    """Return the texts and numbers of tokens of the answers."""
    from reasoning_grpo.engine import decoding
    from reasoning_grpo.rollout import Sampling, generate

    sampling = Sampling(max_completion_tokens=args.max_tokens)
    with mock.patch.object(decoding, "REFILL", decoding.REFILL if refill else -1.0):
        found = dict(generate(model, tokenizer, prompts, sampling, max_batch_size=args.rows))
    ordered = [found[index] for index in range(len(prompts))]
    return [one.text for one in ordered], [one.num_tokens or 0 for one in ordered]


def table(args: Args, seconds: dict[bool, list[float]], lengths: dict[bool, list[int]], num_differing: int) -> str:
    """Return the result as Markdown."""
    total = {refill: sum(lengths[refill]) for refill in lengths}
    with_, without = (statistics.median(seconds[refill]) for refill in (True, False))
    ratios = [b / a for a, b in zip(seconds[True], seconds[False], strict=True)]
    return "\n".join(
        [
            f"{args.problems} prompts, {args.rows} rows at a time, up to {args.max_tokens} tokens (median "
            f"{statistics.median(lengths[True]):.0f}, {sum(n == args.max_tokens for n in lengths[True])} cut off). "
            f"{told(machine())}.",
            "",
            "| | s | tokens/s |",
            "|---|---|---|",
            f"| batches to their end | {without:.1f} | {total[False] / without:.0f} |",
            f"| refilled | {with_:.1f} | {total[True] / with_:.0f} |",
            "",
            f"Ratio {statistics.median(ratios):.2f} (median of {args.repetitions}; {min(ratios):.2f} to "
            f"{max(ratios):.2f}); {num_differing} of {args.problems} answers differ.",
        ]
    )


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
