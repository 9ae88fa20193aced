"""`reasoning-grpo compare A B`: is B better than A, how sure is that, and what is the difference made of?"""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from reasoning_grpo import storage
from reasoning_grpo.commands.named_runs import named_by_place
from reasoning_grpo.commands.options import parse_options
from reasoning_grpo.errors import UserError
from reasoning_grpo.progress import progress

if TYPE_CHECKING:
    from reasoning_grpo.eval.runs import Run


@dataclass(frozen=True, kw_only=True)
class CompareArgs:
    """Compare two runs on the same problems, pairwise: the difference B minus A with its interval and p-value.

    A and B are folders of `reasoning-grpo bench` (or `regrade`), or files of `reasoning-grpo score --out`. Runs made
    under different conditions (problems, prompt, limits, sampling, verifier) are refused: their difference would not be
    the models'.
    """

    a: Annotated[Path, tyro.conf.Positional]
    """The run that is compared with: before, or the baseline."""
    b: Annotated[Path, tyro.conf.Positional]
    """The run in question: after, or the candidate."""
    json: Path | None = None
    """Write the comparison as JSON to this file; `-` prints it, and nothing else."""
    markdown: Path | None = None
    """Write the comparison as Markdown to this file."""
    graders: Literal["quick", "all", "none"] = "quick"
    """Grade both runs again, and say whether the conclusion depends on the grader: `quick` by our verifier, a strict
    form and the last number, `all` by math-verify too, which takes milliseconds an answer."""
    flips: int = 5
    """Show this many lost and this many won problems; the JSON holds all of them."""
    k: int | None = None
    """Take only the first K samples of each problem."""
    confidence: float = 0.95
    """Level of the intervals; a difference is called one where its p-value is below 1 minus this."""
    bootstrap: int = 10_000
    """Draws of the bootstrap, for runs with several samples a problem."""
    seed: int = 0
    """Seed of the bootstrap."""
    force: bool = False
    """Compare runs made under different conditions all the same; the differing ones are named."""


def run(verb: str, args: Sequence[str]) -> int:
    """Compare and print."""
    options = parse_options(CompareArgs, args, "reasoning-grpo compare")
    _check(options)
    from reasoning_grpo.eval.compare import compare, num_tests, pair_up, refuse_differing
    from reasoning_grpo.eval.runs import load_run

    before, after = load_run(options.a), load_run(options.b)
    if not options.force:
        refuse_differing(before, after)
    before, after = named_by_place(before, options.a), named_by_place(after, options.b)
    pair = pair_up(before, after, samples=options.k)
    with progress("compare", total=num_tests(pair)) as bar:
        record = compare(pair, dataclasses.replace(_bootstrap(options), on_test=bar.advance))
    if options.graders != "none":
        record["grader_band"] = _band(before, after, options)
    _write(record, options)
    return 0


def _check(options: CompareArgs) -> None:
    for name, low in (("k", 1), ("bootstrap", 100), ("flips", 0)):
        value = getattr(options, name)
        if value is not None and value < low:
            raise UserError(f"`--{name}` is {value}; it must be at least {low}")
    if not 0.5 <= options.confidence < 1.0:
        raise UserError(f"`--confidence` is {options.confidence}; it lies in [0.5, 1), such as 0.95")
    for path in (options.json, options.markdown):
        if path is not None and str(path) != "-":
            storage.check_output(path, options.a, options.b)


def _bootstrap(options: CompareArgs) -> Any:
    from reasoning_grpo.eval.compare import Bootstrap

    return Bootstrap(confidence=options.confidence, num_draws=options.bootstrap, seed=options.seed)


def _band(before: "Run", after: "Run", options: CompareArgs) -> dict[str, Any]:
    from reasoning_grpo.eval.bands import band, band_for

    graders = band_for(before, quick=options.graders == "quick")
    total = len(graders) * (len(before.attempts) + len(after.attempts))
    with progress(f"grade by {len(graders)} graders", total=total) as bar:
        return band(
            before, after, graders=graders, bootstrap=_bootstrap(options), samples=options.k, on_graded=bar.advance
        )


def _write(record: dict[str, Any], options: CompareArgs) -> None:
    if options.json is not None and str(options.json) == "-":
        print(json.dumps(storage.finite(record), indent=2, allow_nan=False))
    else:
        from reasoning_grpo.commands.compare_report import print_comparison

        print_comparison(record, num_flips=options.flips)
        if options.json is not None:
            storage.write_json(options.json, record)
    if options.markdown is not None:
        from reasoning_grpo.commands.compare_report import markdown

        storage.write_text(options.markdown, markdown(record, num_flips=options.flips))
