r"""How a model is asked: named prompt styles, and what the rendered prompt already says for the model.

A style is data. `render` turns it and a question into the text to tokenize, and finds out what the model's own chat
template adds: an opening `<think>` (R1-distilled models, QwQ, Qwen3-Thinking) means that the model never writes the
tag, a thought opened and closed (Qwen3 with thinking off) means that it is not asked to think. A format reward that is
not told scores every completion 0.

Left out: few-shot prompts, multi-turn prompts, tools, and thoughts between other tags than `<think>`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from reasoning_grpo.errors import ModelError, RecipeError, did_you_mean
from reasoning_grpo.schema import AnswerForm, AnswerFormat

_OPEN_THOUGHT = re.compile(r"<think>\s*\Z")
_CLOSED_THOUGHT = re.compile(r"</think>\s*\Z")  # DeepSeek-V3.1 writes the closing tag alone
_STAND_IN = "(the question stands here)"


class Tokenizer(Protocol):
    """What `render` uses of a transformers tokenizer."""

    chat_template: Any
    bos_token: Any
    bos_token_id: Any

    def __call__(self, text: str, /) -> Any:
        """Return a mapping whose `input_ids` are the tokens of `text`, special tokens added."""

    def apply_chat_template(
        self, conversation: Any, /, *, tokenize: bool, add_generation_prompt: bool, **kw: Any
    ) -> Any:
        """Return the conversation as text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptStyle:
    """One way to ask.

    `form` and `think` say what the words ask for. `{question}` in `user` stands for the question. `prefill` is written
    for the model, at the end of the prompt; a chat template that already does so is not followed by it again.
    `asks` and `models` are for the list of styles.
    """

    name: str
    asks: str
    models: str
    form: AnswerForm
    user: str
    think: bool = False
    system: str | None = None
    prefill: str = ""
    uses_chat_template: bool = False

    def __post_init__(self) -> None:
        if "{question}" not in self.user:
            raise RecipeError(f"prompt style {self.name!r} has no `{{question}}` in its user text {self.user!r}")
        if self.system is not None and not self.uses_chat_template:
            raise RecipeError(f"prompt style {self.name!r} has a system text but no chat template to put it in")
        if _OPEN_THOUGHT.search(self.prefill) and not self.think:
            raise RecipeError(f"prompt style {self.name!r} opens a thought it does not ask for; set `think`")


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedPrompt:
    """A prompt to tokenize with `tokenizer(text)`, special tokens added.

    `prefill` is the end of `text` that belongs to the model's answer: put it in front of what the model generates.
    """

    text: str
    answer_format: AnswerFormat
    prefill: str


_TAGS_SYSTEM = (
    "You solve problems. First think the problem through step by step between <think> and </think>. "
    "Then write the final answer alone, without explanation, between <answer> and </answer>:\n"
    "<think>your reasoning</think>\n<answer>the final answer</answer>"
)
_BOXED_ASK = "{question}\n\nReason step by step, and put your final answer within \\boxed{}."
_HASH_ASK = "{question}\n\nReason step by step, and end with the final answer alone on a line of its own: #### answer"
# After Table 1 of https://arxiv.org/abs/2501.12948, reworded.
_R1_ZERO_USER = (
    "A conversation between User and Assistant. The User asks a question, and the Assistant solves it. The Assistant "
    "first thinks the reasoning through in its mind and then gives the User the answer. The reasoning is enclosed in "
    "<think> </think> tags and the final answer in <answer> </answer> tags, like this: <think> reasoning here </think> "
    "<answer> final answer here </answer>.\nUser: {question}\nAssistant: "
)

_BUILT_IN = (
    PromptStyle(
        name="r1-zero",
        asks="a thought and an <answer>, as DeepSeek-R1-Zero was asked; the prompt opens the thought",
        models="base models",
        form=AnswerForm.TAGS,
        think=True,
        user=_R1_ZERO_USER,
        prefill="<think>",
    ),
    PromptStyle(
        name="chat-tags",
        asks="a thought and an <answer>",
        models="instruct models",
        form=AnswerForm.TAGS,
        think=True,
        system=_TAGS_SYSTEM,
        user="{question}",
        uses_chat_template=True,
    ),
    PromptStyle(
        name="chat-boxed",
        asks="steps and a \\boxed{} answer",
        models="instruct models",
        form=AnswerForm.BOXED,
        user=_BOXED_ASK,
        uses_chat_template=True,
    ),
    PromptStyle(
        name="chat-think-boxed",
        asks="a thought, opened by the prompt, and a \\boxed{} answer",
        models="R1-distilled and other models that think in <think> tags",
        form=AnswerForm.BOXED,
        think=True,
        user=_BOXED_ASK,
        prefill="<think>\n",
        uses_chat_template=True,
    ),
    PromptStyle(
        name="chat-hash",
        asks="steps and a last line `#### answer`, as GSM8K writes it",
        models="instruct models",
        form=AnswerForm.HASH,
        user=_HASH_ASK,
        uses_chat_template=True,
    ),
    PromptStyle(
        name="qa-boxed",
        asks="steps and a \\boxed{} answer",
        models="base models too small for r1-zero",
        form=AnswerForm.BOXED,
        user="Question: {question}\nPut the final answer in \\boxed{}.\nAnswer: Let's think step by step.",
    ),
    PromptStyle(
        name="bare-tags",
        asks="nothing in words, expects a thought and an <answer>",
        models="models already taught this form, such as the demonstration's",
        form=AnswerForm.TAGS,
        think=True,
        user="{question}\n",
    ),
    PromptStyle(
        name="plain",
        asks="nothing: the question alone",
        models="any",
        form=AnswerForm.PLAIN,
        user="{question}",
    ),
)
STYLES: Mapping[str, PromptStyle] = {style.name: style for style in _BUILT_IN}


def get_style(name: str) -> PromptStyle:
    """Return the built-in style called `name`.

    Raises:
        RecipeError: There is none.
    """
    if name not in STYLES:
        raise RecipeError(f"unknown prompt style {name!r}{did_you_mean(name, STYLES)}")
    return STYLES[name]


def render(
    style: PromptStyle,
    question: str,
    tokenizer: Tokenizer | None = None,
    *,
    template_kwargs: Mapping[str, Any] | None = None,
) -> RenderedPrompt:
    """Return the prompt for one question.

    Args:
        style: How to ask.
        question: Any text; braces in it mean nothing.
        tokenizer: Needed by chat styles; others use it only to leave out a doubled BOS.
        template_kwargs: Passed to the chat template, such as `{"enable_thinking": False}`.

    Raises:
        ModelError: The style is a chat style, and there is no chat template.
    """
    user = style.user.replace("{question}", question)
    if not style.uses_chat_template:
        return _finish(style, user, tail="", tokenizer=tokenizer)
    template = _with_template(style, tokenizer)
    text = _chat_text(style, user, template, template_kwargs or {})
    tail = ""
    if text.rstrip().endswith(("<think>", "</think>")):
        # The template's doing, or the question's own last word: a question known not to end so tells.
        tail = _chat_text(style, _STAND_IN, template, template_kwargs or {}).rpartition(_STAND_IN)[2]
    return _finish(style, text, tail=tail, tokenizer=tokenizer)


def messages(style: PromptStyle, question: str) -> list[dict[str, str]]:
    """Return the turns of a chat, for a server that has the chat template itself.

    Raises:
        RecipeError: The style writes the beginning of the answer itself, outside any template, which turns cannot.
    """
    if style.prefill and not style.uses_chat_template:
        raise RecipeError(
            f"prompt style `{style.name}` begins the answer for the model, which messages of a chat cannot; "
            "use a chat style, or the server's completions endpoint"
        )
    user = _turn("user", style.user.replace("{question}", question))
    return [user] if style.system is None else [_turn("system", style.system), user]


def _finish(style: PromptStyle, text: str, *, tail: str, tokenizer: Tokenizer | None) -> RenderedPrompt:
    """Add the style's prefill where `tail`, what the template wrote after the user's turn, has none."""
    if _CLOSED_THOUGHT.search(tail):
        answer_format, prefill = AnswerFormat(form=style.form), ""
    elif opened := _OPEN_THOUGHT.search(tail):
        answer_format, prefill = AnswerFormat(form=style.form, think=True, think_prefilled=True), opened.group()
    else:
        text += style.prefill
        is_open = _OPEN_THOUGHT.search(style.prefill) is not None
        answer_format = AnswerFormat(form=style.form, think=style.think, think_prefilled=is_open)
        prefill = style.prefill
    return RenderedPrompt(text=_without_doubled_bos(text, tokenizer), answer_format=answer_format, prefill=prefill)


def _with_template(style: PromptStyle, tokenizer: Tokenizer | None) -> Tokenizer:
    if tokenizer is not None and tokenizer.chat_template:
        return tokenizer
    base_styles = ", ".join(f"`{name}`" for name, other in STYLES.items() if not other.uses_chat_template)
    missing = "no tokenizer was given" if tokenizer is None else "the model's tokenizer has none"
    raise ModelError(
        f"prompt style `{style.name}` needs a chat template, and {missing}; "
        f"use an instruct model, or a style for base models ({base_styles})"
    )


def _chat_text(style: PromptStyle, user: str, tokenizer: Tokenizer, template_kwargs: Mapping[str, Any]) -> str:
    from jinja2 import TemplateError  # transformers brings it wherever chat templates work

    if style.system is None:
        return _apply(tokenizer, [_turn("user", user)], template_kwargs)
    try:
        text = _apply(tokenizer, [_turn("system", style.system), _turn("user", user)], template_kwargs)
    except TemplateError:  # Gemma's template raises on a system turn
        text = ""
    if style.system.strip() in text:
        return text
    # Refused, or dropped in silence as some templates do: the instructions open the user's turn instead.
    return _apply(tokenizer, [_turn("user", f"{style.system}\n\n{user}")], template_kwargs)


def _turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def _apply(tokenizer: Tokenizer, turns: Sequence[Mapping[str, str]], template_kwargs: Mapping[str, Any]) -> str:
    return str(
        tokenizer.apply_chat_template(list(turns), tokenize=False, add_generation_prompt=True, **template_kwargs)
    )


def _without_doubled_bos(text: str, tokenizer: Tokenizer | None) -> str:
    """Llama-3's template writes the BOS that its tokenizer adds as well; a doubled BOS costs accuracy."""
    bos = getattr(tokenizer, "bos_token", None)
    if tokenizer is None or not bos or not text.startswith(bos):
        return text
    is_doubled = list(tokenizer(text)["input_ids"][:2]) == [tokenizer.bos_token_id] * 2
    return text.removeprefix(bos) if is_doubled else text
