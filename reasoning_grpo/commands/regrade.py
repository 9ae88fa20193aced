"""`reasoning-grpo regrade FOLDER --verifier REF | --convention NAME`: another verdict on a benchmark's answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from reasoning_grpo.commands.options import parse_options
from reasoning_grpo.commands.score import Convention
from reasoning_grpo.errors import UserError
from reasoning_grpo.rewards.conventions import CONVENTIONS


@dataclass(frozen=True, kw_only=True)
class RegradeArgs:
    """Judge a benchmark's answers with another verifier, or again with the one of today; nothing is generated.

    The result is a run of its own, `FOLDER/regraded-NAME/`.
    """

    folder: Annotated[Path, tyro.conf.Positional]
    """A folder made by `bench`."""
    verifier: str | None = None
    """What counts as right: a name (`reasoning-grpo verifiers`), `pkg.mod:fn` or `./file.py:fn`."""
    convention: Convention | None = None
    """Grade as another project's grader would."""


def run(verb: str, args: Sequence[str]) -> int:
    """Regrade and print the result."""
    options = parse_options(RegradeArgs, args, "reasoning-grpo regrade")
    if (options.verifier is None) == (options.convention is None):
        raise UserError("name the verifier to regrade with: either `--verifier REF` or `--convention NAME`")
    from reasoning_grpo.commands.bench import print_result
    from reasoning_grpo.eval.folder import slug
    from reasoning_grpo.eval.regrade import regrade

    reference = CONVENTIONS[options.convention] if options.convention else str(options.verifier)
    name = options.convention or slug(reference.replace(":", "/"))
    print_result(*regrade(options.folder, reference, name))
    return 0
