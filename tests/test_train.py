"""Whole runs on a model of a few thousand parameters: what is on disk afterwards, and what is not."""

import dataclasses
import json
import math
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from reasoning_grpo import assemble
from reasoning_grpo.advantage import group_advantages
from reasoning_grpo.config import HeldoutConfig, ModelConfig, PromptConfig, Recipe, TrainConfig, load_recipe
from reasoning_grpo.data import DataSource
from reasoning_grpo.errors import DataError, RecipeError, UserError, VerifierError
from reasoning_grpo.models import recorded_prompt_style
from reasoning_grpo.rewards import RewardTerm
from reasoning_grpo.schema import Outcome, Verdict
from reasoning_grpo.train import TrainResult, train

# Correctness is 0 for random weights; this verifier gives rewards that differ inside a group.
VERIFIER = """
def digits(completion, problem):
    return sum(c.isdigit() for c in completion.text) / max(1, len(completion.text))

def raises(completion, problem):
    raise RuntimeError("no such table")

def two(completion, problem):
    return 2.0

def interrupts(completion, problem):
    raise KeyboardInterrupt
"""


@pytest.fixture(scope="module")
def verifiers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("verifiers") / "mine.py"
    path.write_text(VERIFIER)
    return path


def make_recipe(folder: Path, out: Path, verifier: str, **changes: Any) -> Recipe:
    recipe = Recipe(
        model=ModelConfig(name=str(folder)),
        data=DataSource(name="arithmetic", limit=40),
        prompt=PromptConfig(style="bare-tags"),
        rewards=(RewardTerm(name="digits", verifier=verifier),),
        train=TrainConfig(
            steps=3,
            prompts_per_step=3,
            num_generations=3,
            max_completion_tokens=8,
            learning_rate=1e-2,
            micro_batch_size=4,
            save_every=2,
        ),
        heldout=HeldoutConfig(every=2, num_problems=5),
        output_dir=str(out),
    )
    return dataclasses.replace(recipe, **changes)


@pytest.fixture(scope="module")
def finished(tiny_model: Path, verifiers: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    out = tmp_path_factory.mktemp("out")
    return train(make_recipe(tiny_model, out, f"{verifiers}:digits"), name="tiny")


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_a_finished_run_says_so_and_says_what_ran(finished: TrainResult) -> None:
    manifest = json.loads((finished.run_dir / "manifest.json").read_text())
    assert manifest["status"] == "finished"
    assert manifest["data"]["num_heldout"] == 5
    assert manifest["data"]["num_problems"] == 35
    # 3 x 3 = 9 rows; 4 does not divide 9, 3 does
    assert (manifest["batch_plan"]["micro_batch_size"], manifest["batch_plan"]["accumulation_steps"]) == (3, 3)
    assert manifest["versions"]["trl"].startswith("1.16")


def test_every_rollout_is_on_record_with_its_advantage(finished: TrainResult) -> None:
    rollouts = rows(finished.run_dir / "rollouts" / "rank-0.jsonl")
    assert len(rollouts) == 3 * 9
    assert [row["step"] for row in rollouts] == [0] * 9 + [1] * 9 + [2] * 9
    assert [row["sample"] for row in rollouts[:6]] == [0, 1, 2, 0, 1, 2]
    assert all(row["verdicts"]["digits"]["score"] == pytest.approx(row["reward"]) for row in rollouts)


def test_trls_advantages_are_ours(finished: TrainResult) -> None:
    # The contract with TRL's scoring: order of the rows, group-relative maths, sample deviation.
    rollouts = rows(finished.run_dir / "rollouts" / "rank-0.jsonl")
    rewards = torch.tensor([row["reward"] for row in rollouts], dtype=torch.float64).view(-1, 3)
    expected = group_advantages(rewards).flatten().tolist()
    assert [row["advantage"] for row in rollouts] == pytest.approx(expected, abs=1e-3)
    assert max(map(abs, expected)) > 0.5  # the comparison is not one of zeros


def test_metrics_hold_one_row_per_step_with_outcomes_and_group_signals(finished: TrainResult) -> None:
    metrics = [row for row in rows(finished.run_dir / "metrics.jsonl") if "reward" in row]
    assert [row["step"] for row in metrics] == [1, 2, 3]
    for row in metrics:
        assert math.isfinite(row["loss"])
        signals = [row[f"groups/{name}"] for name in ("mixed", "all_right", "all_wrong", "constant", "ungradable")]
        assert sum(signals) == pytest.approx(1.0)
        outcomes = [row[f"digits/{name}"] for name in ("pass", "partial", "fail")]
        assert sum(outcomes) == pytest.approx(1.0)


def test_heldout_accuracy_is_measured_at_the_start_in_between_and_at_the_end(finished: TrainResult) -> None:
    assert [row["step"] for row in rows(finished.run_dir / "heldout.jsonl")] == [0, 2, 3]


def test_the_models_written_load_and_know_their_prompt(finished: TrainResult) -> None:
    from reasoning_grpo.models import load_model, load_tokenizer

    final = str(finished.run_dir / "final")
    assert recorded_prompt_style(final) == "bare-tags"
    assert load_tokenizer(final).eos_token == "<eos>"
    moved = load_model(ModelConfig(name=final)).lm_head.weight
    assert moved.shape == (103, 32)


def test_training_moved_the_weights(finished: TrainResult, tiny_model: Path) -> None:
    from reasoning_grpo.models import load_model

    before = load_model(ModelConfig(name=str(tiny_model))).lm_head.weight
    after = load_model(ModelConfig(name=str(finished.run_dir / "final"))).lm_head.weight
    assert (before - after).abs().max() > 1e-3


def test_the_resolved_recipe_repeats_the_run(finished: TrainResult, tmp_path: Path) -> None:
    recipe = load_recipe(finished.run_dir / "recipe.toml")
    again = train(dataclasses.replace(recipe, output_dir=str(tmp_path)), name="again")
    name = Path("rollouts") / "rank-0.jsonl"
    assert rows(again.run_dir / name) == rows(finished.run_dir / name)


def test_no_pickle_is_left_in_a_model_folder(finished: TrainResult) -> None:
    assert not [p for p in (finished.run_dir / "final").iterdir() if p.suffix in (".bin", ".pt", ".pth", ".pkl")]


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"data": DataSource(name="gsm9k")}, DataError, "gsm9k"),
        ({"prompt": PromptConfig(style="bare-tag")}, RecipeError, "did you mean 'bare-tags'"),
        ({"trl": {"bta": 0.1}}, RecipeError, "did you mean 'beta'"),
        ({"trl": {"loss_type": "grop"}}, RecipeError, "loss_type"),
        ({"rewards": (RewardTerm(name="a", verifier="acuracy"),)}, VerifierError, "did you mean 'accuracy'"),
        ({"data": DataSource(name="arithmetic", limit=6)}, DataError, "1 training problems are left"),
        ({"data": DataSource(name="arithmetic", limit=5)}, DataError, "`heldout.num_problems` is 5"),
        (
            {"train": TrainConfig(prompts_per_step=3, max_completion_tokens=8, max_prompt_tokens=3)},
            DataError,
            "35 have a prompt of more than 3 tokens; raise `train.max_prompt_tokens`",
        ),
        (
            {"train": TrainConfig(prompts_per_step=3, max_completion_tokens=250)},
            DataError,
            "a prompt of more than 6 tokens; lower `train.max_completion_tokens`",
        ),
    ],
)
def test_a_run_that_cannot_start_leaves_nothing_behind(
    tiny_model: Path, verifiers: Path, tmp_path: Path, changes: dict[str, Any], error: type[Exception], words: str
) -> None:
    recipe = make_recipe(tiny_model, tmp_path / "out", f"{verifiers}:digits", **changes)
    with pytest.raises(error, match=words):
        train(recipe)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("function", "words"), [("raises", "no such table"), ("two", "2.0")])
def test_a_verifier_that_breaks_ends_the_run_as_failed(
    tiny_model: Path, verifiers: Path, tmp_path: Path, function: str, words: str
) -> None:
    with pytest.raises(VerifierError, match=words):
        train(make_recipe(tiny_model, tmp_path, f"{verifiers}:{function}", heldout=HeldoutConfig(every=0)))
    manifest = json.loads(next(tmp_path.rglob("manifest.json")).read_text())
    assert manifest["status"] == "failed"
    assert words in manifest["error"]
    assert not list(tmp_path.rglob("final"))


def test_lora_trains_adapters_that_load_and_can_be_benchmarked(
    tiny_model: Path, verifiers: Path, tmp_path: Path
) -> None:
    pytest.importorskip("peft")
    from reasoning_grpo.config import LoraConfig
    from reasoning_grpo.eval.backends.opening import ModelOptions
    from reasoning_grpo.eval.benchmark import benchmark
    from reasoning_grpo.eval.suite import Suite

    lora = ModelConfig(name=str(tiny_model), lora=LoraConfig(r=2))
    recipe = make_recipe(tiny_model, tmp_path / "out", f"{verifiers}:digits", model=lora)
    final = train(recipe).run_dir / "final"
    assert (final / "adapter_model.safetensors").is_file()
    assert not (final / "model.safetensors").exists()
    suite = Suite(name="s", title="s", data=DataSource(name="arithmetic", limit=2), max_completion_tokens=4)
    _, result = benchmark(suite, ModelOptions(model=str(final)), verifier=f"{verifiers}:digits", out=tmp_path / "bench")
    assert [attempt.completion.num_tokens for attempt in result.attempts] == [4, 4]


def test_an_interrupted_run_says_so(tiny_model: Path, verifiers: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(make_recipe(tiny_model, tmp_path, f"{verifiers}:interrupts", heldout=HeldoutConfig(every=0)))
    manifest = json.loads(next(tmp_path.rglob("manifest.json")).read_text())
    assert manifest["status"] == "interrupted"


@pytest.mark.parametrize(
    ("trl", "num_generated"),
    [
        ({"beta": 0.04}, 3),
        ({"loss_type": "dr_grpo", "scale_rewards": "none"}, 3),
        ({"num_iterations": 2}, 2),  # steps 0 and 2 generate, step 1 reuses
    ],
)
def test_options_of_trl_reach_the_loop(
    tiny_model: Path, verifiers: Path, tmp_path: Path, trl: dict[str, Any], num_generated: int
) -> None:
    recipe = make_recipe(tiny_model, tmp_path, f"{verifiers}:digits", trl=trl, heldout=HeldoutConfig(every=0))
    run_dir = train(recipe).run_dir
    assert len(rows(run_dir / "rollouts" / "rank-0.jsonl")) == 9 * num_generated
    metrics = [row for row in rows(run_dir / "metrics.jsonl") if "loss" in row]
    assert [math.isfinite(row["loss"]) for row in metrics] == [True] * 3
    assert ("kl" in metrics[0]) == ("beta" in trl)


def test_a_checkpoint_knows_its_prompt_too(finished: TrainResult) -> None:
    folders = sorted((finished.run_dir / "checkpoints").glob("checkpoint-*"))
    assert [recorded_prompt_style(str(folder)) for folder in folders] == ["bare-tags"] * len(folders)
    assert folders


def test_file_references_in_the_resolved_recipe_are_absolute(
    tiny_model: Path, verifiers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model").symlink_to(tiny_model)
    (tmp_path / "mine.py").write_text(VERIFIER)
    problems = [{"question": f"{n}+1?", "answer": str(n + 1)} for n in range(20)]
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in problems))
    monkeypatch.chdir(tmp_path)
    recipe = make_recipe(Path("./model"), tmp_path / "out", "mine.py:digits", data=DataSource(name="data.jsonl"))
    run_dir = train(recipe).run_dir
    monkeypatch.chdir("/")
    written = load_recipe(run_dir / "recipe.toml")
    assert written.rewards[0].verifier == f"{tmp_path}/mine.py:digits"
    assert written.data.name == f"{tmp_path}/data.jsonl"
    assert Path(written.model.name).is_absolute()


def test_benchmark_problems_are_neither_trained_on_nor_held_out(
    tiny_model: Path, verifiers: Path, tmp_path: Path
) -> None:
    from reasoning_grpo.prepare import prepare

    test = DataSource(name="arithmetic", split="test", limit=60)
    first = DataSource(name="arithmetic", split="test", limit=30)
    held = HeldoutConfig(every=1, num_problems=20, source=test)
    prepared = prepare(make_recipe(tiny_model, tmp_path, f"{verifiers}:digits", exclude=(first,), heldout=held))
    from reasoning_grpo.data import drop_overlap, load_problems

    assert len(prepared.heldout) == 20
    assert drop_overlap(prepared.heldout, load_problems(first).problems)[1] == []


@pytest.mark.parametrize(
    ("trl", "words"),
    [
        ({"sync_ref_model": True}, "TRL refuses the configuration: You passed `sync_ref_model=True` while `beta=0.0`"),
        ({"optim": "adamw_8bit"}, "asks for what is not installed: You need to install `bitsandbytes`"),
        ({"model_init_kwargs": {"size": 1}}, r"does not take \{'size': 1\}.*see `trl.model_init_kwargs`"),
    ],
)
def test_what_trl_or_the_model_refuses_is_one_sentence_and_leaves_no_folder(
    tiny_model: Path, verifiers: Path, tmp_path: Path, trl: dict[str, Any], words: str
) -> None:
    if "optim" in trl and find_spec("bitsandbytes"):
        pytest.skip("bitsandbytes is installed")
    with pytest.raises(UserError, match=words):
        train(make_recipe(tiny_model, tmp_path / "out", f"{verifiers}:digits", trl=trl))
    assert list(tmp_path.glob("out/*")) == []


def test_a_bug_of_ours_is_not_called_a_refusal_of_trl() -> None:
    with pytest.raises(ValueError, match="score lies in"), assemble._refusals_of_trl():
        Verdict(score=2.0, outcome=Outcome.PASS)
