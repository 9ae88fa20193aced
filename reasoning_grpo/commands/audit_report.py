"""How an audit is shown: a table for a person, a record for a program."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from reasoning_grpo.data.sources import LoadedProblems
from reasoning_grpo.rewards.auditing.audit import Example, Finding, Report, Role, count_troubles
from reasoning_grpo.rewards.auditing.disagreements import Disagreement
from reasoning_grpo.schema import AnswerFormat

if TYPE_CHECKING:
    from rich.console import Console

_MAX_FINDINGS = 30
_MAX_EXAMPLES = 2
_MAX_LISTED = 12


def print_audit(
    reports: Mapping[str, Report],
    loaded: LoadedProblems,
    style: str,
    answer_format: AnswerFormat,
    notes: Sequence[str],
    found: Sequence[Disagreement] | None,
) -> None:
    """Print every term's verdict, its findings with examples, and the golds in trouble."""
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True, emoji=False)
    console.print(f"problems:  {len(loaded.problems)} from {loaded.origin}", markup=False)
    if loaded.num_dropped_empty:
        console.print(f"empty:     {loaded.num_dropped_empty} rows without a gold were dropped by the loader")
    console.print(f"prompt:    {style}, which asks for {_asked(answer_format)}", markup=False)
    for note in notes:
        console.print(f"note:      {note}", markup=False)
    for name, report in reports.items():
        _print_report(console, name, report)
    if found is not None:
        _print_disagreements(console, found)


def report_record(report: Report) -> dict[str, Any]:
    """Return a report for JSON."""
    return {
        "role": str(report.role),
        "fit": report.is_fit,
        "num_golds": report.num_golds,
        "golds_accepted": report.golds_accepted,
        "golds_rejected": report.golds_rejected,
        "golds_ungradable": report.golds_ungradable,
        "num_mutants": report.num_mutants,
        "mutants_accepted": report.mutants_accepted,
        "num_preserving": report.num_preserving,
        "preserving_rejected": report.preserving_rejected,
        "seconds": round(report.seconds, 3),
        "findings": [_finding_record(finding) for finding in report.findings],
        "kinds": {kind: [counts.num_tried, counts.num_failed] for kind, counts in sorted(report.kinds.items())},
        "troubles": {id_: str(trouble) for id_, trouble in report.troubles.items()},
    }


def _finding_record(finding: Finding) -> dict[str, Any]:
    return {
        "code": finding.code,
        "sentence": finding.sentence,
        "num_failed": finding.num_failed,
        "num_tried": finding.num_tried,
        "fatal": finding.is_fatal,
        "examples": [_example_record(example) for example in finding.examples],
    }


def _example_record(example: Example | str) -> str | dict[str, str]:
    if isinstance(example, str):
        return example
    return {"problem_id": example.problem_id, "gold": example.gold, "text": example.text, "said": example.said}


def _print_report(console: "Console", name: str, report: Report) -> None:
    console.print()
    console.print(
        f"{name}: {'FIT' if report.is_fit else 'NOT FIT'} ({report.role}, {report.seconds:.1f} s)", markup=False
    )
    if report.role is Role.ACCURACY:
        _print_counts(console, report)
    for finding in report.findings[:_MAX_FINDINGS]:
        _print_finding(console, finding)
    if len(report.findings) > _MAX_FINDINGS:
        console.print(f"  … and {len(report.findings) - _MAX_FINDINGS} more findings; `--json FILE` has them all")
    _print_troubles(console, report)


def _print_counts(console: "Console", report: Report) -> None:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE, show_header=True, pad_edge=True)
    for column in ("asked", "tried", "failed", "share"):
        table.add_column(column, justify="left" if column == "asked" else "right")
    rows = (
        ("golds accepted in every permitted form", report.num_golds - report.golds_ungradable, report.golds_rejected),
        ("rewrites that mean the same accepted", report.num_preserving, report.preserving_rejected),
        ("near misses and tricks rejected", report.num_mutants, report.mutants_accepted),
    )
    for asked, tried, failed in rows:
        table.add_row(asked, str(tried), str(failed), f"{100 * failed / tried:.2f} %" if tried else "-")
    console.print(table)


def _print_finding(console: "Console", finding: Finding) -> None:
    mark = "✗" if finding.is_fatal else "·"
    console.print(
        f"  {mark} {finding.sentence}: {finding.num_failed} of {finding.num_tried}  [{finding.code}]", markup=False
    )
    for example in finding.examples[:_MAX_EXAMPLES]:
        console.print(f"      {_example_line(example)}", markup=False)


def _example_line(example: Example | str) -> str:
    if isinstance(example, str):
        return _printable(example)
    return _printable(f"{example.problem_id}, gold {example.gold}: {example.text!r} -> {example.said}")


def _print_troubles(console: "Console", report: Report) -> None:
    for trouble, count in count_troubles(report).most_common():
        ids = [id_ for id_, of in report.troubles.items() if of is trouble]
        more = f" and {len(ids) - _MAX_LISTED} more" if len(ids) > _MAX_LISTED else ""
        console.print(f"  golds {trouble}: {count} ({', '.join(ids[:_MAX_LISTED])}{more})", markup=False)


def _print_disagreements(console: "Console", found: Sequence[Disagreement]) -> None:
    console.print()
    console.print(f"the two graders differ on {len(found)} stored rollouts, largest advantage first", markup=False)
    for each in found[:_MAX_FINDINGS]:
        advantage = "none" if each.advantage is None else f"{each.advantage:+.3f}"
        line = (
            f"  advantage {advantage}, {each.problem_id} ({each.place}), gold {each.gold}: {each.first} / {each.second}"
        )
        console.print(_printable(line), markup=False)


def _asked(answer_format: AnswerFormat) -> str:
    thought = " after a thought" if answer_format.think else ""
    opened = ", whose `<think>` the prompt writes" if answer_format.think_prefilled else ""
    forms = {"tags": "an <answer>", "boxed": "a \\boxed{} answer", "hash": "a last line `#### answer`"}
    return forms.get(answer_format.form, "no form: any is permitted") + thought + opened


def _printable(text: str) -> str:
    """Replace what a terminal cannot show: model text may hold anything."""
    return "".join(char if char.isprintable() else "�" for char in text)[:400]
