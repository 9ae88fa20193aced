r"""Is the completion's final answer the gold answer?

Extraction (tags.py), then stages from cheap to dear: normal form, exact number, choice, base, words, evasion
(exact.py), and last math-verify in a worker process with a deadline (symbolic.py, workers.py). `Verdict.detail` names
the stage that decided.

What becomes of what: nothing extracted is NO_ANSWER; equal is PASS; different, or nothing the library can read, is
FAIL; past the deadline or the memory cap, or a worker killed twice, is TIMEOUT (score 0); UNGRADABLE (no score) is kept
for golds that are empty or that no stage can read. A wrong answer is never ungradable. Left out: whether the completion
has the form that was asked for (formatting.py).
"""

import threading
from collections.abc import Sequence

from reasoning_grpo.rewards.exact import STAGES
from reasoning_grpo.rewards.markers import has_content, tidy
from reasoning_grpo.rewards.normal import max_nesting, normalise
from reasoning_grpo.rewards.numeric import parse_quantity
from reasoning_grpo.rewards.registry import verifier
from reasoning_grpo.rewards.tags import Extraction, extract_answer
from reasoning_grpo.rewards.workers import Reply, Status, run_jobs
from reasoning_grpo.schema import AnswerFormat, Completion, Outcome, Problem, Verdict

DEADLINE_SECONDS = 2.0  # of computing time per answer; real answers take milliseconds
MAX_ANSWER_CHARS = 2_000  # the longest MATH gold has 159; beyond this only an identical spelling passes
MAX_NESTING = 40  # levels of braces; parsers take exponential time or recurse without end far below 1,000
_MAX_CACHED = 65_536

_PLAIN = AnswerFormat()


def accuracy_batch(
    completions: Sequence[Completion],
    problems: Sequence[Problem],
    *,
    answer_format: AnswerFormat = _PLAIN,
    strict_form: bool = False,
    deadline_seconds: float = DEADLINE_SECONDS,
) -> list[Verdict]:
    """Judge many completions; each different (gold, answer) pair is judged once, the symbolic ones in parallel."""
    extractions = [
        extract_answer(
            completion.text,
            answer_format.form,
            strict_form=strict_form,
            think_prefilled=answer_format.think_prefilled,
        )
        for completion in completions
    ]
    pairs = [(problem.answer, extraction) for problem, extraction in zip(problems, extractions, strict=True)]
    return judge_batch(pairs, deadline_seconds=deadline_seconds)


@verifier("accuracy", batch=accuracy_batch)
def accuracy(
    completion: Completion,
    problem: Problem,
    *,
    answer_format: AnswerFormat = _PLAIN,
    strict_form: bool = False,
    deadline_seconds: float = DEADLINE_SECONDS,
) -> Verdict:
    r"""Score 1 when the final answer equals the problem's answer, by value.

    The answer may stand anywhere the label policy of tags.py reads, whatever the prompt asked; with `strict_form` only
    where `answer_format` asks for it. Give the form a reward of its own (`format`) rather than hiding it in this one.
    """
    return accuracy_batch(
        [completion],
        [problem],
        answer_format=answer_format,
        strict_form=strict_form,
        deadline_seconds=deadline_seconds,
    )[0]


def verify(
    gold: str,
    text: str,
    *,
    answer_format: AnswerFormat = _PLAIN,
    strict_form: bool = False,
    deadline_seconds: float = DEADLINE_SECONDS,
) -> Verdict:
    r"""Judge a whole response against a gold answer: `verify("1/2", r"So \boxed{0.5}").passed`."""
    return accuracy(
        Completion(text=text),
        Problem(id="", question="", answer=gold),
        answer_format=answer_format,
        strict_form=strict_form,
        deadline_seconds=deadline_seconds,
    )


def judge_batch(pairs: Sequence[tuple[str, Extraction]], *, deadline_seconds: float) -> list[Verdict]:
    """Return the verdicts on (gold, extraction) pairs, in order."""
    golds = [tidy(gold) for gold, _ in pairs]  # as the answers are: MATH has golds such as `\text{(E)},`
    verdicts = {i: _judge_cheaply(gold, pairs[i][1]) for i, gold in enumerate(golds)}
    open_pairs = [(gold, extraction.text or "") for gold, (_, extraction) in zip(golds, pairs, strict=True)]
    unique = list(dict.fromkeys(open_pairs[index] for index, verdict in verdicts.items() if verdict is None))
    judged = dict(zip(unique, _judge_symbolically(unique, deadline_seconds), strict=True))
    return [verdict or judged[open_pairs[index]] for index, verdict in verdicts.items()]


def _judge_cheaply(gold: str, extraction: Extraction) -> Verdict | None:
    """Return the verdict of the in-process stages, None when only the symbolic stage can tell."""
    if not has_content(gold):
        return Verdict(score=None, outcome=Outcome.UNGRADABLE, extracted=extraction.text, detail="the gold is empty")
    answer = extraction.text
    if answer is None:
        return Verdict(score=0.0, outcome=Outcome.NO_ANSWER, detail=extraction.detail)
    if gold.strip() == answer.strip():
        return _decided(True, answer, "text")
    if max(len(gold), len(answer)) > MAX_ANSWER_CHARS or max_nesting(answer) > MAX_NESTING:
        return _too_big(gold, answer)
    return _cached(gold, answer) or _from_stages(gold, answer)


def _from_stages(gold: str, answer: str) -> Verdict | None:
    for name, stage in STAGES:
        is_equal = stage(gold, answer)
        if is_equal is not None:
            return _remember(gold, answer, _decided(is_equal, answer, name))
    return None


def _too_big(gold: str, answer: str) -> Verdict:
    if len(gold) > MAX_ANSWER_CHARS:
        detail = f"the gold has more than {MAX_ANSWER_CHARS:,} characters"
        return Verdict(score=None, outcome=Outcome.UNGRADABLE, extracted=answer, detail=detail)
    detail = f"an answer of {len(answer):,} characters and {max_nesting(answer):,} levels is no final answer"
    return Verdict(score=0.0, outcome=Outcome.FAIL, extracted=answer, detail=detail)


def _judge_symbolically(pairs: Sequence[tuple[str, str]], deadline_seconds: float) -> list[Verdict]:
    requests = [{"gold": normalise(gold), "answer": normalise(answer)} for gold, answer in pairs]
    replies = run_jobs(requests, deadline_seconds)
    return [
        _from_reply(gold, answer, reply, deadline_seconds) for (gold, answer), reply in zip(pairs, replies, strict=True)
    ]


def _from_reply(gold: str, answer: str, reply: Reply, deadline_seconds: float) -> Verdict:
    if reply.status is not Status.DONE:
        return _from_failure(gold, answer, reply, deadline_seconds)
    if not reply.value["gold_parsed"]:
        detail = f"no stage can read the gold {gold[:80]!r}"
        return _remember(gold, answer, Verdict(score=None, outcome=Outcome.UNGRADABLE, extracted=answer, detail=detail))
    return _remember(gold, answer, _decided(reply.value["equal"], answer, "symbolic"))


def _from_failure(gold: str, answer: str, reply: Reply, deadline_seconds: float) -> Verdict:
    """Blame the gold when it fails against itself too, else the answer. Not remembered: the machine may be at fault."""
    if parse_quantity(gold) is None and _cached(gold, gold) is None:
        alone = run_jobs([{"gold": normalise(gold), "answer": normalise(gold)}], deadline_seconds)[0]
        if alone.status is not Status.DONE:
            detail = f"symbolic: {alone.detail}, on the gold itself"
            return Verdict(score=None, outcome=Outcome.UNGRADABLE, extracted=answer, detail=detail)
        _remember(gold, gold, _decided(True, gold, "text"))
    outcome = Outcome.FAIL if reply.status is Status.FAULT else Outcome.TIMEOUT
    return Verdict(score=0.0, outcome=outcome, extracted=answer, detail=f"symbolic: {reply.detail}")


def _decided(is_equal: bool, answer: str, stage: str) -> Verdict:
    outcome = Outcome.PASS if is_equal else Outcome.FAIL
    return Verdict(score=float(is_equal), outcome=outcome, extracted=answer, detail=stage)


_cache: dict[tuple[str, str], Verdict] = {}
_cache_lock = threading.Lock()


def _cached(gold: str, answer: str) -> Verdict | None:
    return _cache.get((gold, answer))


def _remember(gold: str, answer: str, verdict: Verdict) -> Verdict:
    with _cache_lock:
        if len(_cache) >= _MAX_CACHED:
            del _cache[next(iter(_cache))]
        _cache[gold, answer] = verdict
    return verdict
