"""`reasoning-grpo report RUN [RUN2]`: a run, or two side by side, as JSON, Markdown and a page that opens offline."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from reasoning_grpo import storage
from reasoning_grpo.commands.options import parse_options
from reasoning_grpo.errors import UserError

if TYPE_CHECKING:
    from reasoning_grpo.eval.report.record import TrainData
    from reasoning_grpo.eval.runs import Run


@dataclass(frozen=True, kw_only=True)
class ReportArgs:
    """Show a run, or two side by side: every figure with its interval, and any attempt with why it counts as it does.

    A run is a folder of `reasoning-grpo bench` (or `regrade`), or a file of `reasoning-grpo score --out`. Without an
    output named, the Markdown is printed.
    """

    run: Annotated[Path, tyro.conf.Positional]
    """The run to show."""
    other: Annotated[Path | None, tyro.conf.Positional] = None
    """A second run on the same problems, compared with the first."""
    html: Path | None = None
    """Write one page that opens offline, with every attempt in it, to this file."""
    markdown: Path | None = None
    """Write the figures as Markdown to this file; `-` prints them."""
    json: Path | None = None
    """Write the figures as JSON to this file; `-` prints them."""
    train_data: str | None = None
    """Look for the problems in this training set: a name as in a recipe, or a file of problems."""
    train_split: str = "train"
    """Which split of `--train-data`."""
    force: bool = False
    """Set two runs side by side though they were made under different conditions; the differing ones are named."""


def run(verb: str, args: Sequence[str]) -> int:
    """Write or print the report."""
    options = parse_options(ReportArgs, args, "reasoning-grpo report")
    _check(options)
    from reasoning_grpo.eval.report.record import report_record

    runs = _runs(options)
    record = report_record(runs, _train_data(options))
    _write(options, record, runs)
    return 0


def _check(options: ReportArgs) -> None:
    inputs = [path for path in (options.run, options.other) if path is not None]
    outputs = [p for p in (options.html, options.markdown, options.json) if p is not None and str(p) != "-"]
    for path in outputs:
        storage.check_output(path, *inputs)
    if len({path.resolve() for path in outputs}) < len(outputs):
        raise UserError("two outputs have one file; name a file for each")
    if str(options.html) == "-":
        raise UserError("`--html -` would print a page nobody can read; name a file")
    if str(options.markdown) == "-" and str(options.json) == "-":
        raise UserError("`--markdown -` and `--json -` cannot both be printed; name a file for one of them")
    if options.train_data is None and options.train_split != "train":
        raise UserError("`--train-split` means nothing without `--train-data`; name the data, or leave it out")


def _runs(options: ReportArgs) -> list["Run"]:
    from reasoning_grpo.commands.named_runs import named_by_place
    from reasoning_grpo.eval.compare import refuse_differing
    from reasoning_grpo.eval.runs import load_run

    first = load_run(options.run)
    if options.other is None:
        return [first]
    second = load_run(options.other)
    if not options.force:
        refuse_differing(first, second)
    if first.label == second.label:  # two runs of one model
        return [named_by_place(first, options.run), named_by_place(second, options.other)]
    return [first, second]


def _train_data(options: ReportArgs) -> "TrainData | None":
    if options.train_data is None:
        return None
    from reasoning_grpo.data.sources import DataSource, load_problems
    from reasoning_grpo.eval.report.record import TrainData

    loaded = load_problems(DataSource(name=options.train_data, split=options.train_split))
    return TrainData(origin=loaded.origin, problems=loaded.problems)


def _write(options: ReportArgs, record: dict[str, object], runs: Sequence["Run"]) -> None:
    from reasoning_grpo.eval.report.markdown import markdown
    from reasoning_grpo.eval.report.page import html_page

    texts = {}
    if options.html is not None:
        texts[options.html] = html_page(record, runs)
    if options.json is not None:
        texts[options.json] = json.dumps(storage.finite(record), indent=2, allow_nan=False) + "\n"
    if options.markdown is not None or not texts:
        texts[options.markdown or Path("-")] = markdown(record)
    for path, text in texts.items():
        if str(path) == "-":
            print(text.encode("utf-8", "backslashreplace").decode(), end="")  # a label may hold a lone surrogate
        else:
            storage.write_text(path, text)
            print(f"wrote {path} ({_size(path.stat().st_size)})")


def _size(num_bytes: int) -> str:
    return f"{num_bytes / 1e6:,.1f} MB" if num_bytes >= 1e5 else f"{num_bytes / 1e3:,.1f} kB"
