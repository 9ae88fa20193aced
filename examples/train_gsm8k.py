"""Train on GSM8K from Python: the same run as `reasoning-grpo train gsm8k-qwen2.5-0.5b`."""

from reasoning_grpo.config import find_recipe, load_recipe
from reasoning_grpo.train import train

if __name__ == "__main__":
    recipe = load_recipe(find_recipe("gsm8k-qwen2.5-0.5b"))  # or build a `Recipe(model=..., data=..., train=...)`
    print(train(recipe).model_dir)
