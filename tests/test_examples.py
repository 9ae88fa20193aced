"""What the README and examples/ tell people to copy works as printed."""

import importlib.util
import json
import re
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from reasoning_grpo.cli import VERBS, main
from reasoning_grpo.config import recipe_from_table
from reasoning_grpo.rewards import RewardSpec
from reasoning_grpo.trl_config import check_trl_keys

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text("utf-8")


def load_example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name}", ROOT / "examples" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def indented_blocks(text: str) -> list[str]:
    blocks = re.findall(r"(?:^    .*\n|^\n(?=    ))+", text, flags=re.MULTILINE)
    return [re.sub(r"^    ", "", block, flags=re.MULTILINE) for block in blocks]


def test_the_recipe_in_the_readme_is_valid() -> None:
    block = next(block for block in indented_blocks(README) if "[model]" in block)
    recipe = recipe_from_table(tomllib.loads(block))
    RewardSpec(terms=recipe.rewards).check()
    check_trl_keys(recipe.trl)


def test_the_readme_shows_what_the_demo_prints() -> None:
    block = next(block for block in indented_blocks(README) if "accuracy before:" in block)
    assert all(label in block for label in ("accuracy after:", "difference:", "answer length:", "run folder:"))


def test_every_command_in_the_readme_exists() -> None:
    verbs = re.findall(r"^    reasoning-grpo (\S+)", README, flags=re.MULTILINE)
    assert len(verbs) >= 6
    assert set(verbs) <= set(VERBS)


def test_every_file_the_readme_links_to_is_there() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert len(links) >= 5
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_same_rewards_train_in_a_stock_trainer(tmp_path: Path) -> None:
    # Sampled, the demo's base is right about half the time; a right answer in form earns 1.1, all others nothing.
    rewards = load_example("stock_trl").main(str(ROOT / "reasoning_grpo" / "demo_model"), str(tmp_path))
    assert len(rewards) == 2
    assert 0.1 < sum(rewards) / 2 < 1.1


def test_the_example_recipe_trains_with_a_verifier_from_its_own_file(tmp_path: Path) -> None:
    args = ["train", str(ROOT / "examples" / "my_recipe.toml"), "--train.steps", "1", "--output-dir", str(tmp_path)]
    assert main(args) == 0
    rows = [json.loads(line) for line in next(tmp_path.rglob("rank-0.jsonl")).read_text("utf-8").splitlines()]
    assert len(rows) == 64
    for row in rows:
        words = len(row["completion"]["text"].split())
        right = row["verdicts"]["accuracy"]["score"]
        brief = min(1.0, 20 / max(1, words))
        assert row["verdicts"]["brief"]["score"] == pytest.approx(brief)
        assert row["reward"] == pytest.approx(right + (0.1 * brief if right == 1.0 else 0.0))


def test_the_demo_reports_what_it_promises(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--steps", "1", "--seed", "3", "--out", str(tmp_path)]) == 0
    result = json.loads(next(tmp_path.glob("*/result.json")).read_text("utf-8"))
    assert result["num_problems"] == 512
    assert 0.20 <= result["accuracy_before"] <= 0.55
    assert result["seed"] == 3
    assert result["seconds"] > 0
    assert 0 <= result["p_value"] <= 1
    printed = capsys.readouterr().out
    assert f"accuracy before:  {100 * result['accuracy_before']:.1f} %" in printed
    assert str(tmp_path) in printed


def test_the_demos_problems_are_not_trained_on() -> None:
    from reasoning_grpo.commands.demo import demo_recipe
    from reasoning_grpo.data import drop_overlap, load_problems
    from reasoning_grpo.eval.suite import load_suite

    train, test = load_problems(demo_recipe(0, None).data), load_problems(load_suite("arithmetic").data)
    assert len(train.problems) > 1000
    assert drop_overlap(test.problems, train.problems)[1] == []
