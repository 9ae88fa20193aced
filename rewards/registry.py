r"""References to verifiers: `"accuracy"`, `"pkg.mod:attr"`, `"./my_verifiers.py:attr"`, or an entry point's name.

A verifier is a plain function `(completion, problem, **options) -> Verdict | float | bool`. True or 1.0 is a pass, 0 a
fail, what lies between partial credit; to abstain it returns a Verdict with the outcome UNGRADABLE. Everything else it
may do wrong is a VerifierError that names the verifier, the problem and the line: a bug in a reward never becomes a 0.

Only what the user names is imported. Functions from a file do not pickle, so configurations hold the reference.
"""

import hashlib
import importlib
import importlib.util
import inspect
import math
import numbers
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from reasoning_grpo.errors import VerifierError, did_you_mean
from reasoning_grpo.rewards.slow import watch
from reasoning_grpo.schema import Completion, Outcome, Problem, Verdict

ENTRY_POINT_GROUP = "reasoning_grpo.verifiers"

Verifier = Callable[..., "Verdict | float | bool"]
BatchVerifier = Callable[..., Sequence["Verdict | float | bool"]]
Job = Callable[[threading.Event], Verdict]
"""The rest of a judgement, which a worker process does while this one waits: for a thread of the caller's, who may set
the event to end it early. Of jobs that are equal one is enough."""
BeginVerifier = Callable[..., "Verdict | Job"]
AnyVerifier = TypeVar("AnyVerifier", bound=Verifier)

_BUILTIN_MODULES = {
    "accuracy": "reasoning_grpo.rewards.correctness",
    "format": "reasoning_grpo.rewards.formatting",
    "format_graded": "reasoning_grpo.rewards.formatting",
    "soft_overlong": "reasoning_grpo.rewards.shaping",
    "cosine_length": "reasoning_grpo.rewards.shaping",
    "repetition": "reasoning_grpo.rewards.repetition",
    "language": "reasoning_grpo.rewards.language",
    "tag_count": "reasoning_grpo.rewards.tag_count",
    "qwen": "reasoning_grpo.rewards.conventions.qwen",
    "math_verify": "reasoning_grpo.rewards.conventions.math_verify",
    "last_number": "reasoning_grpo.rewards.conventions.numbers",
    "strict_box": "reasoning_grpo.rewards.conventions.hendrycks",
    "gsm8k_hash": "reasoning_grpo.rewards.conventions.numbers",
}
_registered: dict[str, Verifier] = {}
_batch_forms: dict[Verifier, BatchVerifier] = {}
_begin_forms: dict[Verifier, BeginVerifier] = {}


def verifier(
    name: str, *, batch: BatchVerifier | None = None, begin: BeginVerifier | None = None
) -> Callable[[AnyVerifier], AnyVerifier]:
    """Register a function under a short name: `@verifier("units")`.

    `batch` is its form for many at once, `(completions, problems, **options) -> list`, if it has a faster one; `begin`
    is its form that does not wait for worker processes but returns the Job that would. The name is known wherever the
    module has been imported; to be found without, declare an entry point or use a reference.
    """

    def register(function: AnyVerifier) -> AnyVerifier:
        _check_name(name, function)
        _registered[name] = function
        if batch is not None:
            _batch_forms[function] = batch
        if begin is not None:
            _begin_forms[function] = begin
        return function

    return register


def known_verifiers() -> list[str]:
    """Return every short name that can be loaded."""
    return sorted({*_BUILTIN_MODULES, *_registered, *(point.name for point in entry_points(group=ENTRY_POINT_GROUP))})


def is_builtin(ref: str) -> bool:
    """True for the short name of a verifier that ships with this package."""
    return ref in _BUILTIN_MODULES


def load_verifier(ref: str, base_dir: Path | None = None) -> Verifier:
    """Return the function a reference names; a relative file is looked for in `base_dir` (default: the current folder).

    Raises VerifierError, with the nearest known name, for anything that does not lead to a callable.
    """
    place, colon, attribute = ref.rpartition(":")
    if not colon:
        return _load_named(ref)
    if not place or not attribute:
        raise VerifierError(f"{ref!r} names no verifier; write 'pkg.mod:function' or './file.py:function'")
    if place.endswith(".py"):
        return _attribute(_load_file(place, base_dir, ref), attribute, ref)
    return _attribute(_import(place, ref), attribute, ref)


def batch_form(function: Verifier) -> BatchVerifier | None:
    """Return the form for many completions at once, None when the verifier has none."""
    return _batch_forms.get(function)


def begin_form(function: Verifier) -> BeginVerifier | None:
    """Return the form that does not wait for worker processes, None when the verifier has none."""
    return _begin_forms.get(function)


def takes_answer_format(function: Verifier) -> bool:
    """True when the verifier names a keyword `answer_format`: a spec then passes what its prompt asks for."""
    return "answer_format" in inspect.signature(function).parameters


def check_options(function: Verifier, options: Mapping[str, Any], name: str) -> None:
    """Raise VerifierError unless `function` can be called with (completion, problem) and these options."""
    parameters = inspect.signature(function).parameters.values()
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters):
        return
    known = [p.name for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)]
    for option in options:
        if option not in known:
            hint = did_you_mean(option, [o for o in known if o not in ("completion", "problem", "answer_format")])
            raise VerifierError(f"verifier {name!r} has no option {option!r}{hint}")
    try:
        inspect.signature(function).bind(None, None, **options)
    except TypeError as error:
        raise VerifierError(
            f"verifier {name!r} cannot be called as (completion, problem, **{dict(options)!r}): {error}"
        ) from error


def call_verifier(
    function: Verifier, completion: Completion, problem: Problem, *, name: str, options: Mapping[str, Any]
) -> Verdict:
    """Call a verifier and return its Verdict; raise VerifierError if it raises or returns what no score can be."""
    return as_verdict(_result(function, completion, problem, name, options), name=name, problem=problem)


def call_begin(
    function: BeginVerifier, completion: Completion, problem: Problem, *, name: str, options: Mapping[str, Any]
) -> Verdict | Job:
    """Call a verifier's form that does not wait; return and raise as `call_verifier` does, or return the Job."""
    result = _result(function, completion, problem, name, options)
    return result if callable(result) else as_verdict(result, name=name, problem=problem)


def call_batch(
    function: BatchVerifier,
    completions: Sequence[Completion],
    problems: Sequence[Problem],
    *,
    name: str,
    options: Mapping[str, Any],
) -> list[Verdict]:
    """Call a batch verifier and return one Verdict per completion."""
    try:
        with watch.over(f"verifier {name!r} on {len(problems)} completions"):
            results = function(completions, problems, **options)
    except VerifierError:
        raise
    except (Exception, SystemExit) as error:
        raise _raised(error, name, f"on a batch that begins with problem {problems[0].id!r}") from error
    if len(results) != len(problems):
        raise VerifierError(f"verifier {name!r} returned {len(results)} results for {len(problems)} completions")
    return [as_verdict(result, name=name, problem=p) for result, p in zip(results, problems, strict=True)]


def as_verdict(result: object, *, name: str, problem: Problem) -> Verdict:
    """Turn what a verifier returned into a Verdict: True or 1 PASS, False or 0 FAIL, between them PARTIAL."""
    if isinstance(result, Verdict):
        return result
    score = float(result) if isinstance(result, numbers.Real) else math.nan
    if not 0.0 <= score <= 1.0:  # NaN fails this too
        raise VerifierError(
            f"verifier {name!r} returned {_shortened(result)} on problem {problem.id!r}; return a Verdict, a bool or a "
            "number in [0, 1] (to abstain: Verdict(score=None, outcome=Outcome.UNGRADABLE))"
        )
    outcome = Outcome.PASS if score == 1.0 else Outcome.FAIL if score == 0.0 else Outcome.PARTIAL
    return Verdict(score=score, outcome=outcome)


def _result(
    function: Callable[..., Any], completion: Completion, problem: Problem, name: str, options: Mapping[str, Any]
) -> Any:
    try:
        with watch.over(f"verifier {name!r} on problem {problem.id!r}"):
            return function(completion, problem, **options)
    except VerifierError:
        raise
    except (Exception, SystemExit) as error:
        raise _raised(error, name, f"on problem {problem.id!r}") from error


def _check_name(name: str, function: Verifier) -> None:
    module = getattr(function, "__module__", None)
    if not name.isidentifier():
        raise VerifierError(f"{name!r} cannot be a verifier's name; use letters, digits and `_`, as in 'unit_tests'")
    if name in _BUILTIN_MODULES and _BUILTIN_MODULES[name] != module:
        raise VerifierError(f"{name!r} is a built-in verifier; choose another name for the one in {module}")
    other = _registered.get(name)
    if other is not None and _identity(other) != _identity(function):
        raise VerifierError(
            f"two verifiers are named {name!r}: {_identity(other)} and {_identity(function)}; rename one"
        )


def _identity(function: Verifier) -> str:
    return f"{getattr(function, '__module__', '?')}:{getattr(function, '__qualname__', repr(function))}"


def _load_named(name: str) -> Verifier:
    if name in _BUILTIN_MODULES:
        importlib.import_module(_BUILTIN_MODULES[name])
    if name in _registered:
        return _registered[name]
    for point in entry_points(group=ENTRY_POINT_GROUP, name=name):
        module, _, attribute = point.value.partition(":")
        return _attribute(_import(module, point.value), attribute, point.value)
    hint = did_you_mean(name, known_verifiers())
    raise VerifierError(
        f"there is no verifier {name!r}{hint}; your own is named 'pkg.mod:function' or './file.py:function'"
    )


def _import(module: str, ref: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and (module == error.name or module.startswith(error.name + ".")):
            raise VerifierError(f"{ref!r}: no module {error.name!r} can be imported; is it installed here?") from error
        raise _broken(error, ref) from error
    except Exception as error:
        raise _broken(error, ref) from error


def _load_file(place: str, base_dir: Path | None, ref: str) -> ModuleType:
    """Import a file under a name of its own, once per resolved path."""
    path = ((base_dir or Path.cwd()) / Path(place).expanduser()).resolve()
    if not path.is_file():
        raise VerifierError(f"{ref!r}: there is no file {path}; a relative path starts at {base_dir or Path.cwd()}")
    name = f"_reasoning_grpo_file_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and decorators in the file look their module up
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise _broken(error, ref) from error
    return module


def _attribute(module: ModuleType, attribute: str, ref: str) -> Verifier:
    place = getattr(module, "__file__", None) or module.__name__
    found: object = getattr(module, attribute, None)
    if found is None:
        functions = [name for name, value in vars(module).items() if inspect.isfunction(value) and name[:1] != "_"]
        raise VerifierError(f"{ref!r}: {place} has no {attribute!r}{did_you_mean(attribute, functions)}")
    if not callable(found):
        raise VerifierError(f"{ref!r}: {attribute!r} in {place} is a {type(found).__name__}, not a function")
    function: Verifier = found
    return function


def _broken(error: Exception, ref: str) -> VerifierError:
    return VerifierError(f"{ref!r} cannot be imported: {_describe(error)}")


def _raised(error: BaseException, name: str, place: str) -> VerifierError:
    return VerifierError(
        f"verifier {name!r} raised {_describe(error)} {place}; mend it, or let it return "
        "Verdict(score=None, outcome=Outcome.UNGRADABLE) to abstain"
    )


def _describe(error: BaseException) -> str:
    """`ZeroDivisionError: division by zero (my_verifiers.py:12)`."""
    text = f"{type(error).__name__}: {str(error)[:300]}"
    if isinstance(error, SyntaxError) and error.filename:
        return f"{text} ({error.filename}:{error.lineno})"
    frames = traceback.extract_tb(error.__traceback__)
    return f"{text} ({frames[-1].filename}:{frames[-1].lineno})" if frames else text


def _shortened(value: object) -> str:
    text = repr(value)
    return f"{text[:80]} ({type(value).__name__})"
