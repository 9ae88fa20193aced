"""Where completions come from. A backend renders prompts its own way and yields completions as they finish."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from reasoning_grpo.data.prompts import PromptStyle, RenderedPrompt, render
from reasoning_grpo.rollout import Sampling, generate
from reasoning_grpo.schema import AnswerFormat, Completion


class Backend(Protocol):
    """What a benchmark needs of a model."""

    @property
    def answer_format(self) -> AnswerFormat:
        """What the prompts ask for, once rendered for this model."""

    def complete(self, questions: Sequence[str]) -> Iterator[tuple[int, Completion]]:
        """Yield (index into questions, completion), in any order."""


class TransformersBackend:
    """A model in this process."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        style: PromptStyle,
        sampling: Sampling,
        *,
        max_batch_size: int = 128,
    ) -> None:
        self.model, self.tokenizer = model, tokenizer
        self.style, self.sampling = style, sampling
        self.max_batch_size = max_batch_size

    @property
    def answer_format(self) -> AnswerFormat:
        """What the prompts ask for; the model's own template may have prefilled the thought."""
        return self._render("").answer_format

    def complete(self, questions: Sequence[str]) -> Iterator[tuple[int, Completion]]:
        """Yield completions with what the prompt prefilled put back in front."""
        prompts = [self._render(question) for question in questions]
        texts = [prompt.text for prompt in prompts]
        finished = generate(self.model, self.tokenizer, texts, self.sampling, max_batch_size=self.max_batch_size)
        for index, completion in finished:
            yield index, put_back(prompts[index].prefill, completion)

    def _render(self, question: str) -> RenderedPrompt:
        return render(self.style, question, self.tokenizer)


def put_back(prefill: str, completion: Completion) -> Completion:
    """Return the completion with the prompt's prefill in front."""
    return Completion(text=prefill + completion.text, num_tokens=completion.num_tokens, truncated=completion.truncated)
