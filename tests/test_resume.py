"""Runs that are stopped, killed or fail, and what they become when they go on."""

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from reasoning_grpo import checkpoint
from reasoning_grpo.cli import main
from reasoning_grpo.config import (
    HeldoutConfig,
    LoraConfig,
    ModelConfig,
    PromptConfig,
    Recipe,
    TrainConfig,
    load_recipe,
)
from reasoning_grpo.data import DataSource
from reasoning_grpo.errors import RecipeError, RunInterrupted, UserError, VerifierError
from reasoning_grpo.rewards import RewardTerm
from reasoning_grpo.train import TrainResult, resume, train

ROOT = Path(__file__).resolve().parent.parent

# Scores the share of digits. The file `trouble` says in how many calls from now what goes wrong.
VERIFIER = """
import os, pathlib, signal
trouble = pathlib.Path(__file__).with_name("trouble")

def digits(completion, problem):
    if trouble.exists():
        call, what = trouble.read_text().split()
        trouble.write_text(f"{int(call) - 1} {what}")
        if int(call) == 1:
            trouble.unlink()
            if what == "raise":
                raise RuntimeError("no such table")
            os.kill(os.getpid(), getattr(signal, what))
    return sum(c.isdigit() for c in completion.text) / max(1, len(completion.text))
"""
TIMES = {"time", "step_time", "train_runtime", "train_samples_per_second", "train_steps_per_second"}


@pytest.fixture
def verifier(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(VERIFIER)
    return path


def make_recipe(model: Path, verifier: Path, out: str = "out", **changes: Any) -> Recipe:
    """Four steps of two prompts with two completions each: 4 calls of the verifier a step. An epoch is two steps."""
    recipe = Recipe(
        model=ModelConfig(name=str(model)),
        data=DataSource(name="arithmetic", limit=4),
        prompt=PromptConfig(style="bare-tags"),
        rewards=(RewardTerm(name="digits", verifier=f"{verifier}:digits"),),
        train=TrainConfig(
            steps=4,
            prompts_per_step=2,
            num_generations=2,
            max_completion_tokens=8,
            learning_rate=1e-2,
            micro_batch_size=2,
            save_every=0,
        ),
        heldout=HeldoutConfig(every=0),
        output_dir=str(verifier.parent / out),
    )
    return dataclasses.replace(recipe, **changes)


def saving(recipe: Recipe, **changes: Any) -> Recipe:
    return dataclasses.replace(recipe, train=dataclasses.replace(recipe.train, **changes))


def only_run(recipe: Recipe) -> Path:
    (run_dir,) = Path(recipe.output_dir).iterdir()
    return run_dir


def outcome(run_dir: Path) -> dict[str, Any]:
    """Return what must not depend on how often a run was stopped."""
    weights = next(iter((run_dir / "final").glob("*model.safetensors"))).read_bytes()
    logs = {}
    for name in ("metrics.jsonl", "rollouts/rank-0.jsonl"):
        rows = [json.loads(line) for line in (run_dir / name).read_text("utf-8").splitlines()]
        logs[name] = [{key: value for key, value in row.items() if key not in TIMES} for row in rows]
    return {"weights": weights, **logs}


def manifest(run_dir: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((run_dir / "manifest.json").read_text())
    return record


def alone(recipe: Recipe) -> dict[str, Any]:
    """Return the outcome of the same run when nothing happens to it."""
    return outcome(train(dataclasses.replace(recipe, output_dir=f"{recipe.output_dir}-alone")).run_dir)


def test_a_run_killed_at_any_moment_becomes_the_run_left_alone(tmp_path: Path) -> None:
    command = [
        sys.executable,
        str(ROOT / "tests" / "kill_test.py"),
        "--kills",
        "6",
        "--seed",
        "1",
        "--json",
        str(tmp_path / "r.json"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((tmp_path / "r.json").read_text())
    assert result["different"] == []
    assert result["num_kills"] == 6
    assert result["num_finished"] >= 1


# Step 3 makes calls 9 to 12 and follows an epoch's end, step 4 calls 13 to 16 in the middle of the second epoch.
@pytest.mark.parametrize(("call", "what", "saved"), [(11, "SIGINT", 2), (13, "SIGTERM", 3)])
def test_a_stopped_run_loses_no_step_and_goes_on_exactly(
    tiny_model: Path, verifier: Path, call: int, what: str, saved: int
) -> None:
    recipe = make_recipe(tiny_model, verifier)
    expected = alone(recipe)
    (verifier.parent / "trouble").write_text(f"{call} {what}")
    with pytest.raises(
        RunInterrupted, match=rf"step {saved} is saved in .*; `reasoning-grpo train --resume .*` goes on"
    ):
        train(recipe)
    run_dir = only_run(recipe)
    assert manifest(run_dir)["status"] == "interrupted"
    assert set(outcome_rows(run_dir)) == set(range(saved))  # nothing of the step that was under way
    assert outcome(resume(run_dir).run_dir) == expected
    assert [note["after_step"] for note in manifest(run_dir)["resumes"]] == [saved]


def outcome_rows(run_dir: Path) -> list[int]:
    lines = (run_dir / "rollouts" / "rank-0.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line)["step"] for line in lines]


def test_a_run_whose_verifier_breaks_goes_on_once_it_is_mended(tiny_model: Path, verifier: Path) -> None:
    recipe = make_recipe(tiny_model, verifier)
    expected = alone(recipe)
    (verifier.parent / "trouble").write_text("6 raise")
    with pytest.raises(VerifierError, match=r"no such table.*step 1 is saved in .*--resume"):
        train(recipe)
    assert manifest(only_run(recipe))["status"] == "failed"
    assert outcome(resume(only_run(recipe)).run_dir) == expected


def test_a_resume_says_what_is_not_what_it_was(
    tiny_model: Path, verifier: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recipe = make_recipe(tiny_model, verifier)
    (verifier.parent / "trouble").write_text("6 raise")
    with pytest.raises(VerifierError, match="step 1 is saved"):
        train(recipe)
    run_dir = only_run(recipe)
    record = manifest(run_dir)
    record["verifiers"]["digits"]["fingerprint"] = "another"
    record["versions"]["torch"] = "0.1"
    (run_dir / "manifest.json").write_text(json.dumps(record))
    resume(run_dir)
    assert "the verifier of `digits` is not what it was" in caplog.text
    assert "torch was 0.1 and is " in caplog.text
    assert manifest(run_dir)["resumes"][0]["verifiers"]["digits"]["fingerprint"] != "another"


def test_adapters_go_on_exactly(tiny_model: Path, verifier: Path) -> None:
    pytest.importorskip("peft")
    lora = LoraConfig(r=2, alpha=4, dropout=0.1)
    recipe = make_recipe(tiny_model, verifier, trl={"beta": 0.1, "num_iterations": 2})
    recipe = dataclasses.replace(recipe, model=dataclasses.replace(recipe.model, lora=lora))
    expected = alone(recipe)
    (verifier.parent / "trouble").write_text("6 raise")  # step 3 of 4: two steps share completions
    with pytest.raises(VerifierError, match="step 2 is saved"):
        train(recipe)
    assert outcome(resume(only_run(recipe)).run_dir) == expected


def test_a_moving_reference_model_goes_on_exactly(tiny_model: Path, verifier: Path) -> None:
    trl = {"beta": 0.5, "sync_ref_model": True, "ref_model_sync_steps": 1, "ref_model_mixup_alpha": 0.5}
    recipe = make_recipe(tiny_model, verifier, trl=trl)
    expected = alone(recipe)
    (verifier.parent / "trouble").write_text("9 raise")
    with pytest.raises(VerifierError, match="step 2 is saved"):
        train(recipe)
    assert outcome(resume(only_run(recipe)).run_dir) == expected


def test_a_run_without_a_checkpoint_starts_over_in_its_folder(tiny_model: Path, verifier: Path) -> None:
    recipe = make_recipe(tiny_model, verifier)
    expected = alone(recipe)
    (verifier.parent / "trouble").write_text("2 raise")
    with pytest.raises(VerifierError, match="no step is saved yet"):
        train(recipe)
    run_dir = only_run(recipe)
    assert outcome(resume(run_dir).run_dir) == expected
    assert manifest(run_dir)["resumes"][0]["after_step"] == 0


def test_a_torn_checkpoint_is_passed_over(tiny_model: Path, verifier: Path, caplog: pytest.LogCaptureFixture) -> None:
    recipe = saving(make_recipe(tiny_model, verifier), save_every=1)
    expected = alone(recipe)
    (verifier.parent / "trouble").write_text("14 raise")
    with pytest.raises(VerifierError, match="step 3 is saved"):
        train(recipe)
    run_dir = only_run(recipe)
    weights = run_dir / "checkpoints" / "checkpoint-3" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    assert outcome(resume(run_dir).run_dir) == expected
    assert manifest(run_dir)["resumes"][0]["after_step"] == 2
    assert "checkpoint-3` is not whole" in caplog.text


def test_only_the_newest_checkpoints_are_kept(tiny_model: Path, verifier: Path) -> None:
    recipe = saving(make_recipe(tiny_model, verifier), save_every=1, keep_checkpoints=2)
    checkpoints = train(recipe).run_dir / "checkpoints"
    assert sorted(p.name for p in checkpoints.iterdir()) == ["checkpoint-3", "checkpoint-4"]
    assert not list(checkpoints.rglob("training_args.bin"))


def test_a_torn_checkpoint_takes_no_whole_ones_place(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        (scratch / "weights").write_text(str(step))
        checkpoint.publish(scratch, tmp_path, step)
    (tmp_path / "checkpoint-3" / "weights").unlink()
    checkpoint.prune(tmp_path, keep=2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoint-1", "checkpoint-2"]


@pytest.fixture(scope="module")
def finished(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    path = tmp_path_factory.mktemp("finished") / "mine.py"
    path.write_text(VERIFIER)
    return train(make_recipe(tiny_model, path))


def test_a_finished_run_is_left_as_it_is(
    finished: TrainResult, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    before = outcome(finished.run_dir)
    assert main(["train", "--resume", str(finished.run_dir)]) == 0
    assert "is finished" in caplog.text
    assert str(finished.model_dir) in capsys.readouterr().out
    assert outcome(finished.run_dir) == before
    assert resume(finished.run_dir) == finished


def test_the_recipe_itself_is_no_changed_one_though_it_names_its_model_from_where_one_stands(
    finished: TrainResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = load_recipe(finished.run_dir / "recipe.toml")
    model = Path(recipe.model.name)
    monkeypatch.chdir(model.parent)
    relative = dataclasses.replace(recipe, model=dataclasses.replace(recipe.model, name=model.name))
    assert resume(finished.run_dir, relative) == finished


def test_a_changed_recipe_is_refused_with_the_keys(finished: TrainResult, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--resume", str(finished.run_dir), "--train.steps", "9", "--trl.beta", "0.5"]) == 2
    complaint = capsys.readouterr().err
    assert "`train.steps` was 4 and is 9" in complaint
    assert "`trl.beta` was None and is 0.5" in complaint


def test_a_recipe_edited_in_the_run_folder_is_refused(finished: TrainResult, tmp_path: Path) -> None:
    run_dir = tmp_path / "moved"
    shutil.copytree(finished.run_dir, run_dir)
    recipe = (run_dir / "recipe.toml").read_text()
    (run_dir / "recipe.toml").write_text(recipe.replace("seed = 0", "seed = 1", 1))
    with pytest.raises(RecipeError, match="seed` was 0 and is 1"):
        resume(run_dir)


def test_data_that_changed_under_a_run_are_refused(tiny_model: Path, verifier: Path, tmp_path: Path) -> None:
    data = tmp_path / "mine.jsonl"
    data.write_text("".join(json.dumps({"question": f"{i}+1?", "answer": str(i + 1)}) + "\n" for i in range(8)))
    recipe = make_recipe(tiny_model, verifier, data=DataSource(name=str(data)))
    (verifier.parent / "trouble").write_text("9 raise")
    with pytest.raises(VerifierError):
        train(recipe)
    data.write_text(data.read_text().replace("7+1", "7+2"))
    with pytest.raises(UserError, match="its data changed: `fingerprint` was"):
        resume(only_run(recipe))


@pytest.mark.parametrize("args", [["--resume"], ["--resume="], ["--resume", "nowhere"]])
def test_a_resume_without_a_run_is_refused(
    args: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", *args]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_two_processes_do_not_work_in_one_run_folder(tiny_model: Path, verifier: Path) -> None:
    recipe = make_recipe(tiny_model, verifier)
    (verifier.parent / "trouble").write_text("9 raise")
    with pytest.raises(VerifierError):
        train(recipe)
    code = (
        "import sys, pathlib; from reasoning_grpo.storage import locked\n"
        "with locked(pathlib.Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(only_run(recipe))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(UserError, match="another process is working in"):
            resume(only_run(recipe))
        other.communicate()
    assert resume(only_run(recipe)).run_dir == only_run(recipe)
