"""The decode loop behind `reasoning_grpo.rollout`: cache, shared prompts, sampling; nothing of TRL."""
