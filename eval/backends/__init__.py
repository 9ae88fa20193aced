"""Where completions come from: what a benchmark needs of a model, wherever it runs.

| backend | module | the model is |
|---|---|---|
| `transformers` | `in_process.py` | in this process, driven by the engine that makes training rollouts |
| `vllm` | `vllm.py` | in this process, driven by vLLM, where that is installed |
| `openai` | `server.py`, `transport.py` | behind a server that speaks OpenAI's protocol |

`opening.py` makes the one that was asked for.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from reasoning_grpo.data.prompts import RenderedPrompt
from reasoning_grpo.schema import Completion


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One completion to get: the `sample`-th of the suite's problem `number`, both from 0.

    What is drawn depends on these two and on the seed, never on which other completions are asked for beside it.
    """

    prompt: RenderedPrompt
    number: int
    sample: int = 0


class Backend(Protocol):
    """A model that answers."""

    def render(self, question: str) -> RenderedPrompt:
        """Return the prompt of a question as this model is given it."""

    def check(self, prompts: Sequence[RenderedPrompt]) -> None:
        """Raise UserError for what would end the run at its first or at any later prompt."""

    def complete(self, asks: Sequence[Ask]) -> Iterator[tuple[int, Completion]]:
        """Yield (index into asks, completion with the prompt's prefill in front) as they finish, in any order."""


def own_seed(seed: int, ask: Ask) -> int:
    """Return the seed of one completion, for engines that take a seed per request: 31 bits from all it depends on."""
    digest = hashlib.sha256(f"{seed} {ask.number} {ask.sample}".encode()).digest()
    return int.from_bytes(digest[:4]) >> 1


def put_back(prefill: str, completion: Completion) -> Completion:
    """Return the completion with the prompt's prefill in front."""
    return replace(completion, text=prefill + completion.text)


def cut_at_stop(completion: Completion, stop: Sequence[str]) -> Completion:
    """Return the completion up to the first of the stop texts, which ends it as its end token would have."""
    found = [place for text in stop if (place := completion.text.find(text)) >= 0]
    return replace(completion, text=completion.text[: min(found)], truncated=False) if found else completion
