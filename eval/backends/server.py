"""A model behind a server that speaks OpenAI's protocol: vLLM, SGLang, llama.cpp, `transformers serve`, a paid one.

One request per sample, each with a seed of its own: a server that keeps to seeds then gives the same samples whether 8
or 32 are asked for, and the prompt they share is in its cache. Nothing is sent anywhere but to the address named.

At the chat endpoint the server renders the prompt; what was sent is written down as JSON. A thought that the server
hands over apart (`reasoning_content`), or whose opening tag its template wrote, is put back in front of the answer.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from enum import StrEnum
from typing import Any

from reasoning_grpo.data.prompts import PromptStyle, RenderedPrompt, Tokenizer, messages, render
from reasoning_grpo.errors import RunError
from reasoning_grpo.eval.backends import Ask, cut_at_stop, own_seed, put_back
from reasoning_grpo.eval.backends.transport import Transport
from reasoning_grpo.eval.background import in_background
from reasoning_grpo.eval.settings import Settings
from reasoning_grpo.schema import AnswerFormat, Completion


class Endpoint(StrEnum):
    """Which of the protocol's two ways to ask."""

    CHAT = "chat"
    COMPLETIONS = "completions"


class ServerBackend:
    """Answers with whatever the server has under the model's name."""

    def __init__(
        self,
        transport: Transport,
        model: str,
        style: PromptStyle,
        settings: Settings,
        *,
        endpoint: Endpoint = Endpoint.CHAT,
        tokenizer: Tokenizer | None = None,
        concurrency: int = 16,
    ) -> None:
        self.transport, self.model = transport, model
        self.style, self.settings = style, settings
        self.endpoint, self.tokenizer, self.concurrency = endpoint, tokenizer, concurrency

    def render(self, question: str) -> RenderedPrompt:
        """Return the text of a completions request, or the messages of a chat as JSON."""
        if self.endpoint is Endpoint.COMPLETIONS:
            return render(self.style, question, self.tokenizer)
        text = json.dumps(messages(self.style, question), ensure_ascii=False)
        return RenderedPrompt(
            text=text, answer_format=AnswerFormat(form=self.style.form, think=self.style.think), prefill=""
        )

    def check(self, prompts: Sequence[RenderedPrompt]) -> None:
        """See whether a server is there."""
        self.transport.check()

    def complete(self, asks: Sequence[Ask]) -> Iterator[tuple[int, Completion]]:
        """Yield completions as they arrive, `concurrency` requests at a time."""
        remaining = iter(range(len(asks)))
        pending: dict[Future[Completion], int] = {}
        try:
            while True:
                while len(pending) < self.concurrency and (index := next(remaining, None)) is not None:
                    pending[in_background(self._answer, asks[index])] = index
                if not pending:
                    return
                done, _ = wait(pending, return_when=FIRST_COMPLETED)
                # What arrived beside a failure is kept before the failure ends the run.
                for future in sorted(done, key=lambda future: future.exception() is not None):
                    yield pending.pop(future), future.result()
        finally:
            if pending:
                self.transport.close()

    def _answer(self, ask: Ask) -> Completion:
        answer = self.transport.post(*self._request(ask))
        try:
            choice = answer["choices"][0]
            text = _chat_text(choice["message"]) if self.endpoint is Endpoint.CHAT else choice["text"]
            completion = Completion(
                text=text, num_tokens=_num_tokens(answer), truncated=choice.get("finish_reason") == "length"
            )
            return put_back(ask.prompt.prefill, cut_at_stop(completion, self.settings.stop))
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise RunError(
                f"the server at {self.transport.base_url} answered in a form that is not OpenAI's "
                f"({type(error).__name__}: {error}); look at `--endpoint` and `--base-url`"
            ) from error

    def _request(self, ask: Ask) -> tuple[str, dict[str, Any]]:
        settings = self.settings
        body: dict[str, Any] = {
            "model": self.model,
            "temperature": settings.temperature,
            "max_tokens": settings.max_completion_tokens,
        }
        # What has its neutral value stays out: not every server takes every key.
        if settings.temperature > 0:
            body |= {"seed": own_seed(settings.seed, ask)}
        if settings.top_p < 1:
            body |= {"top_p": settings.top_p}
        if settings.top_k:
            body |= {"top_k": settings.top_k}
        if settings.min_p is not None:
            body |= {"min_p": settings.min_p}
        if settings.stop:
            body |= {"stop": list(settings.stop)}
        if self.endpoint is Endpoint.CHAT:
            return "/chat/completions", {**body, "messages": json.loads(ask.prompt.text)}
        return "/completions", {**body, "prompt": ask.prompt.text}


def _chat_text(message: Mapping[str, Any]) -> str:
    content = message.get("content") or ""
    if not isinstance(content, str):
        raise TypeError(f"a message of {type(content).__name__}")
    thought = message.get("reasoning_content") or message.get("reasoning")
    if isinstance(thought, str):
        return f"<think>{thought}</think>{content}"
    return f"<think>{content}" if "</think>" in content and "<think>" not in content else content


def _num_tokens(answer: Mapping[str, Any]) -> int | None:
    usage = answer.get("usage")
    count = usage.get("completion_tokens") if isinstance(usage, Mapping) else None
    return count if isinstance(count, int) and count >= 0 else None
