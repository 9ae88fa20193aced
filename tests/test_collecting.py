"""Whole runs that verify while they write: nothing but the time is different, and no fault is worse than before."""

import dataclasses
import json
import os
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

from reasoning_grpo import trl_rollout
from reasoning_grpo.batching import plan_batches
from reasoning_grpo.config import HeldoutConfig, ModelConfig, PromptConfig, Recipe, TrainConfig
from reasoning_grpo.data import DataSource
from reasoning_grpo.errors import RecipeError, RunInterrupted, VerifierError
from reasoning_grpo.models import load_tokenizer
from reasoning_grpo.prepare import _check_resampling
from reasoning_grpo.rewards import RewardSpec, RewardTerm
from reasoning_grpo.rewards.stream import ScoreStream
from reasoning_grpo.rollout import write_completions
from reasoning_grpo.schema import Completion, Problem
from reasoning_grpo.storage import JsonlWriter
from reasoning_grpo.train import resume, train
from reasoning_grpo.trainer import ReasoningGRPOTrainer
from reasoning_grpo.trl_bridge import RewardFunction

# `parity` is right for about one completion in three. The file `trouble` says in how many calls from now what happens.
VERIFIER = """
import fcntl, os, pathlib, signal, time
trouble = pathlib.Path(__file__).with_name("trouble")

def due():
    with trouble.open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # several workers count down together
        call, what = file.read().split()
        file.seek(0)
        file.write(f"{int(call) - 1} {what}")
        file.truncate()
    return what if int(call) == 1 else None

def parity(completion, problem):
    what = due() if trouble.exists() else None
    if what == "raise":
        raise RuntimeError("no such table")
    if what == "hang":
        time.sleep(3600)
    if what:
        os.kill(os.getpid(), getattr(signal, what))
    return sum(map(ord, completion.text)) % 3 == 0

def digits(completion, problem):
    return sum(c.isdigit() for c in completion.text) / max(1, len(completion.text))
"""
TIMES = {"time", "step_time", "train_runtime", "train_samples_per_second", "train_steps_per_second"}


def make_recipe(model: Path, folder: Path, *, isolate: bool = False, **changes: Any) -> Recipe:
    """Four steps of two prompts with three completions each; an epoch is four steps."""
    (folder / "mine.py").write_text(VERIFIER)
    settings = {"steps": 4, "prompts_per_step": 2, "num_generations": 3, "max_completion_tokens": 8, "save_every": 0}
    return Recipe(
        model=ModelConfig(name=str(model)),
        data=DataSource(name="arithmetic", limit=8),
        prompt=PromptConfig(style="bare-tags"),
        rewards=(
            RewardTerm(
                name="parity", verifier=f"{folder / 'mine.py'}:parity", isolate=isolate, deadline_seconds=1800.0
            ),
            RewardTerm(name="digits", verifier=f"{folder / 'mine.py'}:digits", weight=0.5, isolate=True),
            RewardTerm(name="accuracy", verifier="accuracy", weight=0.0),
        ),
        train=TrainConfig(**{**settings, "learning_rate": 1e-2, "micro_batch_size": 3, **changes}),
        heldout=HeldoutConfig(every=0),
        output_dir=str(folder / "out"),
    )


def only_run(recipe: Recipe) -> Path:
    (run_dir,) = Path(recipe.output_dir).iterdir()
    return run_dir


def log_rows(run_dir: Path, name: str = "rollouts/rank-0.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run_dir / name).read_text("utf-8").splitlines()]


def outcome(run_dir: Path) -> dict[str, Any]:
    """Return what must not depend on how long anything took."""
    rollouts = log_rows(run_dir)
    for row in rollouts:
        for verdict in row["verdicts"].values():
            del verdict["seconds"]
    metrics = [{k: v for k, v in row.items() if k not in TIMES} for row in log_rows(run_dir, "metrics.jsonl")]
    weights = (run_dir / "final" / "model.safetensors").read_bytes()
    return {"weights": weights, "rollouts": rollouts, "metrics": metrics}


def alone(recipe: Recipe) -> dict[str, Any]:
    """Return the outcome of the same run when nothing happens to it."""
    return outcome(train(dataclasses.replace(recipe, output_dir=f"{recipe.output_dir}-alone")).run_dir)


def worker_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("verify-")]


def test_a_run_that_verifies_while_it_writes_is_the_run_that_verifies_afterwards(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = make_recipe(tiny_model, tmp_path)
    overlapped = alone(recipe)
    monkeypatch.setattr(ReasoningGRPOTrainer, "_may_collect", lambda self, rows: False)
    monkeypatch.setattr(ScoreStream, "submit", None)
    afterwards = outcome(train(recipe).run_dir)
    assert overlapped == afterwards
    assert len(overlapped["rollouts"]) == 4 * 2 * 3


def test_the_first_completion_is_judged_before_the_last_is_written(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    write, submit = write_completions, ScoreStream.submit

    def written(*args: Any, **kwargs: Any) -> Iterator[Any]:
        for one in write(*args, **kwargs):
            events.append("written")
            yield one

    def submitted(self: ScoreStream, completion: Completion, problem: Problem) -> int:
        ticket = submit(self, completion, problem)
        events.append("judged")
        return ticket

    monkeypatch.setattr("reasoning_grpo.trl_rollout.write_completions", written)
    monkeypatch.setattr(ScoreStream, "submit", submitted)
    train(make_recipe(tiny_model, tmp_path, steps=1))
    assert events == ["written", "judged"] * 6


@pytest.fixture(scope="module")
def sampled(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run that replaced groups."""
    recipe = make_recipe(tiny_model, tmp_path_factory.mktemp("sampled"), max_resampling_rounds=2)
    return train(recipe).run_dir


def groups(rows: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    return [rows[start : start + 3] for start in range(0, len(rows), 3)]


def test_replaced_groups_are_on_record_with_their_cause_and_without_advantage(sampled: Path) -> None:
    replaced = [row for row in log_rows(sampled) if row["replaced"]]
    assert len(replaced) >= 6  # or this test shows nothing
    assert {row["advantage"] for row in replaced} == {None}
    for group in groups(replaced):
        right = {row["verdicts"]["parity"]["outcome"] == "pass" for row in group}
        assert {row["replaced"] for row in group} == {"all_right" if right == {True} else "all_wrong"}
        assert len(right) == 1
        assert [row["sample"] for row in group] == [0, 1, 2]


def test_a_step_keeps_its_size_and_never_holds_a_prompt_twice(sampled: Path) -> None:
    for step in range(4):
        rows = [row for row in log_rows(sampled) if row["step"] == step]
        kept = [row for row in rows if not row["replaced"]]
        assert len(kept) == 2 * 3
        assert set(Counter(row["prompt"] for row in rows).values()) == {3}


def test_metrics_count_what_was_replaced_by_cause(sampled: Path) -> None:
    metrics = [row for row in log_rows(sampled, "metrics.jsonl") if "reward" in row]
    assert len(metrics) == 4
    for step, row in enumerate(metrics):
        replaced = Counter(r["replaced"] for r in log_rows(sampled) if r["step"] == step)
        for cause in ("all_right", "all_wrong", "ungradable"):
            assert row[f"groups/replaced_{cause}"] == replaced[cause] / 3
        assert row["groups/rounds"] <= 2


def test_what_was_replaced_counts_among_the_tokens(sampled: Path) -> None:
    written = 0
    for step, row in enumerate(log_rows(sampled, "metrics.jsonl")[:4]):
        here = [r for r in log_rows(sampled) if r["step"] == step]
        # The tiny model's tokens are characters, and a style of bare tags adds none.
        written += sum(len(r["prompt"]) + r["completion"]["num_tokens"] for r in here)
        assert row["num_tokens"] == written


@pytest.mark.parametrize("isolate", [False, True])
def test_a_verifier_that_raises_stops_the_run_with_its_name_and_loses_no_step(
    tiny_model: Path, tmp_path: Path, isolate: bool
) -> None:
    recipe = make_recipe(tiny_model, tmp_path, isolate=isolate, max_resampling_rounds=2)
    expected = alone(recipe)
    # A step judges 6 completions, and up to 2 x 6 more for groups that are replaced: the 20th is not the first step's.
    (tmp_path / "trouble").write_text("20 raise")
    with pytest.raises(
        VerifierError, match=r"mine\.py:parity' raised RuntimeError: no such table.*step \d is saved in .*--resume"
    ):
        train(recipe)
    assert worker_threads() == []
    assert outcome(resume(only_run(recipe)).run_dir) == expected


@pytest.mark.parametrize("what", ["SIGINT", "SIGTERM"])
def test_a_stop_inside_a_round_loses_no_step_and_the_run_goes_on_exactly(
    tiny_model: Path, tmp_path: Path, what: str
) -> None:
    recipe = make_recipe(tiny_model, tmp_path, max_resampling_rounds=2)
    expected = alone(recipe)
    (tmp_path / "trouble").write_text(f"27 {what}")
    with pytest.raises(RunInterrupted, match=r"step \d is saved in"):
        train(recipe)
    assert worker_threads() == []
    assert outcome(resume(only_run(recipe)).run_dir) == expected


def test_a_stop_does_not_wait_for_a_verifier_that_hangs(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = make_recipe(tiny_model, tmp_path, isolate=True)
    (tmp_path / "trouble").write_text("9 hang")  # in a worker, for longer than anyone would wait

    results, num_calls = ScoreStream.results, 0

    def stopped(self: ScoreStream, tickets: Any) -> Any:
        nonlocal num_calls
        num_calls += 1
        if num_calls == 2:
            os.kill(os.getpid(), 2)
        return results(self, tickets)

    monkeypatch.setattr(ScoreStream, "results", stopped)
    with pytest.raises(RunInterrupted, match="step 1 is saved"):
        train(recipe)
    assert worker_threads() == []


def make_trainer(folder: Path, out: Path, table: Any, **options: Any) -> ReasoningGRPOTrainer:
    settings = {"num_generations": 3, "per_device_train_batch_size": 6, "per_device_eval_batch_size": 4}
    config = GRPOConfig(
        output_dir=str(out),
        report_to="none",
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        **{**settings, "max_completion_length": 8, "num_generations_eval": 2, "max_steps": 1},
    )
    return ReasoningGRPOTrainer(
        model=str(folder),
        args=config,
        reward=RewardFunction(RewardSpec(terms=(RewardTerm(name="accuracy", verifier="accuracy"),))),
        rollouts=JsonlWriter(out / "rollouts.jsonl"),
        train_dataset=table,
        processing_class=load_tokenizer(str(folder)),
        **options,
    )


def test_an_evaluation_is_judged_in_its_own_groups_and_never_replaces_any(tiny_model: Path, tmp_path: Path) -> None:
    table = Dataset.from_dict({"prompt": ["1+1?", "2+2?", "3+3?", "4+4?"], "answer": ["2", "4", "6", "8"]})
    trainer = make_trainer(tiny_model, tmp_path, table, eval_dataset=table, max_resampling_rounds=1)
    metrics = trainer.evaluate()
    assert metrics["eval_groups/all_wrong"] == 1.0
    rows = [json.loads(line) for line in (tmp_path / "rollouts.jsonl").read_text().splitlines()]
    assert [(row["sample"], row["replaced"]) for row in rows] == [(0, None), (1, None)] * 4


@pytest.mark.parametrize(
    ("prompts", "cause"),
    [
        ([[{"role": "user", "content": "1+1?"}]] * 2, "the training data are a stream or conversations"),
        (["1+1?", "2+2?"], "a process has 4 completions in groups of 3"),
    ],
)
def test_a_trainer_that_cannot_replace_groups_says_so_at_once(
    tiny_model: Path, tmp_path: Path, prompts: list[Any], cause: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # TRL itself refuses such a batch on one process; several of them can have it
    monkeypatch.setattr(GRPOTrainer, "__init__", _with_four_rows(GRPOTrainer.__init__))
    with pytest.raises(RecipeError, match=cause):
        make_trainer(
            tiny_model,
            tmp_path,
            Dataset.from_dict({"prompt": prompts, "answer": ["2"] * 2}),
            max_resampling_rounds=1,
        )


def _with_four_rows(init: Any) -> Any:
    def patched(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        self.args.per_device_train_batch_size = 4

    return patched


def test_a_group_split_over_two_processes_cannot_be_replaced() -> None:
    # 3 prompts x 4 completions are 6 rows on each of 2 devices: the second prompt's group is cut in halves
    config: Any = SimpleNamespace(**trl_rollout.OURS, fsdp=None, deepspeed=None)
    with pytest.raises(RecipeError, match=r"3 prompts x 4 completions over 2 devices split a group.*a multiple of"):
        _check_resampling(config, plan_batches(3, 4, 8, world_size=2))


@pytest.mark.parametrize(("setting", "named"), [({"fsdp": ["full_shard"]}, "trl.fsdp"), ({"use_vllm": True}, "vllm")])
def test_another_engine_cannot_replace_groups(setting: dict[str, Any], named: str) -> None:
    config: Any = SimpleNamespace(**{**trl_rollout.OURS, "fsdp": None, "deepspeed": None, **setting})
    with pytest.raises(RecipeError, match=rf"{named}` leaves generation to TRL"):
        _check_resampling(config, plan_batches(2, 4, 8))


def test_several_passes_over_what_was_collected_go_on_exactly(tiny_model: Path, tmp_path: Path) -> None:
    recipe = make_recipe(tiny_model, tmp_path, max_resampling_rounds=1)
    recipe = dataclasses.replace(recipe, trl={"num_iterations": 2, "beta": 0.01})
    expected = alone(recipe)
    (tmp_path / "trouble").write_text("13 raise")  # a generation judges 6 to 12: in the second one, for steps 3 and 4
    with pytest.raises(VerifierError, match=r"step 2 is saved"):
        train(recipe)
    assert outcome(resume(only_run(recipe)).run_dir) == expected


@pytest.mark.parametrize(
    ("trl", "train_changes", "cause"),
    [
        ({"repetition_penalty": 1.1}, {}, "`trl.repetition_penalty` leaves generation to TRL"),
        ({"use_transformers_continuous_batching": True}, {}, "continuous_batching` leaves generation to TRL"),
        ({}, {"prompts_per_step": 8}, "a step holds all 8 training problems"),
    ],
)
def test_what_cannot_replace_groups_is_refused_before_there_is_a_folder(
    tiny_model: Path, tmp_path: Path, trl: dict[str, Any], train_changes: dict[str, Any], cause: str
) -> None:
    recipe = make_recipe(tiny_model, tmp_path, max_resampling_rounds=1, **train_changes)
    with pytest.raises(RecipeError, match=rf"{cause}.*set `train.max_resampling_rounds = 0`"):
        train(dataclasses.replace(recipe, trl=trl))
    assert not (tmp_path / "out").exists()
