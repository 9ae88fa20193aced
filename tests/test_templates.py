r"""What each family's chat template writes for the model, and what the form verifiers make of its completions.

The templates under fixtures/ are short re-creations in the manner of each family, not copies of its texts: what they
keep is where turns begin and end, what happens to a system turn, and what stands before the model's first word.
"""

from pathlib import Path
from typing import Any

import pytest

from reasoning_grpo.data import get_style, render
from reasoning_grpo.data.templates import TemplateOnly, read_template
from reasoning_grpo.errors import ModelError
from reasoning_grpo.rewards import accuracy, format_graded, format_strict
from reasoning_grpo.schema import AnswerForm, AnswerFormat, Completion, Problem

FOLDER = Path(__file__).parent / "fixtures" / "templates"
PROBLEM = Problem(id="p", question="6 x 7?", answer="42")
OPEN, NOTHING, CLOSED = "opens a thought", "nothing", "opens and closes a thought"
# Family, options of its template -> what the template writes for the model.
PREFILLS: list[tuple[str, dict[str, Any], str]] = [
    ("r1-distill", {}, OPEN),
    ("deepseek-chat", {}, CLOSED),
    ("deepseek-chat", {"thinking": True}, OPEN),
    ("qwen2.5", {}, NOTHING),
    ("qwen3", {}, NOTHING),
    ("qwen3", {"enable_thinking": True}, NOTHING),
    ("qwen3", {"enable_thinking": False}, CLOSED),
    ("qwen3-thinking", {}, OPEN),
    ("qwq", {}, OPEN),
    ("phi-reasoning", {}, NOTHING),
    ("smollm3", {}, NOTHING),
    ("smollm3", {"enable_thinking": False}, CLOSED),
    ("gpt-oss", {}, NOTHING),
    ("llama-3", {}, NOTHING),
    ("gemma", {}, NOTHING),
    ("mistral", {}, NOTHING),
    ("magistral", {}, NOTHING),
    ("olmo-2", {}, NOTHING),
    ("olmo-3-think", {}, OPEN),
    ("glm-4.5", {}, NOTHING),
    ("glm-4.5", {"enable_thinking": False}, CLOSED),
    ("exaone-deep", {}, NOTHING),  # it opens `<thought>`, a tag that is none here
]
IDS = [f"{family} {options}" if options else family for family, options, _ in PREFILLS]


def template(family: str) -> TemplateOnly:
    return read_template(FOLDER / f"{family}.jinja")


def test_every_recorded_template_is_in_the_table() -> None:
    assert {path.stem for path in FOLDER.glob("*.jinja")} == {family for family, _, _ in PREFILLS}


@pytest.mark.parametrize(("family", "options", "wrote"), PREFILLS, ids=IDS)
@pytest.mark.parametrize("style", ["chat-tags", "chat-boxed", "chat-hash"])
def test_the_answer_format_knows_what_the_template_wrote(
    style: str, family: str, options: dict[str, Any], wrote: str
) -> None:
    prompt = render(get_style(style), PROBLEM.question, template(family), template_kwargs=options)
    asked = get_style(style)
    expected = {
        OPEN: AnswerFormat(form=asked.form, think=True, think_prefilled=True),
        CLOSED: AnswerFormat(form=asked.form),
        NOTHING: AnswerFormat(form=asked.form, think=asked.think),
    }[wrote]
    assert prompt.answer_format == expected
    assert bool(prompt.prefill) == (wrote == OPEN)
    assert prompt.text.endswith(prompt.prefill)


@pytest.mark.parametrize(("family", "options", "wrote"), PREFILLS, ids=IDS)
@pytest.mark.parametrize("format_verifier", [format_strict, format_graded])
def test_the_completion_of_each_family_earns_its_form_in_full(
    format_verifier: Any, family: str, options: dict[str, Any], wrote: str
) -> None:
    prompt = render(get_style("chat-tags"), PROBLEM.question, template(family), template_kwargs=options)
    generated = {
        OPEN: "Six sevens.\n</think>\n<answer>42</answer>",
        CLOSED: "Six sevens are <answer>42</answer>",
        NOTHING: "<think>Six sevens.</think>\n<answer>42</answer>",
    }[wrote]
    for text in {prompt.prefill + generated, generated}:  # with the prefill put back, and as a stock TRL reward sees it
        assert format_verifier(Completion(text=text), PROBLEM, answer_format=prompt.answer_format).passed


@pytest.mark.parametrize(("family", "options", "wrote"), PREFILLS, ids=IDS)
def test_an_empty_thought_earns_no_family_its_form(family: str, options: dict[str, Any], wrote: str) -> None:
    prompt = render(get_style("chat-tags"), PROBLEM.question, template(family), template_kwargs=options)
    if prompt.answer_format.think:
        text = prompt.prefill + ("</think>" if wrote == OPEN else "<think></think>") + "<answer>42</answer>"
        assert not format_strict(Completion(text=text), PROBLEM, answer_format=prompt.answer_format).passed


OTHER_MARKERS = {
    # What is left of gpt-oss's channels when special tokens are dropped, and Magistral's own tags.
    "gpt-oss": r"analysisSix sevens make 42.assistantfinalThe answer is \boxed{42}.",
    "gpt-oss with its channel marks": (
        r"<|channel|>analysis<|message|>Perhaps \boxed{41}.<|end|>"
        r"<|start|>assistant<|channel|>final<|message|>The answer is \boxed{42}."
    ),
    "magistral": r"[THINK]Perhaps \boxed{41}? No.[/THINK]The answer is \boxed{42}.",
    "exaone-deep": "Six sevens.\n</thought>\n\nThe answer is \\boxed{42}.",
}


@pytest.mark.parametrize("family", OTHER_MARKERS)
def test_thoughts_between_other_markers_are_visible_text_whose_last_box_counts(family: str) -> None:
    completion = Completion(text=OTHER_MARKERS[family])
    assert accuracy(completion, PROBLEM).passed
    asked = AnswerFormat(form=AnswerForm.BOXED, think=True)
    verdict = format_strict(completion, PROBLEM, answer_format=asked)
    assert verdict.detail.startswith("no closed, filled thought")


def test_an_answer_only_inside_another_familys_thought_is_still_read() -> None:
    # The price of that: with `<think>` this would be no answer.
    text = r"[THINK]It must be \boxed{42}[/THINK] I am done."
    assert accuracy(Completion(text=text), PROBLEM).passed


@pytest.mark.parametrize("family", ["gemma", "mistral"])
def test_a_template_that_takes_no_system_turn_still_gets_the_instructions(family: str) -> None:
    text = render(get_style("chat-tags"), PROBLEM.question, template(family)).text
    assert "between <answer> and </answer>" in text


def test_a_model_folder_without_a_template_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="has no chat template"):
        read_template(tmp_path)
    with pytest.raises(ModelError, match="cannot be read"):
        read_template(tmp_path / "none.jinja")


def test_a_model_folders_template_is_found_in_either_place(tmp_path: Path) -> None:
    (tmp_path / "tokenizer_config.json").write_text('{"chat_template": "old"}')
    assert read_template(tmp_path).chat_template == "old"
    (tmp_path / "chat_template.jinja").write_text("new")
    assert read_template(tmp_path).chat_template == "new"
