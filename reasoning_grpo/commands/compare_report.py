"""A comparison for a person: the same sections in a terminal and in Markdown."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reasoning_grpo.eval.compare import footing
from reasoning_grpo.eval.report.texts import printable

MAX_TEXT = 60
Cells = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A table with a title; the first row names the columns."""

    title: str
    header: Cells
    rows: Sequence[Cells]
    note: str = ""


def print_comparison(record: Mapping[str, Any], *, num_flips: int) -> None:
    """Print the sentence, the notes and the tables."""
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    # A file or a pipe has no width: tables are then as wide as their content.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 200)
    for line in (record["sentence"], *notes(record)):
        console.print(escape(printable(line)), soft_wrap=True)
    for section in sections(record, num_flips):
        console.print(f"\n[bold]{escape(section.title)}[/bold]", soft_wrap=True)
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for number, name in enumerate(section.header):
            table.add_column(escape(printable(name)), justify="left" if number == 0 else "right")
        for row in section.rows:
            table.add_row(*(escape(printable(cell)) for cell in row))
        console.print(table)
        if section.note:
            console.print(escape(section.note), soft_wrap=True)


def markdown(record: Mapping[str, Any], *, num_flips: int) -> str:
    """Return the comparison as Markdown."""
    lines = [_cell(record["sentence"]), *(f"\n{_cell(note)}" for note in notes(record))]
    for section in sections(record, num_flips):
        lines += ["", f"### {section.title}", "", _line(section.header), _line(["---"] * len(section.header))]
        lines += [_line(row) for row in section.rows]
        lines += ["", section.note] if section.note else []
    return "\n".join(lines) + "\n"


def notes(record: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a reader must know before the figures."""
    if record["num_left_out"]:
        yield f"Left out: {record['num_left_out']} problems that one run was not asked or could not be graded on."
    yield from footing(record)
    if record["unshared_conditions"]:
        yield f"Known of one run only: {', '.join(record['unshared_conditions'])}."
    band = record.get("grader_band")
    if band and band["warning"]:
        yield f"Warning: {band['warning']}."
    if band and band["abstained"]:
        yield f"None of these golds can be read by: {', '.join(band['abstained'])}."


def sections(record: Mapping[str, Any], num_flips: int) -> Iterator[Section]:
    """Yield the tables that have something to say."""
    before, after = record["before"]["label"], record["after"]["label"]
    yield Section(
        title="Difference in points",
        header=("", before, after, "difference", "interval", "p", "wins", "losses", "ties"),
        rows=[("all", _percent(record["before"]), _percent(record["after"]), *_figures(record))],
        note=f"{record['method']}; {record['num_problems']:,} problems detect "
        f"{record['smallest_detectable']:.1f} points",
    )
    if record["pass_at_k"]:
        header = ("", "difference", "interval", "p", "wins", "losses", "ties")
        rows = [(f"pass@{k}", *_figures(row)) for k, row in record["pass_at_k"].items()]
        yield Section(title="At least one of k samples right, in points", header=header, rows=rows)
    yield Section(
        title="What it is made of, in points",
        header=("part", "points"),
        rows=[(name, f"{value:+.1f}") for name, value in record["attribution"].items()],
    )
    for name, groups in record["by"].items():
        header = (name, "difference", "interval", "p", "wins", "losses", "ties")
        yield Section(title=f"By {name}", header=header, rows=[(v, *_figures(row)) for v, row in groups.items()])
    if graders := record.get("grader_band", {}).get("graders"):
        header = ("grader", "difference", "interval", "p", "wins", "losses", "ties")
        yield Section(title="By grader", header=header, rows=[(n, *_figures(row)) for n, row in graders.items()])
    for change, title in (("loss", "Lost"), ("win", "Won")):
        flips = [flip for flip in record["flips"] if flip["change"] == change]
        if not flips or not num_flips:
            continue
        yield Section(
            title=f"{title}: {min(num_flips, len(flips))} of {len(flips)} problems",
            header=("problem", "gold", before, after),
            rows=[_flip(flip) for flip in flips[:num_flips]],
        )


def _figures(row: Mapping[str, Any]) -> Cells:
    interval = f"[{row['ci_low']:+.1f}, {row['ci_high']:+.1f}]"
    counts = tuple(str(row[name]) for name in ("wins", "losses", "ties"))
    return (f"{row['difference']:+.1f}", interval, f"{row['p_value']:.2g}", *counts)


def _percent(side: Mapping[str, Any]) -> str:
    return f"{100 * side['accuracy']:.1f} %"


def _flip(flip: Mapping[str, Any]) -> Cells:
    return (flip["problem_id"], _short(flip["gold"]), _answer(flip["before"]), _answer(flip["after"]))


def _answer(side: Mapping[str, Any]) -> str:
    told = _short(side["extracted"]) if side["extracted"] is not None else side["outcome"]
    return told if side["num_samples"] == 1 else f"{told} ({side['num_right']} of {side['num_samples']} right)"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MAX_TEXT else f"{line[: MAX_TEXT - 1]}…"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(_cell, cells))} |"


def _cell(text: str) -> str:
    """Model text in a table must neither end the cell nor become markup."""
    text = printable(text)
    for character in "\\|`<*_[":
        text = text.replace(character, f"\\{character}")
    return text
