"""Train on GSM8K from Python: the same run as `reasoning-grpo train gsm8k-qwen2.5-0.5b`, in short."""

from reasoning_grpo.config import ModelConfig, PromptConfig, Recipe, TrainConfig
from reasoning_grpo.data import DataSource
from reasoning_grpo.train import train

if __name__ == "__main__":
    recipe = Recipe(
        model=ModelConfig(name="Qwen/Qwen2.5-0.5B-Instruct"),
        data=DataSource(name="gsm8k"),
        prompt=PromptConfig(style="chat-tags"),
        train=TrainConfig(steps=100, prompts_per_step=32, num_generations=8),
    )
    print(train(recipe).model_dir)
