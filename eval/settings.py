"""How a benchmark draws its answers: what two runs must share to be compared, and what names a sample for good."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from reasoning_grpo.errors import UserError


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Sampling and limits of one benchmark; temperature 0 is greedy."""

    samples: int = 1
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float | None = None
    seed: int = 0
    max_completion_tokens: int = 4096
    stop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _require(self.samples >= 1, "samples", self.samples, "at least 1")
        _require(0 <= self.temperature < math.inf, "temperature", self.temperature, "0 (greedy) or more")
        _require(0 < self.top_p <= 1, "top-p", self.top_p, "more than 0 and at most 1")
        _require(self.top_k >= 0, "top-k", self.top_k, "0 (off) or more")
        _require(self.min_p is None or 0 <= self.min_p <= 1, "min-p", self.min_p, "between 0 and 1")
        _require(self.max_completion_tokens >= 1, "max-completion-tokens", self.max_completion_tokens, "at least 1")
        if self.samples > 1 and self.temperature == 0:
            raise UserError(
                f"`--samples {self.samples}` at temperature 0 would be {self.samples} copies of one greedy answer; "
                "add `--temperature 0.6`, say, or leave `--samples` out"
            )

    def sampling(self) -> dict[str, Any]:
        """Return what shapes the distribution that is drawn from."""
        return {"temperature": self.temperature, "top_p": self.top_p, "top_k": self.top_k, "min_p": self.min_p}

    def identity(self) -> dict[str, Any]:
        """Return all that a completion depends on beside its model, its prompt and its number."""
        return {name: value for name, value in asdict(self).items() if name != "samples"}


def _require(claim: bool, name: str, value: object, rule: str) -> None:
    if not claim:
        raise UserError(f"`--{name}` is {value}; it must be {rule}")
