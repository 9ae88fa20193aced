"""Does a verifier keep its contract? Range, no exceptions, determinism, a deadline, threads, and no code run.

Each probe runs in processes of its own (watched.py). The verifier is called with right answers, noise and bombs: once,
a second time in another process, and once off the main thread, where SIGALRM does not work and graders that rely on it
raise or say 0 to everything.
"""

import contextlib
import dataclasses
import itertools
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reasoning_grpo.rewards.registry import is_builtin
from reasoning_grpo.rewards.watched import Broken, Call, Judged, Pair, WatchedVerifier
from reasoning_grpo.schema import Completion, Problem

BUILTIN_SECONDS = 60.0
_MAX_PROBLEMS = 8
_NOISE = {
    "nothing": "",
    "NUL bytes": "\x00" * 40,
    "half a character": "\ud800 \\boxed{\udfff}",
    "full-width digits": "\\boxed{４２}",
    "right-to-left": "\u202e\\boxed{24}\u202c",
    "only braces": "{" * 3_000,
    "deep brackets": "\\boxed{" + "(" * 3_000 + "1" + ")" * 3_000 + "}",
    "a long number": "\\boxed{" + "9" * 5_000 + "}",
    "a long text": "the answer is " * 20_000,
    "many boxes": "\\boxed{1}" * 5_000,
    "a union of intervals": "\\boxed{" + "\\cup".join(f"[{n},{n + 1}]" for n in range(0, 600, 2)) + "}",
    "not a formula": "\\boxed{\\frac{}{}^{_}\\sqrt{}}",
    "division by zero": "\\boxed{\\frac{1}{0}}",
}
_BOMBS = {
    "a power tower": "\\boxed{9^{9^{9^{9}}}}",
    "a power in code": "\\boxed{9**9**9**9}",
    "a huge factorial": "\\boxed{(10^{9})!}",
    "nested roots": "\\boxed{" + "\\sqrt{" * 300 + "2" + "}" * 300 + "}",
    "a regex bomb": "\\boxed{" + "a" * 5_000 + "!" * 5_000,
    "a huge product": "\\boxed{\\prod_{n=1}^{10^{12}} n}",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """One way in which a verifier broke its contract; `rule` names it, `examples` show the probes."""

    rule: str
    sentence: str
    num_probes: int
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Probe:
    name: str
    pair: Pair
    is_bomb: bool = False


def check_contract(call: Call, problems: Sequence[Problem], *, deadline_seconds: float) -> list[Breach]:
    """Return the breaches found, none for a verifier that keeps its contract.

    What ships with this package bounds its own computing time, which on a crowded machine is not the clock's: it gets
    `BUILTIN_SECONDS` at least.

    Raises:
        VerifierError: The verifier cannot be loaded in another process.
    """
    if is_builtin(call.ref):
        deadline_seconds = max(deadline_seconds, BUILTIN_SECONDS)
    with tempfile.TemporaryDirectory() as folder:
        marker = Path(folder) / "ran"
        probes = _probes(problems, marker)
        first = _judge(call, probes, deadline_seconds)
        ran_code = marker.exists()
        again = _judge(call, probes, deadline_seconds, skip=first)
        threaded = _judge(dataclasses.replace(call, in_thread=True), probes, deadline_seconds, skip=first)
    breaches = [
        _breach("raises", "it raises", probes, _broken(first, Broken.RAISED), first),
        _breach("dies", "it ends its process", probes, _broken(first, Broken.DIED), first),
        _breach("range", "it returns what no score can be", probes, _broken(first, Broken.BAD_VALUE), first),
        _breach("deadline", f"it takes more than {deadline_seconds:g} s", probes, _broken(first, Broken.LATE), first),
        _breach("determinism", "it says something else the second time", probes, _differ(first, again), again),
        _breach("threads", "it says something else off the main thread", probes, _differ(first, threaded), threaded),
    ]
    if ran_code:
        breaches.append(
            Breach(rule="code", sentence="it runs code that the model writes", num_probes=1, examples=("open(…)",))
        )
    return [breach for breach in breaches if breach.num_probes]


def _probes(problems: Sequence[Problem], marker: Path) -> list[_Probe]:
    """Right and wrong answers to some problems, noise and bombs for the first, and code that leaves a mark."""
    chosen = _spread(problems)
    probes = [
        _Probe(name, (_completion(text), problem))
        for problem in chosen
        for name, text in (
            ("a right box", f"so $\\boxed{{{problem.answer}}}$"),
            ("a right line", f"#### {problem.answer}"),
            ("right tags", f"<think>I see it now.</think>\n<answer>{problem.answer}</answer>"),
            ("a wrong box", r"so $\boxed{1789}$"),
        )
    ]
    for name, text in {**_NOISE, **_BOMBS}.items():
        probes.append(_Probe(name, (_completion(text), chosen[0]), is_bomb=name in _BOMBS))
    code = f"open('{marker}','w')"
    for text in (code, f"\\boxed{{{code}}}", f"<answer>{code}</answer>", f"#### {code}"):
        probes.append(_Probe("code", (_completion(text), chosen[0])))
    return probes


def _spread(problems: Sequence[Problem]) -> list[Problem]:
    """Choose problems evenly over the data set, whose ends are often alike."""
    step = max(1, len(problems) // _MAX_PROBLEMS)
    return list(itertools.islice(problems, 0, None, step))[:_MAX_PROBLEMS]


def _completion(text: str) -> Completion:
    return Completion(text=text, num_tokens=max(1, len(text) // 4))


def _judge(
    call: Call, probes: Sequence[_Probe], deadline_seconds: float, *, skip: Sequence[Judged] = ()
) -> list[Judged]:
    """Judge every probe in one fresh process; after the first time neither bombs nor what broke on its own."""
    wanted = [i for i, probe in enumerate(probes) if not skip or not (probe.is_bomb or skip[i].broken)]
    results = list(skip) or [Judged()] * len(probes)
    with contextlib.closing(WatchedVerifier(call, deadline_seconds=deadline_seconds)) as verifier:
        judged = verifier.judge([probes[i].pair for i in wanted])
        for i, result in zip(wanted, judged, strict=True):
            results[i] = result
    return results


def _broken(judged: Sequence[Judged], how: Broken) -> list[bool]:
    return [each.broken is how for each in judged]


def _differ(first: Sequence[Judged], second: Sequence[Judged]) -> list[bool]:
    """Compare scores, and breaking against not breaking; the words of a detail may change."""
    return [_score(a) != _score(b) for a, b in zip(first, second, strict=True)]


def _score(judged: Judged) -> tuple[float | None, bool]:
    return (None if judged.verdict is None else judged.verdict.score), judged.broken is None


def _breach(
    rule: str, sentence: str, probes: Sequence[_Probe], found: Sequence[bool], judged: Sequence[Judged]
) -> Breach:
    shown = [
        f"{probe.name}: {result.detail or _said(result)}"
        for probe, is_found, result in zip(probes, found, judged, strict=True)
        if is_found
    ]
    return Breach(rule=rule, sentence=sentence, num_probes=len(shown), examples=tuple(dict.fromkeys(shown))[:5])


def _said(judged: Judged) -> str:
    return "" if judged.verdict is None else f"score {judged.verdict.score}"
