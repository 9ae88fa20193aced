"""Train reasoning models with GRPO and rewards one can trust.

Importing this package loads no torch: the nouns and the errors are here, the rest is one import away
(`reasoning_grpo.rewards`, `reasoning_grpo.data`, `reasoning_grpo.train`, `reasoning_grpo.eval`).
"""

from reasoning_grpo.errors import DataError, ModelError, ReasoningGrpoError, RecipeError, UserError, VerifierError
from reasoning_grpo.schema import AnswerForm, AnswerFormat, Attempt, Completion, Outcome, Problem, Verdict

__all__ = [
    "AnswerForm",
    "AnswerFormat",
    "Attempt",
    "Completion",
    "DataError",
    "ModelError",
    "Outcome",
    "Problem",
    "ReasoningGrpoError",
    "RecipeError",
    "UserError",
    "Verdict",
    "VerifierError",
]

__version__ = "0.1.0"
