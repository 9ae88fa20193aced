"""`reasoning-grpo score FILE.jsonl[.gz]`: verdicts for completions one already has. Needs no torch."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from reasoning_grpo import storage
from reasoning_grpo.commands.options import parse_options
from reasoning_grpo.errors import DataError, UserError
from reasoning_grpo.progress import progress
from reasoning_grpo.rewards.compose import RewardSpec, RewardTerm, Scored
from reasoning_grpo.rewards.conventions import CONVENTIONS
from reasoning_grpo.rewards.fingerprint import verifier_condition, verifier_facts
from reasoning_grpo.rewards.score import Row, Summary, as_text, read_objects, read_rows, score_rows, summarise
from reasoning_grpo.schema import Outcome

TERM = "accuracy"
MAX_VALUES_SHOWN, MAX_VALUE_CHARS = 10, 60
Convention = Literal["qwen", "math-verify", "last-number", "strict-box", "gsm8k-hash"]


@dataclass(frozen=True, kw_only=True)
class ScoreArgs:
    """Grade stored completions and print how many are right, with the 95 % interval.

    Each row of FILE is a JSON object with a gold answer (`gold`, `answer` …) and a completion (`response`, `completion`
    …). Where rows have a boolean `label`, the verdicts are compared with it.
    """

    file: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]
    """A .jsonl or .jsonl.gz file."""
    where: Annotated[tuple[tuple[str, ...], ...], tyro.conf.UseAppendAction] = ()
    """Only rows with these values: `--where dataset=gsm8k model=base`, or `--where` once for each."""
    verifier: str = "accuracy"
    """What counts as right: a name (`reasoning-grpo verifiers`), `pkg.mod:fn` or `./file.py:fn`."""
    convention: Convention | None = None
    """Grade as another project's grader would, for comparison."""
    gold_column: str | None = None
    """Column of the gold answer, if it has an unusual name."""
    response_column: str | None = None
    """Column of the completion, if it has an unusual name."""
    question_column: str | None = None
    """Column of the question, for verifiers that read it."""
    by: str | None = None
    """Print one line per value of this column as well."""
    out: Path | None = None
    """Write every row with its verdict and reward to this JSONL file; an older one is replaced at the end."""
    json: bool = False
    """Print the summary as JSON instead of a table."""


def run(verb: str, args: Sequence[str]) -> int:
    """Score the file and print the summary."""
    options = parse_options(ScoreArgs, args, "reasoning-grpo score")
    if options.out is not None:
        storage.check_output(options.out, options.file)
    if options.convention and options.verifier != "accuracy":
        raise UserError("`--convention` and `--verifier` both say what is right; name one of them")
    reference = CONVENTIONS[options.convention] if options.convention else options.verifier
    spec = RewardSpec(terms=(RewardTerm(name=TERM, verifier=reference),))
    spec.check()
    where = _where(options.where)
    num_rows = sum(1 for _ in _rows(options, where))
    if not num_rows:
        wanted = " and ".join(f"{column}={value}" for column, value in where.items())
        raise DataError(f"no row of {options.file} has {wanted}; {_there_are(options.file, where)}")
    with progress(f"score {options.file.name}", total=num_rows) as bar:
        scored = score_rows(_rows(options, where), spec)
        summaries = summarise(_written(_counted(scored, bar), options.out, spec), TERM, group_by=options.by)
    if options.json:
        print(json.dumps({name: summary_record(summary) for name, summary in summaries.items()}, indent=2))
    else:
        print_summaries(summaries)
    return 0


def print_summaries(summaries: Mapping[str, Summary]) -> None:
    """Print one block per group."""
    for name, summary in summaries.items():
        print(f"{name}: {_rate(summary)}, {summary.num_passed} of {summary.num_graded} graded rows right")
        outcomes = ", ".join(f"{outcome} {count}" for outcome, count in sorted(summary.outcomes.items()))
        print(f"  outcomes: {outcomes}")
        if summary.agreement:
            agreement = summary.agreement
            print(
                f"  agrees with the file's labels on {100 * agreement.share:.1f} % of rows; "
                f"right by label only {agreement.only_label}, by the verifier only {agreement.only_verifier}"
            )


def summary_record(summary: Summary) -> dict[str, Any]:
    """Return the summary's figures for JSON."""
    record: dict[str, Any] = {
        "num_rows": summary.num_rows,
        "num_graded": summary.num_graded,
        "num_passed": summary.num_passed,
        "accuracy": summary.pass_rate,
        "ci_low": summary.low,
        "ci_high": summary.high,
        "mean_score": summary.mean_score,
        "outcomes": {str(outcome): summary.outcomes.get(outcome, 0) for outcome in Outcome},
    }
    if summary.agreement:
        record["agreement"] = storage.plain(summary.agreement)
    return record


def _rate(summary: Summary) -> str:
    if summary.pass_rate is None or summary.low is None or summary.high is None:
        return "nothing could be graded"
    return f"{100 * summary.pass_rate:.1f} % right [{100 * summary.low:.1f}, {100 * summary.high:.1f}]"


def _where(flags: Sequence[Sequence[str]]) -> dict[str, str]:
    """Read `column=value`, as often as each `--where` has them."""
    where: dict[str, str] = {}
    for pair in (pair for pairs in flags for pair in pairs or ("",)):
        column, equals, value = pair.partition("=")
        if not equals:
            raise UserError(f"`--where {pair}` has no `=`; write `--where column=value`")
        if column in where and where[column] != value:
            raise UserError(f"`--where` asks for two values of `{column}`, {where[column]!r} and {value!r}; name one")
        where[column] = value
    return where


def _there_are(path: Path, where: Mapping[str, str]) -> str:
    """Return which values the named columns hold, as `--where` compares them."""
    values: dict[str, dict[str, None]] = {column: {} for column in where}
    for _, columns in read_objects(path):
        for column, seen in values.items():
            if len(seen) <= MAX_VALUES_SHOWN:
                seen[as_text(columns[column])[:MAX_VALUE_CHARS]] = None
    return "; ".join(f"`{column}` holds {_some(list(seen))}" for column, seen in values.items())


def _some(values: Sequence[str]) -> str:
    shown = ", ".join(map(repr, values[:MAX_VALUES_SHOWN]))
    return f"{shown} and others" if len(values) > MAX_VALUES_SHOWN else shown


def _rows(options: ScoreArgs, where: Mapping[str, str]) -> Iterator[Row]:
    return read_rows(
        options.file,
        where=where,
        question=options.question_column,
        gold=options.gold_column,
        response=options.response_column,
    )


def _counted(scored: Iterable[tuple[Row, Scored]], bar: Any) -> Iterator[tuple[Row, Scored]]:
    for pair in scored:
        yield pair
        bar.advance(1)


def _written(scored: Iterable[tuple[Row, Scored]], out: Path | None, spec: RewardSpec) -> Iterator[tuple[Row, Scored]]:
    """Pass rows through, writing them with who graded; the file appears under its name when it is whole."""
    if out is None:
        yield from scored
        return
    graded_by = verifier_condition(verifier_facts(spec.terms[0], spec.base_dir))
    part = out.with_name(f".{out.name}.part")
    part.unlink(missing_ok=True)
    with storage.JsonlWriter(part) as file:
        for row, result in scored:
            verdict = storage.plain(result.verdicts[TERM])
            file.write({**row.columns, "verdict": verdict, "reward": result.reward, "graded_by": graded_by})
            yield row, result
    part.replace(out)
