"""A report as Markdown, for a README or a pull request: figures only, no model text."""

from collections.abc import Mapping, Sequence
from typing import Any

from reasoning_grpo.eval.report.record import notices
from reasoning_grpo.eval.report.texts import printable

_SPECIAL = str.maketrans({sign: f"\\{sign}" for sign in "\\`*_[]<>|#~&"})

_RATES = (("answer in form", "format_rate"), ("cut off", "truncation_rate"), ("no answer", "no_answer_rate"))
_MAX_NAME_CHARS = 120


def markdown(record: Mapping[str, Any]) -> str:
    """Return the report as Markdown."""
    runs = record["runs"]
    parts = [f"# {' → '.join(plain(run['label']) for run in runs)}"]
    if record["comparison"]:
        parts.append(plain(record["comparison"]["sentence"], limit=1_000))
    parts += [plain(notice, limit=4_000) for notice in notices(record)]
    parts.append(_measures(runs))
    parts += [_by(record, name) for name in runs[0]["measures"].get("by", {})]
    parts += [_overlap(run) for run in runs if run["overlap"]]
    if all(run["budget_curve"] for run in runs):
        parts.append(_budget(runs))
    return "\n\n".join(parts) + "\n"


def plain(text: str, limit: int = _MAX_NAME_CHARS) -> str:
    """Return text that Markdown shows as it stands, on one line: names come from files of other people."""
    return printable((text if len(text) <= limit else f"{text[:limit]}…").translate(_SPECIAL))


def with_interval(row: Mapping[str, Any] | None, key: str = "accuracy") -> str:
    """Return `54.2 % [50.1, 58.3]`; `–` where there is no figure."""
    if row is None or not _known(row[key]):
        return "–"
    if not _known(row["ci_low"]):
        return _percent(row[key])
    return f"{_percent(row[key])} [{100 * row['ci_low']:.1f}, {100 * row['ci_high']:.1f}]"


def _measures(runs: Sequence[Mapping[str, Any]]) -> str:
    figures = [run["measures"] for run in runs]
    rows = [
        ["accuracy", *map(with_interval, figures)],
        ["right / graded", *(f"{one['num_correct']:,} / {one['num_graded']:,}" for one in figures)],
        ["problems", *(f"{one['num_problems']:,}" for one in figures)],
    ]
    for name, key in (("pass@", "pass_at_k"), ("majority@", "maj_at_k")):
        for k in sorted({k for one in figures for k in one.get(key, {})} - {"1"}, key=int):
            rows.append([name + k, *(with_interval(one.get(key, {}).get(k), "value") for one in figures)])
    rows += [[name, *(_percent(one[key]) for one in figures)] for name, key in _RATES if key in figures[0]]
    lengths = [one["mean_tokens"] for one in figures]
    rows.append(["mean tokens", *(f"{length:,.0f}" if _known(length) else "–" for length in lengths)])
    return _table(["95 % intervals", *_names(runs, "")], rows)


def _by(record: Mapping[str, Any], name: str) -> str:
    runs, comparison = record["runs"], record["comparison"]
    differences = (comparison or {}).get("by", {}).get(name, {})
    rows = []
    for value, group in runs[0]["measures"]["by"][name].items():
        sides = [with_interval(run["measures"]["by"].get(name, {}).get(value)) for run in runs]
        found = differences.get(value)
        told = f"{found['difference']:+.1f} (p {found['p_value']:.2g})" if found else "–"
        rows.append([plain(str(value)), f"{group['num_problems']:,}", *sides, *([told] if comparison else [])])
    return _table([plain(name), "problems", *_names(runs, "accuracy"), *(["points"] if comparison else [])], rows)


def _overlap(run: Mapping[str, Any]) -> str:
    overlap = run["overlap"]
    rows = [
        [name, f"{overlap[name]['num_problems']:,}" if overlap[name] else "0", with_interval(overlap[name])]
        for name in ("clean", "overlapping")
    ]
    told = (
        f"Overlap of {plain(run['label'])} with {plain(overlap['train_data'])}: {overlap['num_exact']:,} exact, "
        f"{overlap['num_ngram']:,} with at least {100 * overlap['min_share']:.0f} % of their {overlap['ngram']}-grams."
    )
    return f"{told}\n\n{_table(['part', 'problems', 'accuracy'], rows)}"


def _budget(runs: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        [f"{points[0]['tokens']:,}", *map(with_interval, points)]
        for points in zip(*(run["budget_curve"] for run in runs), strict=True)
    ]
    shown = [row for number, row in enumerate(rows, start=1) if number == len(rows) or number % 4 == 0]
    told = "Accuracy if cut at so many tokens (a completion must fit whole):"
    return f"{told}\n\n{_table(['tokens', *_names(runs, 'accuracy')], shown)}"


def _names(runs: Sequence[Mapping[str, Any]], single: str) -> list[str]:
    return [plain(run["label"]) for run in runs] if len(runs) == 2 else [single]


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _percent(value: float | None) -> str:
    return f"{100 * value:.1f} %" if value is not None and _known(value) else "–"


def _known(value: float | None) -> bool:
    return value is not None and value == value  # NaN is not itself
