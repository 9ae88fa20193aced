"""Graders as other projects have them, re-implemented for comparison: never for training, never with `eval`.

A benchmark number depends on its grader by points. `score --convention NAME` says what a known grader would have
reported on the same completions; what each one does wrong is part of it. Each is a verifier too, under the same name
with `_` for `-`, so `bench --verifier last_number` works.

| name | re-implemented from the description of | reads | compares |
|---|---|---|---|
| `qwen` | QwenLM/Qwen2.5-Math, evaluation | last box, "answer is", last number | within 1e-4, percent, symbols |
| `math-verify` | huggingface/Math-Verify 0.9, defaults | its own patterns | its own, in a process |
| `last-number` | lm-evaluation-harness, gsm8k `flexible-extract` | the last number anywhere | text |
| `strict-box` | hendrycks/math, `is_equiv` | the last box | text after its normaliser |
| `gsm8k-hash` | openai/grade-school-math | the first `#### N` | text without commas |
"""

from collections.abc import Mapping

# Name on the command line -> verifier.
CONVENTIONS: Mapping[str, str] = {
    "qwen": "qwen",
    "math-verify": "math_verify",
    "last-number": "last_number",
    "strict-box": "strict_box",
    "gsm8k-hash": "gsm8k_hash",
}
