"""Every error this package raises on purpose.

    ReasoningGrpoError
    └── UserError          something the person can mend; the command line prints one sentence and exits with 2
        ├── RecipeError    a recipe or a command-line override
        ├── DataError      a dataset, a file of problems or of completions
        ├── ModelError     a model folder or hub id
        ├── VerifierError  a verifier that cannot be loaded, raises, or returns what no score can be
        └── RunError       a run that had to stop: what is on disk and how to go on
    KeyboardInterrupt
    └── RunInterrupted     Ctrl-C or SIGTERM during a run; the message says how to go on

Anything else that escapes is a bug of ours and keeps its traceback.
"""

import difflib
from collections.abc import Iterable


class ReasoningGrpoError(Exception):
    """Base of every error raised on purpose."""


class UserError(ReasoningGrpoError, ValueError):
    """A mistake the person can mend; the message names the value, the place and the remedy."""


class RecipeError(UserError):
    """A recipe or an override that does not describe a run."""


class DataError(UserError):
    """A dataset or file that does not hold what was asked of it."""


class ModelError(UserError):
    """A model that cannot be loaded."""


class VerifierError(UserError):
    """A verifier that breaks its contract."""


class RunError(UserError):
    """A run that had to stop; the message says why, what is kept and how to go on."""


class RunInterrupted(KeyboardInterrupt):
    """A run that was told to stop; the message says at which step it goes on, and how."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `"; did you mean 'x'?"` for the closest known word, else the list of known words."""
    known = sorted(known)
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known: {', '.join(known)}" if known else ""
