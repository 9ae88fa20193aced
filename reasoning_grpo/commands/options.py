"""A verb's options from its arguments, every mistake in them one sentence: tyro explains its own in a box of lines.

tyro's public ways end in that box and exit code 2, so the box is read. Its words are kept only where none of
`_MISTAKES` says the same better.
"""

import contextlib
import dataclasses
import io
import re
from collections.abc import Callable, Mapping, Sequence
from types import NoneType
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import tyro

from reasoning_grpo.errors import UserError, did_you_mean

OptionsT = TypeVar("OptionsT")

_FLAG = re.compile(r"--[a-z][\w.-]*")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_LINE = re.compile(r"^.*(?:─{3}|-{9}).*$", re.MULTILINE)  # a box's edges too
_TYPES = {"INT": "a whole number", "FLOAT": "a number"}


def parse_options(kind: type[OptionsT], args: Sequence[str], prog: str, **settings: Any) -> OptionsT:
    """Return the options that `args` describe; `settings` are tyro's.

    Raises:
        UserError: They describe none; the message is one sentence.
        SystemExit: With code 0, after printing the help that was asked for.
    """
    said = io.StringIO()
    if "default" not in settings:  # a recipe has values of its own, and None is one to set
        kind = _readable(kind)
    try:
        with contextlib.redirect_stderr(said):
            options: OptionsT = tyro.cli(kind, args=list(args), prog=prog, **settings)
            return options
    except SystemExit as stop:
        if not stop.code:
            raise
    raise UserError(_sentence(said.getvalue(), prog, _flags(kind, prog, settings)))


def _readable(kind: type[OptionsT]) -> type[OptionsT]:
    """Return the options with a help in order: no `{None}|STR`, no `(default: None)`, and positions by their names."""
    hints = get_type_hints(kind, include_extras=True)
    shown = [
        (field.name, _shown(field.name, hints[field.name], is_optional=field.default is None), _copied(field))
        for field in dataclasses.fields(kind)  # type: ignore[arg-type]  # every options class is a dataclass
        if field.default is None or _is_positional(hints[field.name])
    ]
    kept = {"__doc__": kind.__doc__, "__module__": kind.__module__}
    return dataclasses.make_dataclass(kind.__name__, shown, bases=(kind,), namespace=kept, frozen=True, kw_only=True)


def _shown(name: str, hint: Any, *, is_optional: bool) -> Any:
    """Return the hint with what stands for the value: the choices, the type, or the name where no flag says it."""
    if not is_optional:
        return Annotated[hint, tyro.conf.arg(metavar=name.upper())]
    metavar = f"[{name.upper()}]" if _is_positional(hint) else _metavar(hint)
    return Annotated[hint, tyro.conf.arg(metavar=metavar, help_behavior_hint="")]


def _metavar(hint: Any) -> str:
    (kind,) = (part for part in get_args(hint) if part is not NoneType)
    return f"{{{','.join(get_args(kind))}}}" if get_origin(kind) is Literal else str(kind.__name__).upper()


def _is_positional(hint: Any) -> bool:
    return get_origin(hint) is Annotated and tyro.conf.Positional in get_args(hint)


def _copied(field: "dataclasses.Field[Any]") -> Any:
    return dataclasses.field(default=field.default)  # MISSING where it must be given


def _flags(kind: type[Any], prog: str, settings: Mapping[str, Any]) -> set[str]:
    """Return every flag there is, read off the help."""
    said = io.StringIO()
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(said):
        tyro.cli(kind, args=["--help"], prog=prog, **settings)
    return set(_FLAG.findall(_COLOUR.sub("", said.getvalue())))


def _sentence(box: str, prog: str, flags: set[str]) -> str:
    """Return the mistake that a box describes, without its frame, its excerpts of the help and its advice."""
    text = _first_part(box)
    for pattern, say in _MISTAKES:
        if match := re.search(pattern, text):
            return say(match, flags)
    return f"{text.rstrip('.')}; see `{prog} --help`"


def _unknown(match: re.Match[str], flags: set[str]) -> str:
    if match[1].startswith("-"):
        return f"there is no option `{match[1]}`{did_you_mean(match[1], flags)}"
    return f"`{match[1]}` is one argument too many; a value must follow its option"


def _no_choice(match: re.Match[str], flags: set[str]) -> str:
    known = [choice.strip("' ") for choice in match[3].split(",") if choice.strip("' ") != "None"]
    return f"`{match[2]} {match[1]}` is none of the choices{did_you_mean(match[1], known)}"


def _not_of_type(match: re.Match[str], flags: set[str]) -> str:
    wanted = [_TYPES.get(name, name) for name in match[2].split("|") if name != "{None}"]
    return f"`{match[1]} {match[3]}` must be {' or '.join(wanted)}"


_MISTAKES: tuple[tuple[str, Callable[[re.Match[str], set[str]], str]], ...] = (
    (r"Unrecognized options: ([^\s,]+)", _unknown),
    (r"Missing from (reasoning-grpo [\w -]+): (\S+)", lambda match, _: f"name {match[2]}; see `{match[1]} --help`"),
    (r"Missing value for argument '(.*?)'", lambda match, _: f"`{match[1]}` needs a value: `{match[1]} VALUE`"),
    (r"invalid choice '(.*)' for argument '(.*)'\. Expected one of \((.*)\)", _no_choice),
    (r"Error parsing (--[\w.-]+): no type matching (\S+) could be instantiated from \['(.*?)'\]\.", _not_of_type),
    (r"Error parsing (\S+): invalid literal for int.*'(.*)'", lambda m, _: f"`{m[1]} {m[2]}` must be {_TYPES['INT']}"),
    (r"Error parsing (\S+): could not convert string to float.*'(.*)'",
     lambda m, _: f"`{m[1]} {m[2]}` must be {_TYPES['FLOAT']}"),
    (r"Error parsing [\w.-]+: (`.*?)\.?$", lambda match, _: match[1]),
)  # fmt: skip


def _first_part(box: str) -> str:
    """Return what stands below a box's title and above its next rule, as one line.

    On a terminal the box is coloured; without UTF-8 it has no frame and a rule below its title.
    """
    plain = _COLOUR.sub("", box).strip()
    parts = [" ".join(part.replace("│", " ").split()) for part in _LINE.split(plain)]
    return next((part for part in parts[1:] if part), parts[0])
