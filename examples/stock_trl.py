"""The same rewards in a stock `trl.GRPOTrainer`, without the rest of this package.

    python examples/stock_trl.py reasoning_grpo/demo_model out/stock

prints the mean reward of two steps.
"""

import sys

from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

from reasoning_grpo.data.arithmetic import generate
from reasoning_grpo.rewards import RewardSpec, RewardTerm
from reasoning_grpo.trl_bridge import RewardFunction

SPEC = RewardSpec(
    terms=(
        RewardTerm(name="accuracy", verifier="accuracy"),
        RewardTerm(name="format", verifier="format", weight=0.1, gated_by="accuracy"),
    )
)


def main(model: str, output_dir: str) -> list[float]:
    """Train for two steps on a dataset with the columns `prompt` and `answer`; return the mean reward of each."""
    problems = list(generate("train", limit=8))
    rows = {"prompt": [f"{p.question}\n" for p in problems], "answer": [p.answer for p in problems]}
    config = GRPOConfig(
        output_dir=output_dir,
        max_steps=2,
        num_generations=4,
        per_device_train_batch_size=8,
        max_completion_length=64,
        bf16=False,
        gradient_checkpointing=False,
        logging_steps=1,
        report_to="none",
    )
    trainer = GRPOTrainer(
        model=model, args=config, reward_funcs=RewardFunction(SPEC), train_dataset=Dataset.from_dict(rows)
    )
    trainer.train()
    return [row["reward"] for row in trainer.state.log_history if "reward" in row]


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    print(main(*sys.argv[1:]))
