r"""Which verifier was it, exactly: the facts that a training run and a benchmark both write down, and one hash of them.

The hash covers the function's name, its options, the source it comes from (for one of ours all of this package, for one
of yours its file), the versions of what it computes with, and how it judges a small golden set. Two runs with one hash
were judged alike; with two hashes `reasoning-grpo regrade` puts them on one footing.

The golden set is judged by `accuracy` and the conventions only: a format verifier has nothing to say about it, and
one of yours may read columns these problems do not have.
"""

import functools
import hashlib
import inspect
import json
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from reasoning_grpo.rewards.compose import RewardTerm
from reasoning_grpo.rewards.conventions import CONVENTIONS
from reasoning_grpo.rewards.registry import Verifier, call_verifier, is_builtin, load_verifier, takes_answer_format
from reasoning_grpo.schema import AnswerForm, AnswerFormat, Completion, Problem

_JUDGING = frozenset({"accuracy", *CONVENTIONS.values()})
_COMPUTES_WITH = ("reasoning-grpo", "math-verify", "sympy", "latex2sympy2_extended", "mpmath")

# (gold, response, whether it is right): settled without a worker process, so that this takes milliseconds.
GOLDEN = (
    ("72", r"So \boxed{72}.", True),
    ("72", r"So \boxed{27}.", False),
    ("72", r"\boxed{72.0}", True),
    ("1200", r"\boxed{1{,}200}", True),
    ("1200", r"\boxed{12,00,1}", False),
    ("0.5", r"\boxed{\frac{1}{2}}", True),
    ("0.5", r"\boxed{\frac{1}{3}}", False),
    (r"\frac{3}{4}", r"\boxed{0.75}", True),
    (r"\frac{3}{4}", r"\boxed{0.7}", False),
    ("-3", r"\boxed{-3}", True),
    ("-3", r"\boxed{3}", False),
    (r"\left(3, \frac{\pi}{2}\right)", r"\boxed{(3, \pi/2)}", True),
    (r"\left(3, \frac{\pi}{2}\right)", r"\boxed{(\pi/2, 3)}", False),
    (r"2\sqrt{3}", r"\boxed{\sqrt{12}}", True),
    (r"2\sqrt{3}", r"\boxed{3\sqrt{2}}", False),
    ("[2,5)", r"\boxed{[2, 5)}", True),
    ("[2,5)", r"\boxed{(2, 5)}", False),
    ("1,2", r"\boxed{2, 1}", True),
    ("1,2", r"\boxed{1, 3}", False),
    ("x=5", r"\boxed{5}", True),
    ("4", "I cannot tell.", False),
    ("4", r"\boxed{}", False),
)


def verifier_facts(term: RewardTerm, base_dir: Path | None = None) -> dict[str, Any]:
    """Return what is to be written down about a term's verifier.

    `self_test` is None for a verifier that judges no answers or is not ours.
    """
    return dict(_facts(term.verifier, json.dumps(dict(term.options), sort_keys=True, default=str), base_dir))


def verifier_condition(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a verifier's facts that two runs must share to be compared."""
    return {name: facts[name] for name in ("reference", "options", "fingerprint")}


@functools.lru_cache(maxsize=64)
def _facts(reference: str, options: str, base_dir: Path | None) -> dict[str, Any]:
    function = load_verifier(reference, base_dir)
    judged = {
        "name": getattr(function, "__qualname__", repr(function)),
        "options": json.loads(options),
        "source_sha256": _source_hash(reference, function),
        "versions": {name: version for name in _COMPUTES_WITH if (version := _version(name))},
        "self_test": _self_test(function, json.loads(options)) if reference in _JUDGING else None,
    }
    fingerprint = hashlib.sha256(json.dumps(judged, sort_keys=True).encode()).hexdigest()
    place = str(base_dir or Path.cwd())
    return {"reference": reference, **judged, "base_dir": place, "fingerprint": fingerprint}


def _self_test(function: Verifier, options: dict[str, Any]) -> dict[str, int]:
    if takes_answer_format(function):
        options = {"answer_format": AnswerFormat(form=AnswerForm.BOXED), **options}
    judged = [
        call_verifier(
            function,
            Completion(text=text),
            Problem(id=f"golden/{number}", question="", answer=gold),
            name="self-test",
            options=options,
        ).passed
        for number, (gold, text, _) in enumerate(GOLDEN)
    ]
    agreeing = sum(passed == is_right for passed, (_, _, is_right) in zip(judged, GOLDEN, strict=True))
    return {"num_agreeing": agreeing, "num_rows": len(GOLDEN)}


def _source_hash(reference: str, function: Verifier) -> str | None:
    """Return the SHA-256 of the source, None for a function without one (compiled, or typed into a console)."""
    if is_builtin(reference):
        folder = Path(__file__).parent
        paths = sorted(folder.rglob("*.py"), key=lambda path: path.relative_to(folder).as_posix())
        return _hash([(path.relative_to(folder).as_posix(), path) for path in paths])
    try:
        path = Path(inspect.getsourcefile(inspect.unwrap(function)) or "")
    except TypeError:
        return None
    return _hash([(path.name, path)]) if path.is_file() else None


def _hash(named: list[tuple[str, Path]]) -> str:
    digest = hashlib.sha256()
    for name, path in named:
        digest.update(f"{name}\n".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
