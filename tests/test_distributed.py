"""A run over two processes: the batch is shared out, and only one process speaks and writes the common files."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

from gradients import LOSSES, TOLERANCE

HELPERS = Path(__file__).parent / "helpers"
LAUNCH = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]


def test_two_processes_share_one_step(tiny_model: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        f'output_dir = "{tmp_path}/out"\n[model]\nname = "{tiny_model}"\n[data]\nname = "arithmetic"\nlimit = 30\n'
        '[prompt]\nstyle = "bare-tags"\n[heldout]\nevery = 1\nnum_problems = 5\n'
        "[train]\nsteps = 1\nprompts_per_step = 3\nnum_generations = 3\nmax_completion_tokens = 6\n"
        "micro_batch_size = 2\nsave_every = 0\n"
    )
    command = [*LAUNCH, "-m", "reasoning_grpo", "train", str(recipe)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("run:") == 1
    assert done.stderr.count("training: 1/1") == 1
    assert done.stderr.count("prompts_per_step raised from 3 to 4") == 1
    run_dir = next((tmp_path / "out").iterdir())
    plan = json.loads((run_dir / "manifest.json").read_text())["batch_plan"]
    # 3 x 3 = 9 rows do not divide over 2 processes, 4 x 3 = 12 do: 6 each, in micro-batches of 2
    assert (plan["world_size"], plan["prompts_per_step"], plan["micro_batch_size"]) == (2, 4, 2)
    rollouts = [path.read_text("utf-8").splitlines() for path in sorted((run_dir / "rollouts").iterdir())]
    assert [len(lines) for lines in rollouts] == [6, 6]
    heldout = [json.loads(line) for line in (run_dir / "heldout.jsonl").read_text().splitlines()]
    assert [(row["step"], row["num_graded"]) for row in heldout] == [(0, 5), (1, 5)]


def test_two_processes_replace_groups_each_its_own_and_no_prompt_comes_twice(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "def odd(completion, problem):\n    return len(completion.text.split()) % 2 == 1\n"
    )
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        f'output_dir = "{tmp_path}/out"\n[model]\nname = "{tiny_model}"\n[data]\nname = "arithmetic"\nlimit = 14\n'
        '[prompt]\nstyle = "bare-tags"\n[heldout]\nevery = 0\n'
        f'[[rewards]]\nname = "odd"\nverifier = "{tmp_path}/mine.py:odd"\n'
        "[train]\nsteps = 2\nprompts_per_step = 4\nnum_generations = 2\nmax_completion_tokens = 8\n"
        "micro_batch_size = 2\nsave_every = 0\nmax_resampling_rounds = 2\n"
    )
    command = [*LAUNCH, "-m", "reasoning_grpo", "train", str(recipe)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    run_dir = next((tmp_path / "out").iterdir())
    logs = [path.read_text("utf-8").splitlines() for path in sorted((run_dir / "rollouts").iterdir())]
    rows = [json.loads(line) for log in logs for line in log]
    metrics = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text("utf-8").splitlines()]
    for step in range(2):
        here = [row for row in rows if row["step"] == step]
        assert set(Counter(row["prompt"] for row in here).values()) == {2}
        assert sum(row["replaced"] is None for row in here) == 4 * 2
        counted = {cause: metrics[step][f"groups/replaced_{cause}"] for cause in ("all_right", "all_wrong")}
        assert counted == {cause: sum(row["replaced"] == cause for row in here) / 2 for cause in counted}
    assert sum(row["replaced"] is not None for row in rows) > 0


def test_processes_with_different_numbers_of_silent_rows_share_trls_gradients(tiny_model: Path, tmp_path: Path) -> None:
    command = [*LAUNCH, str(HELPERS / "two_processes.py"), str(tiny_model), str(tmp_path)]
    environment = {**os.environ, "TRL_EXPERIMENTAL_SILENCE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    for rank in range(2):
        found = json.loads((tmp_path / f"{rank}.json").read_text())
        errors = {name: case["error"] for name, case in found.items()}
        assert max(errors.values()) < TOLERANCE, errors
        # Two steps of 16 rows, of which 8 carry signal in one process and 4 or none in the other: both compute 8.
        # bnpo's mean over a micro-batch's tokens, and a KL term, need every row.
        rows = {name: case["rows"] for name, case in found.items()}
        expected = {"bnpo": 32, "a KL term": 32}
        for name in (*LOSSES, "a KL term", "nothing to learn on one side"):
            assert rows[name] == expected.get(name, 16), name
