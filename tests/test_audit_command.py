"""`reasoning-grpo audit` as a person and a CI job meet it: exit codes, files, one sentence per mistake."""

import json
from pathlib import Path
from typing import Any

import pytest

from reasoning_grpo.cli import main
from reasoning_grpo.data import DataSource, load_problems

FIXTURES = Path(__file__).parent / "fixtures"
BROKEN = FIXTURES / "broken_rewards.py"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data.jsonl"
    golds = ["72", "18", r"\frac{1}{2}", r"\approx 3", ""]
    rows = [
        {"id": f"p{i}", "question": f"How many trees stand in row {'abcde'[i]}?", "answer": g}
        for i, g in enumerate(golds)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def audit(*args: Any) -> int:
    return main(["audit", *map(str, args)])


def test_a_fit_reward_exits_with_0_and_writes_its_figures(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "audit.json"
    assert audit("--verifier", "accuracy", "--data", data, "--json", out) == 0
    record = json.loads(out.read_text())
    assert record["fit"] is True
    assert (record["num_golds"], record["golds_accepted"], record["golds_empty"]) == (4, 4, 1)
    assert record["mutants_accepted"] == record["preserving_rejected"] == 0
    assert record["num_mutants"] > 40
    assert record["seconds"] >= 0
    assert record["troubles"] == {"p3": "ambiguous"}


def test_an_unfit_reward_exits_with_1_and_names_the_mistake(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reference = f"{BROKEN}:last_side"
    assert audit("--verifier", reference, "--data", data, "--prompt", "qa-boxed", "--limit", 2) == 1
    text = capsys.readouterr().out
    assert "NOT FIT" in text
    assert "[changed_accepted:chained equality]" in text


def test_the_cleaned_file_reads_back_without_the_golds_in_trouble(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "cleaned.jsonl"
    assert audit("--verifier", "accuracy", "--data", data, "--cleaned", out) == 0
    problems = load_problems(DataSource(name=str(out))).problems
    assert [problem.id for problem in problems] == ["p0", "p1", "p2"]


def recipe(tmp_path: Path, data: Path, rewards: str) -> Path:
    path = tmp_path / "recipe.toml"
    path.write_text(f'[model]\nname = "org/model"\n[data]\nname = "{data}"\n[prompt]\nstyle = "chat-tags"\n{rewards}')
    return path


def test_a_recipe_is_audited_term_by_term(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    terms = '[[rewards]]\nname = "right"\nverifier = "accuracy"\n[[rewards]]\nname = "form"\nverifier = "format"\n'
    out = tmp_path / "audit.json"
    assert audit(recipe(tmp_path, data, terms), "--json", out) == 0
    assert "no chat template was read" in capsys.readouterr().out
    record = json.loads(out.read_text())
    assert {name: term["role"] for name, term in record["terms"].items()} == {"right": "accuracy", "form": "form"}


def test_a_term_that_pays_for_shells_makes_a_recipe_unfit(data: Path, tmp_path: Path) -> None:
    terms = '[[rewards]]\nname = "right"\nverifier = "accuracy"\n'
    terms += f'[[rewards]]\nname = "tags"\nverifier = "{BROKEN}:pays_tags"\n'
    assert audit(recipe(tmp_path, data, terms), "--limit", 2) == 1


@pytest.mark.parametrize(("gate", "code"), [('gated_by = "right"\n', 0), ("", 1)])
def test_a_gated_term_is_judged_as_it_is_paid(gate: str, code: int, data: Path, tmp_path: Path) -> None:
    # `pays_short` pays in full for an empty completion, which the gate refuses.
    terms = '[[rewards]]\nname = "right"\nverifier = "accuracy"\n'
    terms += f'[[rewards]]\nname = "short"\nverifier = "{BROKEN}:pays_short"\n{gate}'
    assert audit(recipe(tmp_path, data, terms), "--limit", 2) == code


def test_a_gate_that_lets_shells_through_is_no_gate(data: Path, tmp_path: Path) -> None:
    terms = '[[rewards]]\nname = "right"\nverifier = "accuracy"\n'
    terms += f'[[rewards]]\nname = "open"\nverifier = "{BROKEN}:pays_tags"\nweight = 0.0\n'
    terms += f'[[rewards]]\nname = "short"\nverifier = "{BROKEN}:pays_short"\ngated_by = "open"\n'
    out = tmp_path / "audit.json"
    assert audit(recipe(tmp_path, data, terms), "--limit", 2, "--json", out) == 1
    short = {finding["code"] for finding in json.loads(out.read_text())["terms"]["short"]["findings"]}
    assert "hollow_paid:nothing" not in short  # no tag, so the gate pays nothing
    assert "hollow_paid:empty shell" in short  # all four tags: it passes


def test_the_template_says_what_the_prompt_writes(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "audit.json"
    args = ("--data", data, "--prompt", "chat-tags", "--json", out, "--limit", 2, "--role", "form")
    template = FIXTURES / "templates" / "r1-distill.jinja"
    assert audit("--verifier", f"{BROKEN}:thought_format", *args, "--template", template) == 1
    codes = {finding["code"] for finding in json.loads(out.read_text())["findings"]}
    assert "form_refused:tags, `<think>` left to the prompt" in codes


def test_disagreements_on_rollouts_come_sorted_by_advantage(data: Path, tmp_path: Path) -> None:
    rollouts, out = tmp_path / "rank-0.jsonl", tmp_path / "audit.json"
    texts = [("p0", "#### 72", 0.5), ("p1", "#### 18", -1.5), ("p0", r"\boxed{72}", 9.0), ("gone", "x", 1.0)]
    with rollouts.open("w") as file:
        for sample, (id_, text, advantage) in enumerate(texts):
            completion = {"text": text, "num_tokens": 3, "truncated": False}
            row = {"problem_id": id_, "sample": sample, "completion": completion, "verdicts": {}, "reward": 1.0}
            file.write(json.dumps({**row, "advantage": advantage}) + "\n")
    args = ("--data", data, "--rollouts", rollouts, "--second", "strict_box", "--json", out)
    assert audit("--verifier", "accuracy", *args) == 0
    found = json.loads(out.read_text())["disagreements"]
    assert [(each["problem_id"], each["advantage"], each["place"]) for each in found] == [
        ("p1", -1.5, "line 2"),
        ("p0", 0.5, "line 1"),
    ]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], "name either a recipe or one verifier"),
        (["recipe.toml", "--verifier", "accuracy"], "name either a recipe or one verifier"),
        (["--verifier", "accuracy"], "name the problems with `--data`"),
        (["--verifier", "acuracy", "--data", "{data}"], "did you mean 'accuracy'?"),
        (["--verifier", "accuracy", "--data", "{data}", "--options", "{{"], "is not JSON"),
        (["--verifier", "accuracy", "--data", "{data}", "--options", "[]"], "must be a JSON object"),
        (["--verifier", "accuracy", "--data", "{data}", "--options", '{{"strict": 1}}'], "did you mean 'strict_form'?"),
        (["--verifier", "accuracy", "--data", "{data}", "--prompt", "chat-bxed"], "did you mean 'chat-boxed'?"),
        (["--verifier", "accuracy", "--data", "{data}", "--rollouts", "{dir}/none.jsonl"], "cannot be read"),
        (["--verifier", "accuracy", "--data", "{data}", "--rollouts", "{data}"], "is no rollout row"),
        (["--verifier", "tag_count", "--data", "{data}", "--role", "shape"], "no tags to count"),
        (["--verifier", "accuracy", "--data", "{dir}/none.jsonl"], "none.jsonl"),
        (["--verifier", "accuracy", "--data", "{data}", "--template", "{dir}/none.jinja", "--prompt", "chat-tags"],
         "cannot be read as a chat template"),
    ],
)  # fmt: skip
def test_audit_refuses_in_one_sentence(
    args: list[str], words: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "audit.json"
    assert audit(*[arg.format(data=data, dir=tmp_path) for arg in args], "--json", out) == 2
    assert words in capsys.readouterr().err.splitlines()[-1]
    assert not out.exists()
