"""The nouns of the project, one meaning each. Standard library only.

A *score* is one verifier's number in [0, 1]; a *reward* is the weighted sum of scores; an *advantage* is a reward
relative to its group. A wrong answer, no answer, a timeout and an ungradable gold are different outcomes: they pay
differently and are counted apart.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """What a verifier found; goes to logs and metrics under this name."""

    PASS = "pass"
    PARTIAL = "partial"  # some of what was asked for; the score says how much
    FAIL = "fail"  # an answer was read and it is wrong
    NO_ANSWER = "no_answer"  # nothing that could be an answer
    MALFORMED = "malformed"  # an answer may be there, the form asked for is not
    TIMEOUT = "timeout"  # the verifier's deadline or memory limit ended it; scores 0
    UNGRADABLE = "ungradable"  # the gold cannot be graded: abstain, never "wrong"


class AnswerForm(StrEnum):
    """Where a prompt asks for the final answer."""

    TAGS = "tags"  # <answer>42</answer>
    BOXED = "boxed"  # \boxed{42}
    HASH = "hash"  # #### 42
    PLAIN = "plain"  # anywhere: the prompt asks for nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerFormat:
    """What a prompt asks of the completion: the value that data/ and rewards/ share.

    `think` asks for a `<think>…</think>` block; `think_prefilled` says that the prompt itself ends with `<think>`,
    so the model never writes the opening tag (`Completion.text` has it put back).
    """

    form: AnswerForm = AnswerForm.PLAIN
    think: bool = False
    think_prefilled: bool = False

    def __post_init__(self) -> None:
        if self.think_prefilled and not self.think:
            raise ValueError("`think_prefilled` needs `think`: a prompt that writes `<think>` asks for a thought")


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A question with its gold final answer, as raw text (never normalised)."""

    id: str
    question: str
    answer: str
    source: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """Model text, what the prompt prefilled included.

    `num_tokens` counts generated tokens (None: unknown). `truncated`: the limit was reached without an end token.
    """

    text: str
    num_tokens: int | None = None
    truncated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One verifier's finding on one completion.

    `score` lies in [0, 1] and is None exactly when the outcome is UNGRADABLE. `extracted` is the text that was
    graded and `place` where it stood (as the verifier names places), `stage` the step of the verifier that decided,
    `detail` says why, for a person. `seconds` is what it took; two verdicts are equal whatever they took.
    """

    score: float | None
    outcome: Outcome
    extracted: str | None = None
    detail: str = ""
    place: str = ""
    stage: str = ""
    seconds: float | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if (self.score is None) != (self.outcome is Outcome.UNGRADABLE):
            raise ValueError(f"score is None exactly for UNGRADABLE, got {self.score!r} with {self.outcome}")
        if self.score is not None and not 0.0 <= self.score <= 1.0:  # NaN fails this too
            raise ValueError(f"a score lies in [0, 1], got {self.score!r}")

    @property
    def passed(self) -> bool:
        """True for full marks."""
        return self.outcome is Outcome.PASS


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One completion of one problem with its verdicts: a row of a benchmark or of a rollout log.

    `sample` numbers the completions of one problem from 0; `reward` is None when a term abstained.
    """

    problem_id: str
    sample: int
    completion: Completion
    verdicts: Mapping[str, Verdict]
    reward: float | None
