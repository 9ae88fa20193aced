"""The gradient step behind `reasoning_grpo.fast_grpo`: which rows are computed, packed how; nothing of TRL."""
