"""Run by `torch.distributed.run`: gradients shared by two processes, ours against TRL's, of fixed rollouts.

    two_processes.py MODEL OUT

Process 0 has signal in two of its four groups, process 1 in one, or in none. OUT becomes a folder with a file per
process: the worst error of each case, and how many rows our optimizer steps computed.
"""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from gradients import LOSSES, Rollouts, train, worst_error
from transformers import AutoModelForCausalLM
from trl import GRPOTrainer

from reasoning_grpo import fast_grpo
from reasoning_grpo.fast_grpo import FastGRPOTrainer
from reasoning_grpo.models import load_tokenizer
from reasoning_grpo.update.packed_forward import packed_log_probs

CASES: dict[str, dict[str, Any]] = {
    **{loss_type: {"loss_type": loss_type} for loss_type in LOSSES},
    "a KL term": {"beta": 0.1},
    "nothing to learn on one side": {"rewards": [1.0]},
    "two passes": {"num_iterations": 2, "max_steps": 4},
    "two steps a generation": {"steps_per_generation": 8, "max_steps": 4},
    "two generations a step": {"gradient_accumulation_steps": 8, "steps_per_generation": 4},
    "what is cut off is masked": {"mask_truncated_completions": True},
}
ONE_LOUD_GROUP = (1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1, 0, 1, 0, 0)
RANK = int(os.environ["RANK"])


def main(folder: str, out: Path) -> None:
    """Compare every case."""
    found = {name: compare(folder, out, **options) for name, options in CASES.items()}
    out.mkdir(exist_ok=True)
    (out / f"{RANK}.json").write_text(json.dumps(found))


def compare(folder: str, out: Path, rewards: Sequence[float] = ONE_LOUD_GROUP, **options: Any) -> dict[str, float]:
    """Return the worst error of our gradients, and the number of rows we computed for them."""
    steps, rows = {}, 0

    def spy(model: Any, base: Any, packed: Any, temperature: float | None) -> Any:
        nonlocal rows
        rows += len(packed.suffix_lengths) if torch.is_grad_enabled() else 0
        return packed_log_probs(model, base, packed, temperature)

    for trainer_class in (GRPOTrainer, FastGRPOTrainer):
        model = AutoModelForCausalLM.from_pretrained(folder)
        rollouts = Rollouts(rewards, seed=1) if RANK else Rollouts()
        with mock.patch.object(fast_grpo, "packed_log_probs", spy):
            steps[trainer_class], _ = train(
                trainer_class, model, load_tokenizer(folder), out / "trainer", rollouts=rollouts, **options
            )
    return {"error": worst_error(steps[FastGRPOTrainer], steps[GRPOTrainer]), "rows": rows}


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
