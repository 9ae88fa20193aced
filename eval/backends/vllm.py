"""A model driven by vLLM (https://docs.vllm.ai), where that is installed; it is no dependency and no extra of ours.

Prompts go in as token ids, so that every backend reads the same ones. Answers come out in blocks of `BLOCK`, so that a
run that dies keeps what it had.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from transformers import PreTrainedTokenizerBase

from reasoning_grpo.data.prompts import PromptStyle, RenderedPrompt, render
from reasoning_grpo.errors import ModelError, UserError
from reasoning_grpo.eval.backends import Ask, own_seed, put_back
from reasoning_grpo.eval.settings import Settings
from reasoning_grpo.schema import Completion

BLOCK = 512


class VllmBackend:
    """Answers with a model that vLLM loads."""

    def __init__(
        self,
        model: str,
        tokenizer: PreTrainedTokenizerBase,
        style: PromptStyle,
        settings: Settings,
        *,
        revision: str | None = None,
        dtype: str = "auto",
    ) -> None:
        try:
            import vllm
        except ImportError:
            raise ModelError(
                "`--backend vllm` needs vLLM, which is not installed here; `pip install vllm` on a machine with a GPU, "
                "or leave `--backend` out"
            ) from None
        self._vllm = vllm
        self.tokenizer, self.style, self.settings = tokenizer, style, settings
        self.engine = vllm.LLM(model=model, revision=revision, dtype=dtype, seed=settings.seed)

    def render(self, question: str) -> RenderedPrompt:
        """Return the prompt, in the model's own chat template where the style uses one."""
        return render(self.style, question, self.tokenizer)

    def check(self, prompts: Sequence[RenderedPrompt]) -> None:
        """Refuse a prompt that leaves the model no room to answer."""
        limit = self.engine.llm_engine.model_config.max_model_len
        for number, prompt in enumerate(prompts, start=1):
            length = len(self.tokenizer(prompt.text)["input_ids"])
            if length >= limit:
                raise UserError(
                    f"problem {number} of the suite has a prompt of {length} tokens and vLLM's context holds {limit}; "
                    "drop the problem or use a model with a longer context"
                )

    def complete(self, asks: Sequence[Ask]) -> Iterator[tuple[int, Completion]]:
        """Yield completions with what the prompt prefilled put back in front."""
        for start in range(0, len(asks), BLOCK):
            block = asks[start : start + BLOCK]
            prompts = [{"prompt_token_ids": self.tokenizer(ask.prompt.text)["input_ids"]} for ask in block]
            outputs = self.engine.generate(prompts, [self._parameters(ask) for ask in block], use_tqdm=False)
            for offset, output in enumerate(outputs):
                yield start + offset, put_back(block[offset].prompt.prefill, _completion(output.outputs[0]))

    def _parameters(self, ask: Ask) -> Any:
        settings = self.settings
        return self._vllm.SamplingParams(
            temperature=settings.temperature,
            top_p=settings.top_p,
            top_k=settings.top_k,
            min_p=settings.min_p or 0.0,
            max_tokens=settings.max_completion_tokens,
            stop=list(settings.stop),
            seed=own_seed(settings.seed, ask) if settings.temperature > 0 else None,
        )


def _completion(output: Any) -> Completion:
    return Completion(text=output.text, num_tokens=len(output.token_ids), truncated=output.finish_reason == "length")
