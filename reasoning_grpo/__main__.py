"""`python -m reasoning_grpo` is `reasoning-grpo`; `accelerate launch -m reasoning_grpo train …` trains on many GPUs."""

import sys

from reasoning_grpo.cli import main

if __name__ == "__main__":
    sys.exit(main())
