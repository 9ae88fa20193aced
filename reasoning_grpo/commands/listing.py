"""`reasoning-grpo recipes | suites | styles | verifiers`: what ships, one line each."""

from collections.abc import Sequence
from importlib import resources

from reasoning_grpo.errors import UserError


def run(verb: str, args: Sequence[str]) -> int:
    """Print the list."""
    if set(args) & {"-h", "--help"}:
        print(f"usage: reasoning-grpo {verb}\n\nPrint the {verb} that can be named on the command line.")
        return 0
    if args:
        raise UserError(f"`{verb}` takes no arguments, got `{' '.join(args)}`")
    rows = {"recipes": _recipes, "suites": _suites, "styles": _styles, "verifiers": _verifiers}[verb]()
    width = max(len(name) for name, _ in rows)
    for name, text in rows:
        print(f"{name:<{width}}  {text}")
    return 0


def _recipes() -> list[tuple[str, str]]:
    folder = resources.files("reasoning_grpo").joinpath("recipes")
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".toml")), key=lambda f: f.name)
    return [(f.name.removesuffix(".toml"), _first_comment(f.read_text(encoding="utf-8"))) for f in files]


def _suites() -> list[tuple[str, str]]:
    from reasoning_grpo.eval.suite import builtin_suites, load_suite

    return [(name, load_suite(name).title) for name in builtin_suites()]


def _styles() -> list[tuple[str, str]]:
    from reasoning_grpo.data.prompts import STYLES

    return [(style.name, f"asks for {style.asks}; for {style.models}") for style in STYLES.values()]


def _verifiers() -> list[tuple[str, str]]:
    from reasoning_grpo.rewards.registry import known_verifiers, load_verifier

    return [(name, (load_verifier(name).__doc__ or "").strip().split("\n")[0]) for name in known_verifiers()]


def _first_comment(text: str) -> str:
    first = text.lstrip().split("\n")[0]
    return first.removeprefix("#").strip()
