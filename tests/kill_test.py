"""Kill a training run again and again, resume it each time, and compare what it becomes with a run left alone.

    python tests/kill_test.py --kills 20 [--seed 0] [--json FILE]

The run is a small one on the shipped demo model in which everything that a checkpoint must hold matters: completions
are used for two updates and checkpoints fall between them, several epochs, logs every second step, a learning rate that
moves, groups replaced by fresh prompts, a verifier in processes of its own, held-out accuracy with a best model. Each
attempt is a forked process that reports what it is doing through a pipe; the parent picks a moment inside generation,
scoring, the draw of fresh prompts, the update, the optimizer, saving, held-out measurement or keeping a model, and
sends SIGKILL. Between two attempts the run folder is sometimes moved. Weights must be equal to the
last bit, log rows in everything but times.
"""

import argparse
import contextlib
import hashlib
import json
import os
import random
import select
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # forked processes must not inherit a pool of threads

from reasoning_grpo.commands.process import prepare_process

# Right are about one in three, so that many groups of four have no signal; the second term shapes.
VERIFIER = """
def thirds(completion, problem):
    return sum(map(ord, completion.text)) % 3 == 0

def evens(completion, problem):
    return min(1.0, sum(c in "02468" for c in completion.text) / 5)
"""
# Phase -> the methods whose time it is, as (module, class or None, function).
PHASES = {
    "generation": ("reasoning_grpo.trainer", "ReasoningGRPOTrainer", "_collect"),
    "scoring": ("reasoning_grpo.rewards.stream", "ScoreStream", "submit"),
    "fresh prompts": ("reasoning_grpo.dynamic_sampling", "PromptReserve", "draw"),
    "waiting": ("reasoning_grpo.rewards.stream", "ScoreStream", "results"),
    "update": ("transformers.trainer", "Trainer", "training_step"),
    "optimizer": ("torch.optim.adamw", "AdamW", "step"),
    "saving": ("reasoning_grpo.durable", "DurableTrainer", "_save_checkpoint"),
    "held-out": ("reasoning_grpo.heldout", "HeldoutAccuracy", "measure_if_due"),
    "best model": ("reasoning_grpo.heldout", "HeldoutAccuracy", "_keep"),
    "final model": ("reasoning_grpo.train", None, "_save_final"),
}
TIMES = {"time", "step_time", "train_runtime", "train_samples_per_second", "train_steps_per_second"}
NUM_STEPS = 11
# A signal from outside comes too late for what is shorter than this: there the process stops at the door and waits.
SHORT_SECONDS = 0.01


def make_recipe(folder: Path) -> Any:
    """Return the recipe of the run."""
    from reasoning_grpo.config import HeldoutConfig, ModelConfig, PromptConfig, Recipe, TrainConfig
    from reasoning_grpo.data import DataSource
    from reasoning_grpo.rewards import RewardTerm

    verifier = folder / "evens.py"
    verifier.write_text(VERIFIER)
    return Recipe(
        model=ModelConfig(name=str(resources.files("reasoning_grpo").joinpath("demo_model"))),
        data=DataSource(name="arithmetic", limit=21),  # 9 after the held-out ones: an epoch is 6 steps
        prompt=PromptConfig(style="bare-tags"),
        rewards=(
            RewardTerm(name="thirds", verifier=f"{verifier}:thirds"),
            RewardTerm(name="evens", verifier=f"{verifier}:evens", isolate=True),
        ),
        train=TrainConfig(
            steps=NUM_STEPS,
            prompts_per_step=3,
            num_generations=4,
            max_completion_tokens=12,
            learning_rate=3e-3,
            micro_batch_size=4,
            max_resampling_rounds=2,
            save_every=3,
        ),
        heldout=HeldoutConfig(every=1, num_problems=12, stop_on_drop=False),
        trl={"num_iterations": 2, "beta": 0.01, "logging_steps": 2, "lr_scheduler_type": "cosine"},
        output_dir=str(folder / "out"),
    )


class Attempt:
    """A forked process that trains or resumes, and the phase it last reported."""

    def __init__(self, work: Callable[[], object], log: Path, stop_at: tuple[str, int] | None = None) -> None:
        reader, writer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(reader)
            _child(work, writer, log, stop_at)
        os.close(writer)
        self._reader = reader
        self._phases = ["start"]
        self.seen: Counter[str] = Counter()
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.ended = False
        self._entered = time.monotonic()

    def watch(self, seconds: float, until: tuple[str, int] | None = None) -> bool:
        """Follow the phases for some time; return whether the n-th entry into a phase was seen."""
        deadline = time.monotonic() + seconds
        while not self.ended and (left := deadline - time.monotonic()) > 0:
            if not select.select([self._reader], [], [], left)[0]:
                break
            byte = os.read(self._reader, 1)
            self.ended = not byte
            if not byte:
                break
            self._note(byte)
            if until is not None and byte != b"." and (self.phase, self.seen[self.phase]) == until:
                return True
        return False

    @property
    def phase(self) -> str:
        """What the process is doing, the innermost phase where they are nested."""
        return self._phases[-1]

    def _note(self, mark: bytes) -> None:
        now = time.monotonic()
        self.seconds[self.phase] += now - self._entered
        self._entered = now
        if mark == b".":
            self._phases.pop()
            return
        self._phases[0] = "elsewhere"  # the start is over with the first phase
        self._phases.append(list(PHASES)[mark[0] - ord("0")])
        self.seen[self.phase] += 1

    def kill(self) -> None:
        """Send SIGKILL."""
        os.kill(self.pid, signal.SIGKILL)

    def exit_code(self) -> int:
        """Wait for the process; negative is the signal that ended it."""
        os.close(self._reader)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def _child(work: Callable[[], object], pipe: int, log: Path, stop_at: tuple[str, int] | None) -> None:
    """Run `work` in this forked process and leave without the parent's clean-up."""
    code = 1
    with contextlib.suppress(BaseException):
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        try:
            for number, (phase, place) in enumerate(PHASES.items()):
                stop_at_entry = stop_at[1] if stop_at and stop_at[0] == phase else 0
                _report(place, bytes([ord("0") + number]), pipe, stop_at_entry)
            work()
            code = 0
        except BaseException:
            import traceback

            traceback.print_exc()
            sys.stderr.flush()
    os._exit(code)


def _report(place: tuple[str, str | None, str], mark: bytes, pipe: int, stop_at_entry: int) -> None:
    """Make a function write its mark when it is entered and a dot when it is left, and stop dead at one entry."""
    import importlib

    num_entries = 0

    module = importlib.import_module(place[0])
    owner = getattr(module, place[1]) if place[1] else module
    function = getattr(owner, place[2])

    def reporting(*args: Any, **kwargs: Any) -> Any:
        nonlocal num_entries
        num_entries += 1
        os.write(pipe, mark)
        if num_entries == stop_at_entry:
            os.kill(os.getpid(), signal.SIGSTOP)
        try:
            return function(*args, **kwargs)
        finally:
            os.write(pipe, b".")

    setattr(owner, place[2], reporting)


def comparable(run_dir: Path) -> dict[str, Any]:
    """Return everything of a finished run that must not depend on how often it died."""
    digests = {
        name: hashlib.sha256((run_dir / name / "model.safetensors").read_bytes()).hexdigest()
        for name in ("final", "best")
        if (run_dir / name).is_dir()
    }
    logs = {
        name: [_timeless(json.loads(line)) for line in (run_dir / name).read_text("utf-8").splitlines()]
        for name in ("metrics.jsonl", "heldout.jsonl", "rollouts/rank-0.jsonl")
    }
    manifest = json.loads((run_dir / "manifest.json").read_text())
    return {**digests, **logs, "status": manifest["status"], "best_step": manifest["best_step"]}


def _timeless(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in TIMES}


def run_alone(recipe: Any, log: Path) -> tuple[Path, Attempt]:
    """Run without a kill; return the folder and what was seen of the process."""
    from reasoning_grpo.train import train

    attempt = Attempt(lambda: train(recipe, name="alone"), log)
    attempt.watch(600)
    assert attempt.exit_code() == 0, log.read_text()
    return next(Path(recipe.output_dir).glob("alone-*")), attempt


def moments(alone: Attempt, draw: random.Random) -> Iterator[tuple[str, int, float]]:
    """Yield (phase, which entry into it, seconds after that) for ever: every phase in turn, a random moment of it."""
    while True:
        for phase in PHASES:
            entries = alone.seen[phase]
            yield phase, draw.randint(1, min(4, entries)), draw.uniform(0, 0.8 * alone.seconds[phase] / entries)


def torture(recipe: Any, num_kills: int, alone: Attempt, draw: random.Random, log: Path) -> Iterator[Any]:
    """Yield ("killed", where) for each kill and ("finished", folder) for each run that got to its end."""
    from reasoning_grpo.train import resume, train

    run_dir: Path | None = None
    out = Path(recipe.output_dir)
    plan = moments(alone, draw)
    kills = 0
    while kills < num_kills or run_dir is not None:
        if run_dir is None:
            work: Callable[[], object] = lambda: train(recipe, name="killed")  # noqa: E731
            known = set(out.glob("*"))
        else:
            folder = run_dir
            work = lambda: resume(folder)  # noqa: B023, E731
        phase, entry, seconds = next(plan) if kills < num_kills else ("", 0, 0.0)
        is_short = 0 < seconds < SHORT_SECONDS
        attempt = Attempt(work, log, stop_at=(phase, entry) if is_short else None)
        if attempt.watch(600, until=(phase, entry)):
            attempt.watch(0 if is_short else seconds)
        if kills < num_kills and not attempt.ended:
            attempt.kill()
        attempt.watch(600)
        code = attempt.exit_code()
        if run_dir is None:
            run_dir = next((p for p in out.glob("killed-*") if p not in known and (p / "manifest.json").exists()), None)
        if code == -signal.SIGKILL:
            kills += 1
            yield "killed", attempt.phase
            run_dir = run_dir and _sometimes_move(run_dir, draw)
        else:
            assert code == 0, log.read_text()
            yield "finished", run_dir
            run_dir = None


def _sometimes_move(run_dir: Path, draw: random.Random) -> Path:
    if draw.random() < 0.7:
        return run_dir
    new = run_dir.with_name(f"moved-{draw.randrange(10**9)}")
    return run_dir.rename(new)


def kill_test(num_kills: int, seed: int, folder: Path) -> dict[str, Any]:
    """Return where the kills fell, how many runs finished, and what differs from the run left alone (nothing)."""
    draw = random.Random(seed)
    recipe, log = make_recipe(folder), folder / "log.txt"
    folder_alone, alone = run_alone(recipe, log)
    expected = comparable(folder_alone)
    where: Counter[str] = Counter()
    different: list[str] = []
    num_finished = 0
    resumed_after: list[int] = []
    for what, detail in torture(recipe, num_kills, alone, draw, log):
        if what == "killed":
            where[detail] += 1
            continue
        num_finished += 1
        manifest = json.loads((detail / "manifest.json").read_text())
        resumed_after += [note["after_step"] for note in manifest.get("resumes", [])]
        found = comparable(detail)
        different += [f"{detail.name}: {key}" for key in expected if found.get(key) != expected[key]]
        assert set(found) == set(expected)
    return {
        "num_kills": where.total(),
        "where": dict(where),
        "num_finished": num_finished,
        "resumed_after_step": resumed_after,
        "different": different,
    }


def main() -> int:
    """Run the test and print its result; exit code 1 where anything differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--keep", type=Path, help="work in this folder and leave it behind")
    args = parser.parse_args()
    prepare_process()
    import reasoning_grpo.train  # noqa: F401  # once, before the forks

    with contextlib.ExitStack() as stack:
        folder = args.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        result = kill_test(args.kills, args.seed, folder.resolve())
    print(json.dumps(result, indent=2))
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + "\n")
    return 1 if result["different"] else 0


if __name__ == "__main__":
    sys.exit(main())
