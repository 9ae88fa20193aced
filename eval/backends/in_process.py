"""A model of transformers in this process, driven by the engine that makes training rollouts.

The engine sorts prompts by length, reads a prompt once for all its samples that begin together, lets waiting ones take
the places of answers that have ended, and ends an answer at a stop text. Where transformers' own `generate` has to
write, what comes after a stop text is cut off, and its tokens are not counted.
"""

import dataclasses
from bisect import bisect_left
from collections.abc import Iterator, Sequence

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from reasoning_grpo.data.prompts import PromptStyle, RenderedPrompt, render
from reasoning_grpo.engine.decoding import Request
from reasoning_grpo.errors import RunError, UserError
from reasoning_grpo.eval.backends import Ask, cut_at_stop, put_back
from reasoning_grpo.models import end_token_ids
from reasoning_grpo.rollout import Sampling, context_limit, write_completions
from reasoning_grpo.schema import Completion


class TransformersBackend:
    """Answers with a model and its tokenizer."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        style: PromptStyle,
        sampling: Sampling,
        *,
        stop: Sequence[str] = (),
        max_batch_size: int = 128,
    ) -> None:
        self.model, self.tokenizer = model, tokenizer
        self.style, self.stop = style, stop
        self.sampling = _within(sampling, context_limit(model))
        self.max_batch_size = max_batch_size

    def render(self, question: str) -> RenderedPrompt:
        """Return the prompt, in the model's own chat template where the style uses one."""
        return render(self.style, question, self.tokenizer)

    def check(self, prompts: Sequence[RenderedPrompt]) -> None:
        """Refuse a prompt that leaves the model no room to answer."""
        limit = context_limit(self.model)
        lengths = [len(ids) for ids in self.tokenizer([prompt.text for prompt in prompts])["input_ids"]]
        longest = max(range(len(lengths)), key=lengths.__getitem__)
        if limit is not None and lengths[longest] >= limit:
            raise UserError(
                f"problem {longest + 1} of the suite has a prompt of {lengths[longest]} tokens and the model's context "
                f"holds {limit}; drop the problem or use a model with a longer context"
            )

    def complete(self, asks: Sequence[Ask]) -> Iterator[tuple[int, Completion]]:
        """Yield completions with what the prompt prefilled put back in front."""
        end_ids = end_token_ids(self.model, self.tokenizer)
        written = write_completions(
            self.model,
            self._requests(asks),
            self.sampling,
            end_ids,
            pad_id=self.tokenizer.pad_token_id,
            max_batch_size=self.max_batch_size,
            is_over=self._is_over,
        )
        try:
            for one in written:
                text = self.tokenizer.decode(one.ids, skip_special_tokens=True)
                found = Completion(text=text, num_tokens=len(one.ids), truncated=one.ids[-1] not in end_ids)
                yield one.index, put_back(asks[one.index].prompt.prefill, self._stopped(found, one.ids))
        except torch.OutOfMemoryError as error:
            raise RunError(
                f"memory ran out at `--batch-size {self.max_batch_size}`; go on with a smaller one"
            ) from error

    def _stopped(self, completion: Completion, ids: Sequence[int]) -> Completion:
        """Return the completion up to its first stop text, with the tokens up to the end of that."""
        stopped = cut_at_stop(completion, self.stop)
        if stopped.text == completion.text:
            return stopped
        num_before = bisect_left(range(len(ids)), True, key=lambda index: self._stops(ids[: index + 1]))
        return dataclasses.replace(stopped, num_tokens=num_before + 1)

    def _is_over(self, ids: Sequence[int]) -> bool:
        """Return whether the answer has come to a stop text; asked after every token, so it looks at the last first.

        A token is a byte at least, so a stop text stands in as many tokens as it has bytes; one more, because some
        tokenizers leave out the space that a text begins with. Special tokens, which are no text, may stand in between:
        then the answer is written to its end, and `_stopped` cuts it.
        """
        longest = max((len(stop.encode()) for stop in self.stop), default=-1)
        return longest > 0 and self._stops(ids[-longest - 1 :]) and self._stops(ids)

    def _stops(self, ids: Sequence[int]) -> bool:
        text = self.tokenizer.decode(ids, skip_special_tokens=True)
        return any(stop in text for stop in self.stop)

    def _requests(self, asks: Sequence[Ask]) -> list[Request]:
        ids: dict[str, list[int]] = {}  # the samples of a problem share its prompt
        for ask in asks:
            if ask.prompt.text not in ids:
                ids[ask.prompt.text] = self.tokenizer(ask.prompt.text)["input_ids"]
        return [Request(prompt_ids=ids[ask.prompt.text], prompt=ask.number, sample=ask.sample) for ask in asks]


def _within(sampling: Sampling, limit: int | None) -> Sampling:
    """Return the sampling with a limit the model can reach: the engine plans a batch's memory by it."""
    if limit is None or sampling.max_completion_tokens <= limit:
        return sampling
    return dataclasses.replace(sampling, max_completion_tokens=limit)
