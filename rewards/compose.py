"""Terms and their sum: which verifiers run, what each weighs, and which of them pay only for a right answer.

    reward = sum of weight x score over the terms, a gated term counting 0 unless its gate passed

A term that abstains (UNGRADABLE) makes the whole reward None: the completion must leave its group's baseline, not drag
it down as a 0. Terms of weight 0 are only logged and cannot do that. References are kept, functions are loaded on use,
so a spec pickles and can be sent to any process.
"""

import functools
import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reasoning_grpo.errors import VerifierError, did_you_mean
from reasoning_grpo.rewards.isolated import DEADLINE_SECONDS, judge_isolated
from reasoning_grpo.rewards.registry import (
    Job,
    Verifier,
    batch_form,
    begin_form,
    call_batch,
    call_begin,
    call_verifier,
    check_options,
    load_verifier,
    takes_answer_format,
)
from reasoning_grpo.schema import AnswerFormat, Completion, Problem, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardTerm:
    """One verifier in a reward.

    `verifier` is a reference as `load_verifier` reads it. `gated_by` names another term: this one then pays only where
    that one passed. `options` are the verifier's keyword arguments. With `isolate` it runs in a process of its own that
    is killed after `deadline_seconds` per completion (a TIMEOUT), whatever it does (isolated.py).
    """

    name: str
    verifier: str
    weight: float = 1.0
    gated_by: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    isolate: bool = False
    deadline_seconds: float = DEADLINE_SECONDS

    def __post_init__(self) -> None:
        if not self.deadline_seconds > 0.0:
            raise VerifierError(f"reward term {self.name!r} has the deadline {self.deadline_seconds}; make it positive")
        if not math.isfinite(self.weight):
            raise VerifierError(f"reward term {self.name!r} has the weight {self.weight}; give it a finite number")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """A completion's reward with each term's verdict; `reward` is None when a term abstained."""

    reward: float | None
    verdicts: dict[str, Verdict]


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardSpec:
    """The reward of a run. `base_dir` is where relative verifier files are looked for (default: the current folder)."""

    terms: tuple[RewardTerm, ...]
    answer_format: AnswerFormat = field(default_factory=AnswerFormat)
    base_dir: Path | None = None

    def __post_init__(self) -> None:
        if not self.terms:
            raise VerifierError(
                "a reward needs at least one term, such as RewardTerm(name='accuracy', verifier='accuracy')"
            )
        names = [term.name for term in self.terms]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise VerifierError(f"two reward terms are named {doubled[0]!r}; give each its own name")
        for term in self.terms:
            self._check_gate(term, names)

    def check(self) -> None:
        """Load every verifier and check its options, so that a mistake shows before a run and not in its middle."""
        for term in self.terms:
            check_options(self._load(term), self._options(term), _label(term))

    def score(self, completion: Completion, problem: Problem) -> Scored:
        """Return the verdict of every term and the reward."""
        return self.score_batch([completion], [problem])[0]

    def score_batch(self, completions: Sequence[Completion], problems: Sequence[Problem]) -> list[Scored]:
        """Score many completions, in order; the i-th belongs to the i-th problem. Equal ones are judged once."""
        if len(completions) != len(problems):
            raise ValueError(f"{len(completions)} completions for {len(problems)} problems")
        slots, unique = _unique_pairs(completions, problems)
        columns = {term.name: self.judge(term, unique) for term in self.terms}
        scored = [self.total({name: column[i] for name, column in columns.items()}) for i in range(len(unique))]
        return [scored[slot] for slot in slots]

    def begin(self, term: RewardTerm, completion: Completion, problem: Problem) -> Verdict | Job:
        """Return a term's verdict on one completion, or the job that worker processes have left to do."""
        function, options = self._load(term), self._options(term)
        if term.isolate:
            return functools.partial(self._judge_isolated, term, (completion, problem), options)
        begin = begin_form(function)
        if begin is None:
            return call_verifier(function, completion, problem, name=_label(term), options=options)
        return call_begin(begin, completion, problem, name=_label(term), options=options)

    def wants_batches(self, term: RewardTerm) -> bool:
        """True when the verifier judges many together better than one after the other, and cannot leave a job."""
        function = self._load(term)
        return not term.isolate and begin_form(function) is None and batch_form(function) is not None

    def _judge_isolated(
        self,
        term: RewardTerm,
        pair: tuple[Completion, Problem],
        options: Mapping[str, Any],
        cancelled: threading.Event,
    ) -> Verdict:
        deadline, name = term.deadline_seconds, _label(term)
        return judge_isolated(
            term.verifier,
            self.base_dir,
            [pair],
            name=name,
            options=options,
            deadline_seconds=deadline,
            cancelled=cancelled,
        )[0]

    def judge(self, term: RewardTerm, pairs: Sequence[tuple[Completion, Problem]]) -> list[Verdict]:
        """Return a term's verdicts on many pairs, in order."""
        function, options = self._load(term), self._options(term)
        if term.isolate:
            deadline = term.deadline_seconds
            return judge_isolated(
                term.verifier, self.base_dir, pairs, name=_label(term), options=options, deadline_seconds=deadline
            )
        in_batch = batch_form(function)
        if in_batch is None or not pairs:
            return [call_verifier(function, c, p, name=_label(term), options=options) for c, p in pairs]
        completions, problems = [c for c, _ in pairs], [p for _, p in pairs]
        return call_batch(in_batch, completions, problems, name=_label(term), options=options)

    def total(self, verdicts: dict[str, Verdict]) -> Scored:
        """Return the reward of one completion from every term's verdict on it."""
        reward = 0.0
        for term in self.terms:
            score = verdicts[term.name].score
            if term.weight == 0.0:
                continue
            if score is None:
                return Scored(reward=None, verdicts=verdicts)
            if term.gated_by is None or verdicts[term.gated_by].passed:
                reward += term.weight * score
        return Scored(reward=reward, verdicts=verdicts)

    def _load(self, term: RewardTerm) -> Verifier:
        return _loaded(term.verifier, self.base_dir)

    def _options(self, term: RewardTerm) -> dict[str, Any]:
        options = dict(term.options)
        if "answer_format" not in options and takes_answer_format(self._load(term)):
            options["answer_format"] = self.answer_format
        return options

    def _check_gate(self, term: RewardTerm, names: Sequence[str]) -> None:
        """Raise VerifierError for a gate that is no term or that leads back to the term itself."""
        gates = {each.name: each.gated_by for each in self.terms}
        gate, seen = term.gated_by, [term.name]
        while gate is not None:
            if gate not in gates:
                raise VerifierError(
                    f"reward term {seen[-1]!r} is gated by {gate!r}, which is no term{did_you_mean(gate, names)}"
                )
            if gate in seen:
                raise VerifierError(f"reward terms gate each other in a circle: {' -> '.join([*seen, gate])}; open it")
            seen.append(gate)
            gate = gates[gate]


@functools.lru_cache(maxsize=256)
def _loaded(ref: str, base_dir: Path | None) -> Verifier:
    return load_verifier(ref, base_dir)


def _unique_pairs(
    completions: Sequence[Completion], problems: Sequence[Problem]
) -> tuple[list[int], list[tuple[Completion, Problem]]]:
    """Return for each completion the number of its pair, and the different pairs.

    Problems are told apart by identity: their `meta` need not be hashable, and a batch repeats the same objects.
    """
    numbers: dict[tuple[Completion, int], int] = {}
    unique: list[tuple[Completion, Problem]] = []
    slots: list[int] = []
    for completion, problem in zip(completions, problems, strict=True):
        key = (completion, id(problem))
        if key not in numbers:
            numbers[key] = len(unique)
            unique.append((completion, problem))
        slots.append(numbers[key])
    return slots, unique


def _label(term: RewardTerm) -> str:
    """Name a term in an error by its function, which is what the person must mend."""
    return term.verifier
