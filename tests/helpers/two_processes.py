"""Run by `torch.distributed.run`: gradients shared by two processes, ours against TRL's, of fixed rollouts.

    two_processes.py MODEL OUT

Process 0 has signal in two of its four groups, process 1 in one. OUT becomes a folder with a file per process: the
worst error by loss and beta, and how many rows our optimizer steps computed.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any
from unittest import mock

from gradients import LOSSES, Rollouts, train, worst_error
from transformers import AutoModelForCausalLM
from trl import GRPOTrainer

from reasoning_grpo import fast_grpo
from reasoning_grpo.fast_grpo import FastGRPOTrainer
from reasoning_grpo.models import load_tokenizer
from reasoning_grpo.update.packed_forward import packed_log_probs

ONE_LOUD_GROUP = (1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1, 0, 1, 0, 0)
RANK = int(os.environ["RANK"])


def rollouts() -> Rollouts:
    """Return what this process is given to train on."""
    return Rollouts(ONE_LOUD_GROUP, seed=1) if RANK else Rollouts()


def main(folder: str, out: Path) -> None:
    """Compare every loss."""
    tokenizer, rows, errors = load_tokenizer(folder), 0, {}

    def spy(model: Any, base: Any, packed: Any, temperature: float | None) -> Any:
        nonlocal rows
        rows += len(packed.suffix_lengths) if model.training else 0
        return packed_log_probs(model, base, packed, temperature)

    counted = {}
    for loss_type, beta in [(loss_type, 0.0) for loss_type in LOSSES] + [("dapo", 0.1)]:
        steps, rows = {}, 0
        for trainer_class in (GRPOTrainer, FastGRPOTrainer):
            model = AutoModelForCausalLM.from_pretrained(folder)
            options: dict[str, Any] = {"rollouts": rollouts(), "loss_type": loss_type, "beta": beta}
            with mock.patch.object(fast_grpo, "packed_log_probs", spy):
                steps[trainer_class], _ = train(trainer_class, model, tokenizer, out / "trainer", **options)
        name = f"{loss_type}, {beta}"
        errors[name], counted[name] = worst_error(steps[FastGRPOTrainer], steps[GRPOTrainer]), rows
    out.mkdir(exist_ok=True)
    (out / f"{RANK}.json").write_text(json.dumps({"errors": errors, "rows": counted}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
