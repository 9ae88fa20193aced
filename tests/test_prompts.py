"""Prompts, with chat templates in the manner of several model families (written for these tests, much shortened)."""

from typing import Any

import pytest

from reasoning_grpo.cli import main
from reasoning_grpo.data import STYLES, PromptStyle, get_style, render
from reasoning_grpo.errors import ModelError, RecipeError
from reasoning_grpo.schema import AnswerForm, AnswerFormat

# Every message in <|im_start|>role … <|im_end|>, then an open assistant turn: the Qwen family.
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
CHATML_THINKING = CHATML.replace("assistant\n{% endif %}", "assistant\n<think>\n{% endif %}")
CHATML_SWITCH = CHATML.replace(
    "assistant\n{% endif %}",
    "assistant\n{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% endif %}"
    "{% endif %}",
)
LLAMA3 = (
    "{% for m in messages %}{% if loop.first %}{{ bos_token }}{% endif %}"
    "<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n{{ m.content | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
GEMMA = (
    "{{ bos_token }}{% for m in messages %}"
    "{% if m.role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "<start_of_turn>{{ m.role }}\n{{ m.content | trim }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
DROPS_SYSTEM = "{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]{% endif %}{% endfor %}"
R1_DISTILL = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}<|User|>{{ m.content }}"
    "{% else %}{{ m.content }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|Assistant|><think>\n{% endif %}"
)
QUESTION = "What is $\\frac{1}{2} + {1}$?"


def _tokenizer(template: str | None, *, adds_bos: bool = False) -> Any:
    """A word-level tokenizer, as small as transformers allows, with the chat template."""
    tokenizers = pytest.importorskip("tokenizers")
    transformers = pytest.importorskip("transformers")
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel({"<unk>": 0, "<bos>": 1}, unk_token="<unk>"))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    if adds_bos:
        backend.post_processor = tokenizers.processors.TemplateProcessing(
            single="<bos> $A", special_tokens=[("<bos>", 1)]
        )
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>", bos_token="<bos>")
    tokenizer.chat_template = template
    return tokenizer


@pytest.mark.parametrize("name", STYLES)
def test_a_question_with_braces_survives_the_template(name: str) -> None:
    assert QUESTION in render(STYLES[name], QUESTION, _tokenizer(CHATML)).text


def test_a_question_that_holds_the_placeholder_is_not_filled_again() -> None:
    assert render(get_style("bare-tags"), "{question}{0}%s").text == "{question}{0}%s\n"


def test_bare_tags_is_the_question_and_a_line_end() -> None:
    prompt = render(get_style("bare-tags"), "1 + 1?")
    assert (prompt.text, prompt.prefill) == ("1 + 1?\n", "")
    assert prompt.answer_format == AnswerFormat(form=AnswerForm.TAGS, think=True)


def test_plain_is_the_question_alone() -> None:
    prompt = render(get_style("plain"), "1 + 1?")
    assert (prompt.text, prompt.prefill, prompt.answer_format) == ("1 + 1?", "", AnswerFormat())


def test_r1_zero_ends_with_an_open_thought_that_belongs_to_the_answer() -> None:
    prompt = render(get_style("r1-zero"), "1 + 1?")
    assert prompt.text.endswith("\nUser: 1 + 1?\nAssistant: <think>")
    assert prompt.prefill == "<think>"
    assert prompt.answer_format == AnswerFormat(form=AnswerForm.TAGS, think=True, think_prefilled=True)


def test_qa_boxed_needs_no_chat_template() -> None:
    prompt = render(get_style("qa-boxed"), "1 + 1?", _tokenizer(None))
    assert prompt.text.startswith("Question: 1 + 1?\n")
    assert prompt.answer_format == AnswerFormat(form=AnswerForm.BOXED)


@pytest.mark.parametrize(
    ("name", "words", "answer_format"),
    [
        ("chat-tags", ("<think>", "</answer>"), AnswerFormat(form=AnswerForm.TAGS, think=True)),
        ("chat-boxed", ("\\boxed{}",), AnswerFormat(form=AnswerForm.BOXED)),
        ("chat-hash", ("####",), AnswerFormat(form=AnswerForm.HASH)),
    ],
)
def test_a_chat_style_says_what_its_answer_format_expects(
    name: str, words: tuple[str, ...], answer_format: AnswerFormat
) -> None:
    prompt = render(get_style(name), "1 + 1?", _tokenizer(CHATML))
    assert all(word in prompt.text for word in words)
    assert prompt.text.endswith("<|im_end|>\n<|im_start|>assistant\n")
    assert (prompt.answer_format, prompt.prefill) == (answer_format, "")


def test_the_system_text_is_a_turn_of_its_own_where_the_template_has_one() -> None:
    text = render(get_style("chat-tags"), "1 + 1?", _tokenizer(CHATML)).text
    assert text.startswith(f"<|im_start|>system\n{get_style('chat-tags').system}<|im_end|>\n")
    assert "<|im_start|>user\n1 + 1?<|im_end|>" in text


@pytest.mark.parametrize("template", [GEMMA, DROPS_SYSTEM], ids=["refuses", "drops in silence"])
def test_a_template_without_a_system_turn_gets_the_instructions_in_the_user_turn(template: str) -> None:
    text = render(get_style("chat-tags"), "1 + 1?", _tokenizer(template)).text
    assert f"{get_style('chat-tags').system}\n\n1 + 1?" in text


@pytest.mark.parametrize("template", [CHATML_THINKING, R1_DISTILL], ids=["Qwen3-Thinking", "R1-distill"])
@pytest.mark.parametrize("name", ["chat-tags", "chat-boxed", "chat-think-boxed"])
def test_a_thought_opened_by_the_template_is_asked_for_and_put_back(name: str, template: str) -> None:
    prompt = render(get_style(name), "1 + 1?", _tokenizer(template))
    assert prompt.prefill == "<think>\n"
    assert prompt.text.endswith("<think>\n")
    assert not prompt.text.endswith("<think>\n<think>\n")
    assert prompt.answer_format == AnswerFormat(form=get_style(name).form, think=True, think_prefilled=True)


@pytest.mark.parametrize("name", ["chat-tags", "chat-boxed", "chat-think-boxed"])
def test_a_thought_opened_and_closed_by_the_template_is_not_asked_of_the_model(name: str) -> None:
    options = {"enable_thinking": False}
    prompt = render(get_style(name), "1 + 1?", _tokenizer(CHATML_SWITCH), template_kwargs=options)
    assert prompt.text.endswith("<|im_start|>assistant\n<think>\n\n</think>\n\n")
    assert (prompt.answer_format, prompt.prefill) == (AnswerFormat(form=get_style(name).form), "")


@pytest.mark.parametrize("question", ["", " ", "think", "n", "<think>"])
def test_a_thought_opened_by_the_template_is_seen_whatever_the_question_is(question: str) -> None:
    # The words of these questions stand in the template's own last tag as well.
    prompt = render(get_style("chat-tags"), question, _tokenizer(R1_DISTILL))
    assert (prompt.prefill, prompt.answer_format.think_prefilled) == ("<think>\n", True)


def test_a_thinking_style_opens_the_thought_where_the_template_does_not() -> None:
    prompt = render(get_style("chat-think-boxed"), "1 + 1?", _tokenizer(CHATML))
    assert prompt.text.endswith("<|im_start|>assistant\n<think>\n")
    assert prompt.prefill == "<think>\n"
    assert prompt.answer_format == AnswerFormat(form=AnswerForm.BOXED, think=True, think_prefilled=True)


@pytest.mark.parametrize("question", ["What does this open? <think>", "And this? <think></think>"])
@pytest.mark.parametrize("name", ["plain", "in-chat"])
def test_tags_in_the_question_are_not_taken_for_a_prefill(name: str, question: str) -> None:
    in_chat = PromptStyle(
        name="in-chat", asks="", models="", form=AnswerForm.PLAIN, user="{question}", uses_chat_template=True
    )
    style = {"plain": get_style("plain"), "in-chat": in_chat}[name]
    bare_turns = "{% for m in messages %}{{ m.content }}{% endfor %}"  # a template without an assistant header
    prompt = render(style, question, _tokenizer(bare_turns))
    assert (prompt.text, prompt.prefill, prompt.answer_format) == (question, "", AnswerFormat())


@pytest.mark.parametrize("template", [LLAMA3, GEMMA, R1_DISTILL], ids=["Llama-3", "Gemma", "R1-distill"])
def test_a_bos_that_the_tokenizer_adds_again_is_left_out(template: str) -> None:
    tokenizer = _tokenizer(template, adds_bos=True)
    text = render(get_style("chat-boxed"), "1 + 1?", tokenizer).text
    assert not text.startswith("<bos>")
    ids = tokenizer(text)["input_ids"]
    assert ids[0] == tokenizer.bos_token_id
    assert ids.count(tokenizer.bos_token_id) == 1


def test_a_bos_that_the_tokenizer_does_not_add_stays() -> None:
    tokenizer = _tokenizer(LLAMA3)
    text = render(get_style("chat-boxed"), "1 + 1?", tokenizer).text
    assert text.startswith("<bos><|start_header_id|>user")
    assert tokenizer(text)["input_ids"].count(tokenizer.bos_token_id) == 1


@pytest.mark.parametrize("tokenizer", [None, "without a template"])
def test_a_chat_style_without_a_chat_template_names_the_styles_for_base_models(tokenizer: str | None) -> None:
    with pytest.raises(ModelError, match=r"`chat-boxed` needs a chat template.*`r1-zero`, `qa-boxed`, `bare-tags`"):
        render(get_style("chat-boxed"), "1 + 1?", _tokenizer(None) if tokenizer else None)


def test_an_error_in_the_template_that_is_not_about_the_system_turn_is_not_hidden() -> None:
    from jinja2 import TemplateError

    with pytest.raises(TemplateError, match="broken"):
        render(get_style("chat-tags"), "1 + 1?", _tokenizer("{{ raise_exception('broken') }}"))


def test_an_unknown_style_names_the_close_one() -> None:
    with pytest.raises(RecipeError, match=r"unknown prompt style 'chat-boxd'; did you mean 'chat-boxed'\?"):
        get_style("chat-boxd")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"user": "no question"}, "has no `{question}`"),
        ({"system": "Be brief."}, "no chat template to put it in"),
        ({"prefill": "<think>\n"}, "opens a thought it does not ask for"),
    ],
)
def test_a_style_that_contradicts_itself_is_a_recipe_error(changes: dict[str, str], message: str) -> None:
    fields: dict[str, Any] = {"name": "mine", "asks": "", "models": "", "form": AnswerForm.BOXED, "user": "{question}"}
    with pytest.raises(RecipeError, match=message):
        PromptStyle(**{**fields, **changes})


def test_every_style_is_described_on_a_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["styles"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(STYLES)
    assert "for base models" in lines[0]
