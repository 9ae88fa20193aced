r"""Is this reward fit for this data set and prompt? Golds must pass, rewrites must not matter, near misses must fail.

The auditor writes completions for every gold (surfaces.py), for rewrites of it that mean the same (mutants.py) and for
near misses (near_misses.py), lets a judge score them, and counts. Rewrites depend on the gold alone, so each different
gold answer is rewritten once; the golds themselves are judged problem by problem, since a verifier may read the rest.

Where the problems come from and who prints the report are the command's business (`reasoning-grpo audit`).
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from reasoning_grpo.rewards.auditing import mutants, near_misses, surfaces
from reasoning_grpo.rewards.auditing.contract import Breach, check_contract
from reasoning_grpo.rewards.auditing.golds import GoldTrouble, trouble_of
from reasoning_grpo.rewards.watched import Call, Judged, Pair
from reasoning_grpo.schema import AnswerFormat, Completion, Outcome, Problem

MAX_CHANGED_ACCEPTED = 0.001  # of all meaning-changing rewrites
MAX_PRESERVED_REJECTED = 0.005  # of all meaning-preserving rewrites
MAX_KIND_FAILED = 0.5  # of one kind, however rare the kind is, once it was tried `_MIN_KIND` times
_MIN_KIND = 3
_MAX_EXAMPLES = 5
_CHUNK_PAIRS = 2_048
_NUM_TOKENS = 64  # of every written completion, for terms of length

Judge = Callable[[Sequence[Pair]], Sequence[Judged]]


class Role(StrEnum):
    """What a verifier is for."""

    ACCURACY = "accuracy"  # is the answer right
    FORM = "form"  # has it the asked form, right or wrong
    SHAPE = "shape"  # any other term: only that it pays for no shell can be asked


class Group(StrEnum):
    """What a completion was written to show."""

    GOLD = "gold"
    PRESERVING = "preserving"
    CHANGING = "changing"
    WELL_FORMED = "well-formed"
    MALFORMED = "malformed"
    HOLLOW = "hollow"


_MUST_PASS = frozenset({Group.GOLD, Group.PRESERVING, Group.WELL_FORMED})
_SENTENCES = {
    Group.GOLD: "the gold is rejected, written as {kind}",
    Group.PRESERVING: "a right answer is rejected: {kind}",
    Group.CHANGING: "a wrong answer is accepted: {kind}",
    Group.WELL_FORMED: "the asked form is refused: {kind}",
    Group.MALFORMED: "a broken form is paid in full: {kind}",
    Group.HOLLOW: "a completion without an answer of its own is paid: {kind}",
}
_CODES = {
    Group.GOLD: "gold_rejected",
    Group.PRESERVING: "preserving_rejected",
    Group.CHANGING: "changed_accepted",
    Group.WELL_FORMED: "form_refused",
    Group.MALFORMED: "malformed_accepted",
    Group.HOLLOW: "hollow_paid",
}


@dataclass(frozen=True, slots=True)
class Probe:
    """One completion the auditor wrote, and why."""

    group: Group
    kind: str
    pair: Pair


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One completion that failed its claim."""

    problem_id: str
    gold: str
    text: str
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One way in which the reward fails: `code` is stable (`changed_accepted:sign`), `is_fatal` makes it unfit."""

    code: str
    sentence: str
    num_failed: int
    num_tried: int
    is_fatal: bool
    examples: tuple[Example | str, ...] = ()


@dataclass(slots=True)
class Counts:
    """How often one kind was tried and failed, with the first failures."""

    num_tried: int = 0
    num_failed: int = 0
    examples: list[Example] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What the audit of one verifier found.

    `golds_accepted` counts problems whose gold passes in every form the prompt permits. `num_mutants` are the
    meaning-changing completions, `num_preserving` the meaning-preserving ones. A gold the verifier abstains on is
    listed, and counts neither as accepted nor as rejected.
    """

    role: Role
    num_golds: int
    golds_accepted: int
    golds_rejected: int
    golds_ungradable: int
    num_mutants: int
    mutants_accepted: int
    num_preserving: int
    preserving_rejected: int
    findings: tuple[Finding, ...]
    troubles: dict[str, GoldTrouble]
    kinds: dict[str, Counts]
    seconds: float

    @property
    def is_fit(self) -> bool:
        """True without any fatal finding."""
        return not any(finding.is_fatal for finding in self.findings)


def audit(
    judge: Judge,
    problems: Sequence[Problem],
    *,
    answer_format: AnswerFormat,
    role: Role = Role.ACCURACY,
    call: Call | None = None,
    deadline_seconds: float = 5.0,
    advance: Callable[[int], None] = lambda count: None,
) -> Report:
    """Audit one verifier.

    Args:
        judge: Scores pairs; see `judges.py`.
        problems: The data set; at least one.
        answer_format: What the prompt and its template ask for.
        role: What the verifier is for.
        call: How to load the verifier elsewhere; without it the contract is not checked.
        deadline_seconds: Of one call in the contract's check.
        advance: Told how many problems were done.
    """
    started = time.monotonic()
    breaches = check_contract(call, problems, deadline_seconds=deadline_seconds) if call and problems else []
    state = _State()
    for probes in _chunks(problems, answer_format, role, advance):
        for probe, judged in zip(probes, judge([probe.pair for probe in probes]), strict=True):
            state.book(probe, judged)
    return _report(state, problems, breaches, role, time.monotonic() - started)


@dataclass(slots=True)
class _State:
    """Adds up what was judged."""

    counts: dict[tuple[Group, str], Counts] = field(default_factory=dict)
    rejected: set[str] = field(default_factory=set)
    ungradable: set[str] = field(default_factory=set)

    def book(self, probe: Probe, judged: Judged) -> None:
        counts = self.counts.setdefault((probe.group, probe.kind), Counts())
        problem = probe.pair[1]
        if judged.verdict is not None and judged.verdict.outcome is Outcome.UNGRADABLE:
            self.ungradable.add(problem.id)
            return
        counts.num_tried += 1
        if not _has_failed(probe.group, judged):
            return
        counts.num_failed += 1
        if probe.group is Group.GOLD:
            self.rejected.add(problem.id)
        if len(counts.examples) < _MAX_EXAMPLES:
            counts.examples.append(
                Example(problem_id=problem.id, gold=problem.answer[:200], text=_shown(probe), said=_said(judged))
            )

    def total(self, group: Group) -> tuple[int, int]:
        """Return how many completions of a group were tried and failed."""
        each = [counts for (of, _), counts in self.counts.items() if of is group]
        return sum(counts.num_tried for counts in each), sum(counts.num_failed for counts in each)


def _has_failed(group: Group, judged: Judged) -> bool:
    if group in _MUST_PASS:
        return not judged.passed
    if group is Group.HOLLOW:
        return bool(judged.verdict is not None and judged.verdict.score)
    return judged.passed


def _chunks(
    problems: Sequence[Problem], answer_format: AnswerFormat, role: Role, advance: Callable[[int], None]
) -> Iterator[list[Probe]]:
    """Yield the probes of some problems at a time: enough for a judge to work in parallel, little to hold."""
    pending: list[Probe] = []
    num_done = 0
    for problem, probes in _written(problems, answer_format, role):
        pending.extend(Probe(group, kind, (_completion(text), problem)) for group, kind, text in probes)
        num_done += 1
        if len(pending) >= _CHUNK_PAIRS:
            yield pending
            advance(num_done)
            pending, num_done = [], 0
    yield pending
    advance(num_done)


def _written(
    problems: Sequence[Problem], answer_format: AnswerFormat, role: Role
) -> Iterator[tuple[Problem, Iterable[tuple[Group, str, str]]]]:
    seen: set[str] = set()
    for problem in problems:
        is_new = problem.answer not in seen
        seen.add(problem.answer)
        if role is Role.ACCURACY:
            yield problem, _for_accuracy(problem, answer_format, with_rewrites=is_new)
        else:
            yield problem, _for_form(problem, answer_format, role) if is_new else ()


def _for_accuracy(
    problem: Problem, answer_format: AnswerFormat, *, with_rewrites: bool
) -> Iterator[tuple[Group, str, str]]:
    gold = problem.answer
    for way in surfaces.right_ways(gold, answer_format):
        yield Group.GOLD, way.kind, way.text
    if not with_rewrites:
        return
    form = surfaces.permitted_forms(answer_format)[0]
    for mutant in mutants.preserving(gold):
        yield Group.PRESERVING, mutant.kind, surfaces.write(mutant.answer, form, answer_format)
    for mutant in near_misses.changing(gold):
        yield Group.CHANGING, mutant.kind, surfaces.write(mutant.answer, form, answer_format)
    for trick in surfaces.tricks(gold, problem.question, answer_format):
        yield Group.CHANGING, trick.kind, trick.text


def _for_form(problem: Problem, answer_format: AnswerFormat, role: Role) -> Iterator[tuple[Group, str, str]]:
    if role is Role.FORM:
        for way in surfaces.well_formed(problem.answer, answer_format):
            yield Group.WELL_FORMED, way.kind, way.text
        for way in surfaces.malformed(problem.answer, answer_format):
            yield Group.MALFORMED, way.kind, way.text
    for way in surfaces.hollow(problem.answer, problem.question, answer_format):
        yield Group.HOLLOW, way.kind, way.text


def _report(
    state: _State, problems: Sequence[Problem], breaches: Sequence[Breach], role: Role, seconds: float
) -> Report:
    changed, preserved = state.total(Group.CHANGING), state.total(Group.PRESERVING)
    findings = [*map(_from_breach, breaches), *_from_counts(state)]
    rejected = state.rejected - state.ungradable
    return Report(
        role=role,
        num_golds=len(problems),
        golds_accepted=len(problems) - len(rejected | state.ungradable) if role is Role.ACCURACY else 0,
        golds_rejected=len(rejected),
        golds_ungradable=len(state.ungradable),
        num_mutants=changed[0],
        mutants_accepted=changed[1],
        num_preserving=preserved[0],
        preserving_rejected=preserved[1],
        findings=tuple(sorted(findings, key=lambda finding: (not finding.is_fatal, -finding.num_failed))),
        troubles=_troubles(problems, state) if role is Role.ACCURACY else {},
        kinds={f"{group}:{kind}": counts for (group, kind), counts in state.counts.items()},
        seconds=seconds,
    )


def _from_breach(breach: Breach) -> Finding:
    return Finding(
        code=f"contract:{breach.rule}",
        sentence=f"the contract is broken: {breach.sentence}",
        num_failed=breach.num_probes,
        num_tried=breach.num_probes,
        is_fatal=True,
        examples=breach.examples,
    )


def _from_counts(state: _State) -> Iterator[Finding]:
    shares = {group: failed / tried if tried else 0.0 for group in Group for tried, failed in [state.total(group)]}
    for (group, kind), counts in state.counts.items():
        if counts.num_failed:
            yield Finding(
                code=f"{_CODES[group]}:{kind}",
                sentence=_SENTENCES[group].format(kind=kind),
                num_failed=counts.num_failed,
                num_tried=counts.num_tried,
                is_fatal=_is_fatal(group, counts, shares[group]),
                examples=tuple(counts.examples),
            )


def _is_fatal(group: Group, counts: Counts, share_of_group: float) -> bool:
    """A rare kind that always fails is as fatal as a share too large: it is what a policy would find."""
    limit = {Group.CHANGING: MAX_CHANGED_ACCEPTED, Group.PRESERVING: MAX_PRESERVED_REJECTED}.get(group, 0.0)
    is_systematic = counts.num_tried >= _MIN_KIND and counts.num_failed > MAX_KIND_FAILED * counts.num_tried
    return share_of_group > limit or is_systematic


def _troubles(problems: Sequence[Problem], state: _State) -> dict[str, GoldTrouble]:
    found: dict[str, GoldTrouble] = {}
    for problem in problems:
        trouble = trouble_of(problem.answer)
        if trouble is not GoldTrouble.EMPTY and problem.id in state.ungradable:
            trouble = GoldTrouble.UNGRADABLE
        elif trouble is not GoldTrouble.EMPTY and problem.id in state.rejected:
            trouble = GoldTrouble.REJECTED
        if trouble is not None:
            found[problem.id] = trouble
    return found


def count_troubles(report: Report) -> Counter[GoldTrouble]:
    """Return how many golds have each trouble."""
    return Counter(report.troubles.values())


def _completion(text: str) -> Completion:
    return Completion(text=text, num_tokens=_NUM_TOKENS)


def _shown(probe: Probe) -> str:
    text = probe.pair[0].text
    return text if len(text) <= 200 else f"{text[:60]} … {text[-130:]}"


def _said(judged: Judged) -> str:
    if judged.verdict is None:
        return f"{judged.broken}: {judged.detail}"[:200]
    return f"{judged.verdict.outcome} {judged.verdict.score}: {judged.verdict.detail}"[:200]
