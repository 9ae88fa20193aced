"""`reasoning-grpo audit (RECIPE | --verifier REF)`: is this reward fit for this data, prompt and template?"""

import contextlib
import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from reasoning_grpo import storage
from reasoning_grpo.commands import audit_report
from reasoning_grpo.commands.options import parse_options
from reasoning_grpo.config import Recipe, find_recipe, load_recipe
from reasoning_grpo.data.prompts import PromptStyle, get_style, render
from reasoning_grpo.data.sources import DataSource, LoadedProblems, load_problems
from reasoning_grpo.data.templates import TemplateOnly, read_template
from reasoning_grpo.errors import DataError, UserError
from reasoning_grpo.progress import progress
from reasoning_grpo.rewards.auditing.audit import Judge, Report, Role, audit
from reasoning_grpo.rewards.auditing.disagreements import Disagreement, Rollout, disagreements
from reasoning_grpo.rewards.auditing.golds import GoldTrouble, cleaned_row
from reasoning_grpo.rewards.auditing.judges import gated, judge_for
from reasoning_grpo.rewards.watched import Call
from reasoning_grpo.schema import AnswerFormat, Problem

_FORM_VERIFIERS = ("format", "format_graded")


@dataclass(frozen=True, kw_only=True)
class AuditArgs:
    """Ask whether a reward is fit for a data set, a prompt and a template; exit code 0 if it is, 1 if not.

    Every gold must be accepted in each form the prompt permits, rewrites that mean the same must be too, near misses
    and tricks must not, and a verifier must keep its contract (range, determinism, deadline, threads, no exceptions).
    """

    recipe: Annotated[str | None, tyro.conf.Positional] = None
    """A recipe, or the name of a shipped one: its rewards, data, prompt and model's template."""
    verifier: str | None = None
    """One verifier instead: a name, `pkg.mod:fn` or `./file.py:fn`."""
    role: Literal["accuracy", "form", "shape"] = "accuracy"
    """What `--verifier` is for: right or wrong, the asked form, or any other shape."""
    options: str = "{}"
    """Options of `--verifier` as JSON: `--options '{"strict_form": true}'`."""
    data: str | None = None
    """The problems; by default the recipe's."""
    split: str | None = None
    """Their split; by default the recipe's, or `train`."""
    limit: int | None = None
    """Audit only the first N problems."""
    prompt: str | None = None
    """Prompt style; by default the recipe's, or `plain`, which permits every form."""
    template: Path | None = None
    """Chat template, for what it writes before the answer: a `.jinja` file or a model folder."""
    deadline: float = 5.0
    """Seconds a call of a custom verifier may take."""
    rollouts: Path | None = None
    """A run's `rollouts/rank-0.jsonl`: list where the first verifier and `--second` differ, largest advantage first."""
    second: str = "math_verify"
    """The independent grader for `--rollouts`."""
    json: Path | None = None
    """Write the whole result to this file."""
    cleaned: Path | None = None
    """Write the problems whose golds can be trained on to this JSONL file."""


@dataclass(frozen=True, kw_only=True)
class Term:
    """One verifier to audit; `gate` is the term without whose pass it is paid nothing."""

    name: str
    call: Call
    role: Role
    gate: "Term | None" = None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is audited: the terms, the problems, and what the prompt asks for."""

    terms: tuple[Term, ...]
    loaded: LoadedProblems
    style: str
    answer_format: AnswerFormat
    rollouts: tuple[Rollout, ...] | None = None
    notes: tuple[str, ...] = ()


def run(verb: str, args: Sequence[str]) -> int:
    """Audit, print the findings, and return 0 for a fit reward and 1 for any other."""
    options = parse_options(AuditArgs, args, "reasoning-grpo audit")
    for path in (options.json, options.cleaned):
        if path is not None:
            storage.check_output(path, *([Path(options.data)] if options.data else []))
    plan = _plan(options)
    reports = {term.name: _audit(term, plan, options) for term in plan.terms}
    found = _disagreements(plan, options)
    is_fit = all(report.is_fit for report in reports.values())
    audit_report.print_audit(reports, plan.loaded, plan.style, plan.answer_format, plan.notes, found)
    if options.json is not None:
        record = _record(reports, plan, found)
        storage.write_text(options.json, json.dumps(record, indent=2) + "\n")
    if options.cleaned is not None:
        _write_cleaned(options.cleaned, plan.loaded.problems, next(iter(reports.values())))
    return 0 if is_fit else 1


def _plan(options: AuditArgs) -> Plan:
    if (options.recipe is None) == (options.verifier is None):
        raise UserError("name either a recipe or one verifier: `reasoning-grpo audit RECIPE` or `audit --verifier REF`")
    recipe = None if options.recipe is None else load_recipe(find_recipe(options.recipe))
    source = _source(options, recipe)
    style = get_style(options.prompt or (recipe.prompt.style if recipe else "plain"))
    answer_format, notes = _answer_format(style, _template(options, recipe, style))
    terms = _terms_of(recipe, answer_format) if recipe else (_term_of(options, answer_format),)
    loaded = load_problems(source)
    rollouts = None if options.rollouts is None else _rollouts(options.rollouts, loaded.problems)
    return Plan(
        terms=terms,
        loaded=loaded,
        style=style.name,
        answer_format=answer_format,
        rollouts=rollouts,
        notes=notes + tuple(f"`{t.name}` is judged as paid: where `{t.gate.name}` passes" for t in terms if t.gate),
    )


def _source(options: AuditArgs, recipe: Recipe | None) -> DataSource:
    if options.data is not None:
        return DataSource(name=options.data, split=options.split or "train", limit=options.limit)
    if recipe is None:
        raise UserError("name the problems with `--data`, for instance `--data gsm8k --split test`")
    changes: dict[str, Any] = {} if options.limit is None else {"limit": options.limit}
    if options.split is not None:
        changes["split"] = options.split
    return dataclasses.replace(recipe.data, **changes)


def _template(options: AuditArgs, recipe: Recipe | None, style: PromptStyle) -> TemplateOnly | None:
    """Return the template to render with; a recipe's model is only looked at where it is a folder here."""
    if options.template is not None:
        return read_template(options.template)
    if recipe is not None and style.uses_chat_template and Path(recipe.model.name).is_dir():
        return read_template(Path(recipe.model.name))
    return None


def _answer_format(style: PromptStyle, template: TemplateOnly | None) -> tuple[AnswerFormat, tuple[str, ...]]:
    if style.uses_chat_template and template is None:
        is_open = style.prefill.rstrip().endswith("<think>")
        answer_format = AnswerFormat(form=style.form, think=style.think, think_prefilled=is_open)
        return answer_format, ("no chat template was read, so one that writes `<think>` itself would go unnoticed; "
                               "name it with `--template`",)  # fmt: skip
    return render(style, "6 x 7?", template).answer_format, ()


def _terms_of(recipe: Recipe, answer_format: AnswerFormat) -> tuple[Term, ...]:
    """Return the recipe's terms: the first says what is right, the built-in form verifiers judge form."""
    terms = {
        term.name: Term(
            name=term.name,
            call=Call(ref=term.verifier, options=dict(term.options), answer_format=answer_format),
            role=Role.ACCURACY if index == 0 else Role.FORM if term.verifier in _FORM_VERIFIERS else Role.SHAPE,
        )
        for index, term in enumerate(recipe.rewards)
    }
    return tuple(
        dataclasses.replace(terms[term.name], gate=terms[term.gated_by] if term.gated_by else None)
        for term in recipe.rewards
    )


def _term_of(options: AuditArgs, answer_format: AnswerFormat) -> Term:
    try:
        table = json.loads(options.options)
    except ValueError as error:
        raise UserError(f"`--options {options.options}` is not JSON: {error}") from None
    if not isinstance(table, dict):
        raise UserError(f"`--options {options.options}` must be a JSON object, such as '{{\"strict_form\": true}}'")
    ref = options.verifier or ""
    return Term(name=ref, call=Call(ref=ref, options=table, answer_format=answer_format), role=Role(options.role))


def _audit(term: Term, plan: Plan, options: AuditArgs) -> Report:
    problems = plan.loaded.problems
    with (
        _judge_of(term, options.deadline) as judge,
        progress(f"audit {term.name}", total=len(problems)) as bar,
    ):
        return audit(
            judge,
            problems,
            answer_format=plan.answer_format,
            role=term.role,
            call=term.call,
            deadline_seconds=options.deadline,
            advance=bar.advance,
        )


@contextlib.contextmanager
def _judge_of(term: Term, deadline_seconds: float) -> Iterator[Judge]:
    """Yield a judge of what the term is paid: a gated one only where its gate passes."""
    with contextlib.ExitStack() as stack:
        judge = stack.enter_context(judge_for(term.call, deadline_seconds=deadline_seconds))
        if term.gate is not None:
            gate = stack.enter_context(judge_for(term.gate.call, deadline_seconds=deadline_seconds))
            judge = gated(judge, gate, term.gate.name)
        yield judge


def _disagreements(plan: Plan, options: AuditArgs) -> list[Disagreement] | None:
    if plan.rollouts is None:
        return None
    second = Call(ref=options.second, answer_format=plan.answer_format)
    with (
        judge_for(plan.terms[0].call, deadline_seconds=options.deadline) as first_judge,
        judge_for(second, deadline_seconds=options.deadline) as second_judge,
    ):
        return disagreements(plan.rollouts, first_judge, second_judge)


def _rollouts(path: Path, problems: Sequence[Problem]) -> tuple[Rollout, ...]:
    """Read the rows whose problems are among those loaded."""
    by_id = {problem.id: problem for problem in problems}
    rollouts = []
    num_rows = 0
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                row = json.loads(line)
                num_rows += 1
                attempt = storage.attempt_from_row(row)
                if attempt.problem_id in by_id:
                    pair = attempt.completion, by_id[attempt.problem_id]
                    rollouts.append(Rollout(pair=pair, advantage=row.get("advantage"), place=f"line {number}"))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"`{path}` cannot be read: {error}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"`{path}`, line {num_rows + 1}, is no rollout row: {error}") from None
    if not rollouts:
        raise DataError(f"none of the {num_rows} rows of `{path}` is about a problem of `--data`; name the run's data")
    return tuple(rollouts)


def _record(reports: Mapping[str, Report], plan: Plan, found: list[Disagreement] | None) -> dict[str, Any]:
    """Return the result for JSON: the first term's figures on top, each term's below."""
    terms = {name: audit_report.report_record(report) for name, report in reports.items()}
    first = next(iter(terms.values()))
    return {
        **first,
        "fit": all(report.is_fit for report in reports.values()),
        "origin": plan.loaded.origin,
        "fingerprint": plan.loaded.fingerprint,
        "golds_empty": plan.loaded.num_dropped_empty,
        "prompt": plan.style,
        "answer_format": storage.plain(plan.answer_format),
        "terms": terms,
        "disagreements": None if found is None else [storage.plain(each) for each in found],
    }


def _write_cleaned(path: Path, problems: Sequence[Problem], report: Report) -> None:
    kept = [p for p in problems if report.troubles.get(p.id, GoldTrouble.MULTI_VALUED) is GoldTrouble.MULTI_VALUED]
    storage.write_text(path, "".join(json.dumps(cleaned_row(problem)) + "\n" for problem in kept))
    print(f"cleaned:   {len(kept)} of {len(problems)} problems in {path}")
