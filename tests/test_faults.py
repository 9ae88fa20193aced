"""What goes wrong while a run is under way: it goes on, or stops with one sentence and keeps every finished step."""

import dataclasses
import json
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from reasoning_grpo import assemble
from reasoning_grpo.checkpoint import newest
from reasoning_grpo.cli import main
from reasoning_grpo.config import HeldoutConfig, ModelConfig, PromptConfig, Recipe, TrainConfig
from reasoning_grpo.data import DataSource
from reasoning_grpo.durable import DurableTrainer
from reasoning_grpo.errors import RecipeError, RunError
from reasoning_grpo.faults import StopSignals, TruncationWarning, check_finite
from reasoning_grpo.manifest import Manifest
from reasoning_grpo.models import load_model
from reasoning_grpo.rewards import RewardTerm
from reasoning_grpo.schema import Outcome, Verdict
from reasoning_grpo.train import resume, train
from reasoning_grpo.trainer import ReasoningGRPOTrainer

VERIFIER = """
def digits(completion, problem):
    return sum(c.isdigit() for c in completion.text) / max(1, len(completion.text))
"""


def make_recipe(model: Path, folder: Path, *, data: str = "arithmetic", every: int = 0, **changes: Any) -> Recipe:
    (folder / "mine.py").write_text(VERIFIER)
    settings = {"steps": 4, "save_every": 1, "prompts_per_step": 2, "num_generations": 2, "max_completion_tokens": 8}
    return Recipe(
        model=ModelConfig(name=str(model)),
        data=DataSource(name=data, limit=12),
        prompt=PromptConfig(style="bare-tags"),
        rewards=(RewardTerm(name="digits", verifier=f"{folder / 'mine.py'}:digits"),),
        train=TrainConfig(**{**settings, "learning_rate": 1e-2, "micro_batch_size": 2, **changes}),
        heldout=HeldoutConfig(every=every, num_problems=4),
        output_dir=str(folder / "out"),
    )


def only_run(recipe: Recipe) -> Path:
    (run_dir,) = Path(recipe.output_dir).iterdir()
    return run_dir


def weights(folder: Path) -> torch.Tensor:
    weight: torch.Tensor = load_model(ModelConfig(name=str(folder))).lm_head.weight.detach()
    return weight


@contextmanager
def no_file_larger_than(num_bytes: int) -> Iterator[None]:
    """Make writes fail as on a full disk, for real and for every library."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_loss_that_is_no_number_never_reaches_the_weights(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compute_loss = ReasoningGRPOTrainer._compute_loss

    def planted(self: Any, model: Any, inputs: Any) -> Any:
        loss = compute_loss(self, model, inputs)
        return loss * float("nan") if self.state.global_step == 2 else loss

    monkeypatch.setattr(ReasoningGRPOTrainer, "_compute_loss", planted)
    recipe = make_recipe(tiny_model, tmp_path, save_every=0)
    with pytest.raises(RunError, match=r"step 3: the loss is nan and the gradient's norm is nan.*step 2 is saved in"):
        train(recipe)
    saved = newest(only_run(recipe) / "checkpoints")
    assert saved is not None
    assert saved.step == 2
    assert weights(saved.folder).isfinite().all()
    assert (weights(saved.folder) - weights(tiny_model)).abs().max() > 1e-3  # two updates are in it


def test_a_gradient_that_is_no_number_is_told_from_the_loss() -> None:
    with pytest.raises(RunError, match="step 7: the gradient's norm is inf; the weights were not updated"):
        check_finite(7, {"loss": 0.5, "gradient's norm": float("inf")})


def test_a_checkpoint_that_does_not_fit_leaves_the_old_one_and_the_run_goes_on(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    recipe = make_recipe(tiny_model, tmp_path)
    build = DurableTrainer._build
    seen: list[str] = []

    def full_at_three(self: Any, model: Any, trial: Any) -> None:
        if self.state.global_step != 3:
            return build(self, model, trial)
        with no_file_larger_than(20_000):  # the weights have 100 kB
            try:
                build(self, model, trial)
            finally:
                seen.extend(p.name for p in only_run(recipe).glob("checkpoints/*"))

    monkeypatch.setattr(DurableTrainer, "_build", full_at_three)
    run_dir = train(recipe).run_dir
    assert {"checkpoint-1", "checkpoint-2"} <= set(seen)
    assert "the checkpoint of step 3 could not be saved" in caplog.text
    assert sorted(p.name for p in (run_dir / "checkpoints").iterdir()) == ["checkpoint-2", "checkpoint-4"]


def test_a_final_model_that_does_not_fit_fails_the_run_and_a_resume_saves_it(tiny_model: Path, tmp_path: Path) -> None:
    recipe = dataclasses.replace(make_recipe(tiny_model, tmp_path), trl={"logging_steps": 3})
    save = assemble.save_model

    with pytest.MonkeyPatch.context() as patch:

        def full(*args: Any, **kwargs: Any) -> None:
            with no_file_larger_than(20_000):
                save(*args, **kwargs)

        patch.setattr("reasoning_grpo.train.save_model", full)
        with pytest.raises(
            RunError, match=r"the final model or its logs cannot be saved.*step 4 is saved in.*--resume"
        ):
            train(recipe)
    run_dir = only_run(recipe)
    assert not (run_dir / "final").exists()
    resume(run_dir)
    assert torch.equal(weights(run_dir / "final"), weights(run_dir / "checkpoints" / "checkpoint-4"))
    rows = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    # The summary comes at the end and holds what no row of a step has: step 4's rewards.
    assert [(row["step"], "reward" in row) for row in rows] == [(3, True), (4, True)]


def test_a_best_model_that_does_not_fit_leaves_no_half_folder_and_the_run_goes_on(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    save, num_right = assemble.save_model, iter([0, 1, 2, 3, 4])

    def full_for_the_best(trainer: Any, prepared: Any, folder: Path, *args: Any) -> None:
        with no_file_larger_than(20_000) if folder.name == "best" else nullcontext():
            save(trainer, prepared, folder, *args)

    def measured(prepared: Any, trainer: Any) -> dict[str, Verdict]:
        right = next(num_right)
        verdicts = [Verdict(score=1.0, outcome=Outcome.PASS), Verdict(score=0.0, outcome=Outcome.FAIL)]
        return {str(i): verdicts[i >= right] for i in range(4)}

    monkeypatch.setattr(assemble, "save_model", full_for_the_best)
    monkeypatch.setattr(assemble, "_heldout_verdicts", measured)
    result = train(make_recipe(tiny_model, tmp_path, every=1))
    assert result.model_dir == result.run_dir / "final"
    assert caplog.text.count("could not be saved (") == 4
    assert not list(result.run_dir.glob(".best*"))


def test_where_the_main_process_can_make_no_folder_the_others_wait_for_no_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assemble, "process_state", lambda: SimpleNamespace(is_main_process=False))
    monkeypatch.setattr(assemble, "broadcast_object_list", lambda sent: [OSError("no room")])
    trainer: Any = SimpleNamespace()  # which could save nothing
    with pytest.raises(OSError, match="no room"):
        assemble.save_model(trainer, trainer, tmp_path / "best")


def test_a_disk_that_is_full_from_the_start_is_one_sentence_and_no_folder(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = Manifest.start.__func__  # type: ignore[attr-defined]

    def full(cls: type[Manifest], *args: Any, **facts: Any) -> Manifest:
        with no_file_larger_than(100):
            manifest: Manifest = start(cls, *args, **facts)
            return manifest

    monkeypatch.setattr(Manifest, "start", classmethod(full))
    with pytest.raises(RecipeError, match=r"nothing can be written in `.*`: File too large; make room"):
        train(make_recipe(tiny_model, tmp_path))
    assert list((tmp_path / "out").iterdir()) == []


def test_a_manifest_that_does_not_fit_at_the_end_is_one_sentence(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, finish = make_recipe(tiny_model, tmp_path, steps=1), Manifest.finish

    def full(self: Manifest, status: str, **facts: Any) -> None:
        with no_file_larger_than(100):
            finish(self, status, **facts)

    with monkeypatch.context() as patch:
        patch.setattr(Manifest, "finish", full)
        with pytest.raises(RunError, match=r"the run is done and its manifest cannot be written.*step 1 is saved in"):
            train(recipe)
    assert resume(only_run(recipe)).model_dir.is_dir()


def test_a_prompt_longer_than_the_context_is_dropped_with_a_count(tiny_model: Path, tmp_path: Path) -> None:
    # The tiny model's context holds 256 tokens, one a character; 8 of them are the completion's.
    questions = [f"{i} + 1?" for i in range(8)] + ["9" * 250]
    rows = [{"question": question, "answer": "1"} for question in questions]
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = make_recipe(tiny_model, tmp_path, data=str(tmp_path / "mine.jsonl"), steps=1)
    counts = json.loads((train(recipe).run_dir / "manifest.json").read_text())["data"]
    assert (counts["num_problems"], counts["num_dropped_long_prompt"]) == (8, 1)


def test_a_completion_limit_beyond_the_context_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"`train.max_completion_tokens` is 256 and the context .* holds 256"):
        train(make_recipe(tiny_model, tmp_path, max_completion_tokens=256))


def test_nothing_but_cut_off_completions_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    watch = TruncationWarning()
    args: Any = SimpleNamespace(max_completion_length=8)
    state: Any = SimpleNamespace(global_step=1)
    control: Any = None
    for ratio in (0.99, 1.0, 1.0):
        watch.on_log(args, state, control, logs={"completions/clipped_ratio": ratio})
    assert caplog.text.count("all completions were cut off at 8 tokens") == 1


def test_a_verifier_that_kills_every_worker_is_said_once_with_its_reason(
    tiny_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recipe = make_recipe(tiny_model, tmp_path, steps=2)
    (tmp_path / "deadly.py").write_text("import os\ndef dies(completion, problem):\n    os._exit(3)\n")
    term = RewardTerm(name="dies", verifier=f"{tmp_path / 'deadly.py'}:dies", isolate=True)
    train(dataclasses.replace(recipe, rewards=(term,)))
    said = [record.getMessage() for record in caplog.records if "could be judged" in record.getMessage()]
    assert len(said) == 1
    assert said[0].startswith("step 1: no group of completions could be judged, so nothing was learned; the first: ")
    assert "deadly.py:dies' on problem 'arithmetic/" in said[0]


def test_a_stop_waits_for_the_end_of_an_update() -> None:
    stop = StopSignals()
    with stop.caught():
        stop.hold()
        os.kill(os.getpid(), signal.SIGTERM)
        reached = stop.requested
        with pytest.raises(KeyboardInterrupt):
            stop.release()
    assert reached


def test_a_second_stop_does_not_wait() -> None:
    stop = StopSignals()
    with stop.caught():
        stop.hold()
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_the_signals_are_given_back_after_a_run() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with StopSignals().caught():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_stop_inside_the_update_saves_that_step(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    step = torch.optim.AdamW.step
    num_updates = 0

    def stopped_in_the_second(self: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal num_updates
        num_updates += 1
        if num_updates == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.AdamW, "step", stopped_in_the_second)
    recipe = make_recipe(tiny_model, tmp_path, save_every=0)
    train_file = tmp_path / "recipe.toml"
    import tomli_w

    from reasoning_grpo.config import recipe_to_table

    train_file.write_text(tomli_w.dumps(recipe_to_table(recipe)))
    assert main(["train", str(train_file)]) == 130
    complaint = capsys.readouterr().err.strip().splitlines()[-1]
    assert complaint.startswith("reasoning-grpo train: interrupted; step 2 is saved in")
    assert complaint.endswith(f"`reasoning-grpo train --resume {only_run(recipe)}` goes on from there")


def test_a_significant_drop_ends_the_run_and_is_on_record(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # 20 right at the start, 20 wrong afterwards: 20 losses and no win, p = 2 x 0.5^20.
    answers = iter([True] + [False] * 10)

    def measured(prepared: Any, trainer: Any) -> dict[str, Verdict]:
        right = next(answers)
        verdict = Verdict(score=float(right), outcome=Outcome.PASS if right else Outcome.FAIL)
        return {str(i): verdict for i in range(20)}

    monkeypatch.setattr(assemble, "_heldout_verdicts", measured)
    result = train(make_recipe(tiny_model, tmp_path, every=1))
    expected = {"step": 2, "best_step": 0, "wins": 0, "losses": 20, "p_value": pytest.approx(2 * 0.5**20)}
    assert result.stopped_early == expected
    manifest = json.loads((result.run_dir / "manifest.json").read_text())
    assert (manifest["status"], manifest["stopped_early"]) == ("finished", expected)
    heldout = [json.loads(line)["step"] for line in (result.run_dir / "heldout.jsonl").read_text().splitlines()]
    assert heldout == [0, 1, 2]
    assert main(["train", "--resume", str(result.run_dir)]) == 0
    assert "fell below that of step 0 twice in a row (20 problems lost, 0 gained, p = 2e-06)" in capsys.readouterr().out
