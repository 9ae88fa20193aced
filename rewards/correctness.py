r"""Is the completion's final answer the gold answer?

Extraction (tags.py), then exact typed comparison in this process (grading.py), and only for golds in a notation that
package cannot read math-verify in a worker process with a deadline (symbolic.py, workers.py). The Verdict says what was
extracted, from which `place`, which `stage` decided, why (`detail`) and in how many `seconds`.

What becomes of what: nothing extracted is NO_ANSWER; equal is PASS; different, or nothing that can be read, is FAIL;
past the budget of operations, the deadline or the memory cap is TIMEOUT (score 0); UNGRADABLE (no score) is kept for
golds that are empty or that no stage can read, and for faults that are not the answer's. A wrong answer is never
ungradable.

Where people differ, and what holds here (*options* are keyword arguments of `accuracy` and `verify`):

- which box counts: the last statement of boxes (`strict_form`: only the place the prompt asked for; see tags.py)
- tolerance: none by default, numbers are exact. `relative_tolerance=1e-4` accepts decimals that near
- percent: `50\%` = `50` = `0.5`. `percent="exact"` makes it 0.5 only
- units: optional when one side has none, a different one is wrong, and so are words that are neither a unit nor
  something counted (docs/verifiers.md has the rule). `units="required"` wants the gold's unit
- unevaluated forms: arithmetic (`2^{10}`, `\binom{5}{2}`, `\sin\frac{\pi}{6}`, `9+1`) is evaluated; sums, integrals,
  limits, gcd, det and their kin are no answers unless the gold has them. `literal=True` wants a number where the gold
  is one
- always: lists and sets are unordered, tuples ordered; `x=5` is `5`; `x>2` is `(2,\infty)`; `(a,b)` is not `[a,b]`;
  degrees are not radians; a base must match; words ignore case and articles

Left out: whether the completion has the form that was asked for (formatting.py).
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from reasoning_grpo.rewards.answers.grading import DEFAULT, Decision, Finding, Policy, decide
from reasoning_grpo.rewards.answers.reader import read
from reasoning_grpo.rewards.answers.units import parse_unit
from reasoning_grpo.rewards.markers import has_content, tidy
from reasoning_grpo.rewards.registry import verifier
from reasoning_grpo.rewards.tags import Extraction, extract_answer
from reasoning_grpo.rewards.workers import Reply, Status, run_jobs
from reasoning_grpo.schema import AnswerFormat, Completion, Outcome, Problem, Verdict

DEADLINE_SECONDS = 2.0  # for the symbolic stage of one call, in wall time; see workers.py
_PLAIN = AnswerFormat()
_OUTCOMES = {
    Finding.EQUAL: Outcome.PASS,
    Finding.DIFFERENT: Outcome.FAIL,
    Finding.OVER_BUDGET: Outcome.TIMEOUT,
    Finding.UNREADABLE_GOLD: Outcome.UNGRADABLE,
}
_SCORES = {Outcome.PASS: 1.0, Outcome.UNGRADABLE: None}


def accuracy_batch(
    completions: Sequence[Completion],
    problems: Sequence[Problem],
    *,
    answer_format: AnswerFormat = _PLAIN,
    strict_form: bool = False,
    deadline_seconds: float = DEADLINE_SECONDS,
    relative_tolerance: float = 0.0,
    percent: str = "loose",
    units: str = "optional",
    literal: bool = False,
) -> list[Verdict]:
    """Judge many completions; each different (gold, answer) pair is judged once, the symbolic ones in parallel."""
    policy = _policy(relative_tolerance, percent, units, literal)
    pairs = [(problem.answer, completion.text) for completion, problem in zip(completions, problems, strict=True)]
    return _judge(pairs, answer_format, strict_form, deadline_seconds, policy)


def begin_accuracy(
    completion: Completion,
    problem: Problem,
    *,
    answer_format: AnswerFormat = _PLAIN,
    strict_form: bool = False,
    deadline_seconds: float = DEADLINE_SECONDS,
    relative_tolerance: float = 0.0,
    percent: str = "loose",
    units: str = "optional",
    literal: bool = False,
) -> "Verdict | SymbolicJob":
    """Judge as far as this process can; what stays open comes back as a job, with a deadline of its own."""
    policy = _policy(relative_tolerance, percent, units, literal)
    gold, extraction, verdict = _judge_here((problem.answer, completion.text), answer_format, strict_form, policy)
    return verdict or SymbolicJob(gold, extraction.text or "", extraction.place.value, deadline_seconds)


@verifier("accuracy", batch=accuracy_batch, begin=begin_accuracy)
def accuracy(
    completion: Completion,
    problem: Problem,
    *,
    answer_format: AnswerFormat = _PLAIN,
    strict_form: bool = False,
    deadline_seconds: float = DEADLINE_SECONDS,
    relative_tolerance: float = 0.0,
    percent: str = "loose",
    units: str = "optional",
    literal: bool = False,
) -> Verdict:
    r"""Score 1 when the final answer equals the problem's answer, by value.

    The answer may stand anywhere the label policy of tags.py reads, whatever the prompt asked; with `strict_form` only
    where `answer_format` asks for it. Give the form a reward of its own (`format`) rather than hiding it in this one.
    The other options are described at the top of this module.
    """
    policy = _policy(relative_tolerance, percent, units, literal)
    return _judge([(problem.answer, completion.text)], answer_format, strict_form, deadline_seconds, policy)[0]


def verify(
    gold: str,
    text: str,
    *,
    answer_format: AnswerFormat = _PLAIN,
    strict_form: bool = False,
    deadline_seconds: float = DEADLINE_SECONDS,
    relative_tolerance: float = 0.0,
    percent: str = "loose",
    units: str = "optional",
    literal: bool = False,
) -> Verdict:
    r"""Judge a whole response against a gold answer: `verify("1/2", r"So \boxed{0.5}").passed`.

    The options are those of `accuracy`; they are described at the top of this module.
    """
    policy = _policy(relative_tolerance, percent, units, literal)
    return _judge([(gold, text)], answer_format, strict_form, deadline_seconds, policy)[0]


def forget() -> None:
    """Empty the caches of golds, readings and decisions, as a measurement of speed wants them."""
    for cached in (decide, read, parse_unit, _tidy_gold):
        cached.cache_clear()


def _policy(relative_tolerance: float, percent: str, units: str, literal: bool) -> Policy:
    if not (relative_tolerance or literal) and percent == "loose" and units == "optional":
        return DEFAULT
    return Policy(relative_tolerance=relative_tolerance, percent=percent, units=units, literal=literal)


def _judge(
    pairs: Sequence[tuple[str, str]],
    answer_format: AnswerFormat,
    strict_form: bool,
    deadline_seconds: float,
    policy: Policy,
) -> list[Verdict]:
    """Return the verdicts on (gold, text) pairs, in order; what stays open goes to the workers in one batch."""
    verdicts: list[Verdict | None] = []
    open_pairs: dict[int, tuple[str, Extraction]] = {}
    for index, pair in enumerate(pairs):
        gold, extraction, verdict = _judge_here(pair, answer_format, strict_form, policy)
        if verdict is None:
            open_pairs[index] = (gold, extraction)
        verdicts.append(verdict)
    for index, verdict in _judge_in_workers(open_pairs, deadline_seconds).items():
        verdicts[index] = verdict
    return [verdict for verdict in verdicts if verdict is not None]


@lru_cache(maxsize=16_384)
def _tidy_gold(gold: str) -> str:
    """Tidy a gold as answers are: MATH has golds such as `\\text{(E)},`. An empty one comes back as ""."""
    tidied = tidy(gold)
    return tidied if has_content(tidied) else ""


def _judge_here(
    pair: tuple[str, str], answer_format: AnswerFormat, strict_form: bool, policy: Policy
) -> tuple[str, Extraction, Verdict | None]:
    """Return tidied gold, what was extracted, and the in-process stages' verdict: None when the symbolic must tell."""
    start = time.perf_counter()
    extraction = extract_answer(
        pair[1], answer_format.form, strict_form=strict_form, think_prefilled=answer_format.think_prefilled
    )
    gold = _tidy_gold(pair[0])
    return gold, extraction, _decided_here(gold, extraction, policy, start)


def _decided_here(gold: str, extraction: Extraction, policy: Policy, start: float) -> Verdict | None:
    answer = extraction.text
    if not gold:
        decision = _EMPTY_GOLD
    elif answer is None:
        decision = None
    else:
        decision = decide(gold, answer, policy)
        if decision.finding is Finding.OPEN:
            return None
    outcome = Outcome.NO_ANSWER if decision is None else _OUTCOMES[decision.finding]
    return Verdict(
        score=_SCORES.get(outcome, 0.0),
        outcome=outcome,
        extracted=answer,
        detail=extraction.detail if decision is None else decision.why,
        place=extraction.place.value,
        stage="extraction" if decision is None else decision.stage,
        seconds=time.perf_counter() - start,
    )


_EMPTY_GOLD = Decision(Finding.UNREADABLE_GOLD, "gold", "the gold is empty")


@dataclass(frozen=True, slots=True)
class SymbolicJob:
    """The symbolic stage of one judgement; equal ones have the same verdict."""

    gold: str
    answer: str
    place: str
    deadline_seconds: float

    def __call__(self, cancelled: threading.Event) -> Verdict:
        """Wait for a worker process and return the verdict."""
        request = {"gold": self.gold, "answer": self.answer}
        (reply,) = run_jobs([request], self.deadline_seconds, cancelled=cancelled)
        return replace(_from_reply(self.gold, self.answer, reply), place=self.place)


def _judge_in_workers(pairs: dict[int, tuple[str, Extraction]], deadline_seconds: float) -> dict[int, Verdict]:
    if not pairs:
        return {}
    unique = list(dict.fromkeys((gold, extraction.text or "") for gold, extraction in pairs.values()))
    replies = run_jobs([{"gold": gold, "answer": answer} for gold, answer in unique], deadline_seconds)
    judged = {pair: _from_reply(*pair, reply) for pair, reply in zip(unique, replies, strict=True)}
    return {
        index: replace(judged[gold, extraction.text or ""], place=extraction.place.value)
        for index, (gold, extraction) in pairs.items()
    }


def _from_reply(gold: str, answer: str, reply: Reply) -> Verdict:
    """A late or hungry answer is TIMEOUT; a gold the library cannot read, or a fault of ours, is UNGRADABLE."""
    outcome, detail = _OUTCOME_OF_STATUS.get(reply.status), reply.detail
    if reply.status is Status.DONE:
        if not reply.value["gold_parsed"]:
            outcome, detail = Outcome.UNGRADABLE, f"no stage can read the gold {gold[:80]!r}"
        elif reply.value["equal"]:
            outcome, detail = Outcome.PASS, "the same value"
        else:
            outcome, detail = Outcome.FAIL, f"{answer[:60]!r} is not {gold[:60]!r}"
    assert outcome is not None
    return Verdict(
        score=_SCORES.get(outcome, 0.0),
        outcome=outcome,
        extracted=answer,
        detail=detail,
        stage="symbolic",
        seconds=reply.seconds,
    )


_OUTCOME_OF_STATUS = {
    Status.LATE: Outcome.TIMEOUT,
    Status.MEMORY: Outcome.TIMEOUT,
    Status.FAULT: Outcome.FAIL,
    Status.CRASH: Outcome.UNGRADABLE,
    Status.STARVED: Outcome.UNGRADABLE,
}
