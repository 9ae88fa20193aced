"""The command line: finds the verb, runs it, turns a person's mistake into one sentence and exit code 2.

Exit codes: 0 done, 1 done and the answer is no (a check that failed), 2 a mistake the person can mend, 130 interrupted.
"""

import importlib
import os
import sys
from collections.abc import Mapping, Sequence

from reasoning_grpo.errors import UserError, did_you_mean

# Verb -> (module under reasoning_grpo.commands, what it does). Nothing heavy is imported before the verb is known.
VERBS: Mapping[str, tuple[str, str]] = {
    "demo": ("demo", "train a tiny shipped model on this machine for a few minutes and measure what it learned"),
    "train": ("train", "train a model as a recipe says"),
    "bench": ("bench", "measure a model's accuracy on a suite or a file of problems"),
    "regrade": ("regrade", "judge a benchmark's answers with another verifier, without generating"),
    "score": ("score", "grade completions you already have"),
    "compare": ("compare", "say whether one run is better than another, how sure that is, and why"),
    "audit": ("audit", "ask whether a reward is fit for a data set, a prompt and a template"),
    "recipes": ("listing", "list the shipped recipes"),
    "suites": ("listing", "list the benchmark suites"),
    "styles": ("listing", "list the prompt styles and what each asks for"),
    "verifiers": ("listing", "list the verifiers known by name"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    args = list(sys.argv[1:] if argv is None else argv)
    if not args or args[0] in ("-h", "--help"):
        print(_help())
        return 0 if args else 2
    if args[0] == "--version":
        from reasoning_grpo import __version__

        print(f"reasoning-grpo {__version__}")
        return 0
    return _run(args[0], args[1:])


def _run(verb: str, args: list[str]) -> int:
    try:
        if verb not in VERBS:
            raise UserError(f"there is no command `{verb}`{did_you_mean(verb, VERBS)}")
        module = importlib.import_module(f"reasoning_grpo.commands.{VERBS[verb][0]}")
        return int(module.run(verb, args))
    except UserError as error:
        print(f"reasoning-grpo {verb}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        print(f"reasoning-grpo {verb}: interrupted{'; ' if str(stop) else ''}{stop}", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `reasoning-grpo score … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _help() -> str:
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {verb:<{width}}  {text}" for verb, (_, text) in VERBS.items())
    return (
        "usage: reasoning-grpo COMMAND …\n\n"
        "Train reasoning models with GRPO and rewards one can trust.\n\n"
        f"{verbs}\n\n"
        "`reasoning-grpo COMMAND --help` explains a command. Start with `reasoning-grpo demo`."
    )


if __name__ == "__main__":
    sys.exit(main())
