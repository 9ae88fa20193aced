"""This harness beside lm-eval's `hf` backend: one model, the same prompts, greedy, one limit, one run.

    python benchmarks/harness_speed.py --model SMOLLM2_FOLDER --problems 100 --max-tokens 256

The problems are cut into blocks and the harnesses take turns on each block, so that a machine that slows down slows
both. Ours does all of a benchmark: it generates, writes its journal and grades. lm-eval's generates. Its `batch_size`
is 1 unless a person says otherwise; `--lm-batches` names the sizes it is given here. Wall time and CPU time are both
taken: on a machine with other work the second says more.

Needs the extra `interop` and GSM8K (`REASONING_GRPO_DATA`, or the hub).
"""

import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import tyro
from machine import machine

from reasoning_grpo import storage
from reasoning_grpo.commands.process import prepare_process
from reasoning_grpo.data import DataSource, get_style, load_problems
from reasoning_grpo.eval.backends.in_process import TransformersBackend
from reasoning_grpo.eval.harness import Grader, answer_and_grade, asks_for
from reasoning_grpo.eval.journal import Journal, Sample
from reasoning_grpo.rewards.compose import RewardSpec, RewardTerm
from reasoning_grpo.schema import Problem

OURS = "reasoning-grpo"


@dataclass(frozen=True, kw_only=True)
class Args:
    """Time this harness beside lm-eval's `hf` backend."""

    model: Path
    """Model folder with a chat template."""
    problems: int = 100
    """GSM8K test problems."""
    blocks: int = 4
    """The harnesses take turns on this many equal parts."""
    max_tokens: int = 256
    """Limit per answer, for both."""
    lm_batches: tuple[int, ...] = (1, 25)
    """Batch sizes lm-eval is given; 1 is its default."""
    json: Path | None = None
    """Write everything measured here."""


@dataclass(slots=True)
class Side:
    """One harness and what it has done."""

    name: str
    generate: Callable[[Sequence[Problem]], list[str]]
    texts: list[str] = field(default_factory=list)
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0

    def take(self, block: Sequence[Problem]) -> None:
        """Generate one block, by the clock."""
        wall, cpu = time.perf_counter(), time.process_time()
        self.texts += self.generate(block)
        self.wall_seconds += time.perf_counter() - wall
        self.cpu_seconds += time.process_time() - cpu


def main(args: Args) -> None:
    """Measure and print the table."""
    prepare_process()
    problems = load_problems(DataSource(name="gsm8k", split="test", limit=args.problems)).problems
    backend = our_backend(args)
    sides = [Side(OURS, ours(backend))]
    sides += [Side(f"lm-eval hf, batch {size}", theirs(args, backend, size)) for size in args.lm_batches]
    size = -(-len(problems) // args.blocks)
    for start in range(0, len(problems), size):
        for side in sides:
            side.take(problems[start : start + size])
    found = rows(sides, backend, problems)
    record = {"machine": machine(), "args": asdict(args), "rows": found}
    print(table(found))
    for line in differences(sides, problems):
        print(line)
    if args.json:
        storage.write_json(args.json, json.loads(json.dumps(record, default=str)))


def our_backend(args: Args) -> TransformersBackend:
    """Return our backend in float32, as lm-eval's is."""
    from reasoning_grpo.config import ModelConfig
    from reasoning_grpo.engine.sampling import Sampling
    from reasoning_grpo.models import load_model, load_tokenizer

    model = load_model(ModelConfig(name=str(args.model), dtype="float32"))
    sampling = Sampling(max_completion_tokens=args.max_tokens)
    return TransformersBackend(model, load_tokenizer(str(args.model)), get_style("chat-boxed"), sampling)


def ours(backend: TransformersBackend) -> Callable[[Sequence[Problem]], list[str]]:
    """Return a function that benchmarks a block as `bench` does: journal and verdicts included."""

    def generate(block: Sequence[Problem]) -> list[str]:
        prompts = [backend.render(problem.question) for problem in block]
        terms = (RewardTerm(name="accuracy", verifier="accuracy"),)
        spec = RewardSpec(terms=terms, answer_format=prompts[0].answer_format)
        texts: dict[int, str] = {}
        grader = Grader(spec)
        with tempfile.TemporaryDirectory() as folder, Journal(Path(folder) / "j.jsonl") as journal:

            def note(ask: Any, completion: Any) -> None:
                texts[ask.number] = completion.text
                journal.add(Sample(key=str(ask.number), problem_id="", sample=0, completion=completion, seconds=0.0))

            answer_and_grade(block, asks_for(prompts, 1), backend, grader, note)
            grader.finish()
        return [texts[number] for number in range(len(block))]

    return generate


def theirs(args: Args, backend: TransformersBackend, batch_size: int) -> Callable[[Sequence[Problem]], list[str]]:
    """Return a function that generates a block with lm-eval's `hf` backend."""
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    lm = HFLM(pretrained=str(args.model), dtype="float32", device="cpu", batch_size=batch_size)
    settings = {"until": [], "max_gen_toks": args.max_tokens, "do_sample": False, "temperature": 0.0}

    def generate(block: Sequence[Problem]) -> list[str]:
        requests = [
            Instance(
                request_type="generate_until",
                doc={},
                arguments=(backend.render(problem.question).text, dict(settings)),
                idx=index,
            )
            for index, problem in enumerate(block)
        ]
        return [str(text) for text in lm.generate_until(requests, disable_tqdm=True)]

    return generate


def rows(sides: Sequence[Side], backend: TransformersBackend, problems: Sequence[Problem]) -> list[dict[str, Any]]:
    """Return a row per side; tokens are counted alike, by tokenizing what was written."""
    found: list[dict[str, Any]] = []
    for side in sides:
        tokens = sum(len(ids) for ids in backend.tokenizer(side.texts)["input_ids"])
        same = sum(text == ours for text, ours in zip(side.texts, sides[0].texts, strict=True))
        found.append(
            {
                "harness": side.name,
                "identical": f"{same} of {len(problems)}",
                "tokens": tokens,
                "wall_seconds": side.wall_seconds,
                "cpu_seconds": side.cpu_seconds,
                "tokens_per_second": tokens / side.wall_seconds,
                "tokens_per_cpu_second": tokens / side.cpu_seconds,
            }
        )
    for row in found:
        row["times_slower"] = found[0]["tokens_per_second"] / row["tokens_per_second"]
    return found


def table(found: Sequence[dict[str, Any]]) -> str:
    """Return the rows as Markdown."""
    head = (
        "| harness | same text as ours | tokens | seconds | tokens/s | tokens per CPU second | ours is |\n"
        + 7 * "|---"
        + "|"
    )
    lines = [
        f"| {row['harness']} | {row['identical']} | {row['tokens']:,} | {row['wall_seconds']:.0f} | "
        f"{row['tokens_per_second']:.0f} | {row['tokens_per_cpu_second']:.0f} | {row['times_slower']:.1f} × |"
        for row in found
    ]
    return "\n".join([head, *lines])


def differences(sides: Sequence[Side], problems: Sequence[Problem]) -> list[str]:
    """Return a line for each text that differs from ours: where they part."""
    lines = []
    for side in sides[1:]:
        for problem, theirs_text, our_text in zip(problems, side.texts, sides[0].texts, strict=True):
            if theirs_text != our_text:
                pairs = enumerate(zip(our_text, theirs_text, strict=False))
                place = next((i for i, (a, b) in pairs if a != b), min(len(our_text), len(theirs_text)))
                lines.append(
                    f"{side.name}, {problem.id}: part at character {place}: ours {our_text[place : place + 30]!r}, "
                    f"theirs {theirs_text[place : place + 30]!r}"
                )
    return lines


if __name__ == "__main__":
    main(tyro.cli(Args))
