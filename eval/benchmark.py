"""One call from a suite and a model to a folder with every attempt and the result."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import PreTrainedTokenizerBase

from reasoning_grpo import storage
from reasoning_grpo.config import ModelConfig
from reasoning_grpo.data.prompts import get_style
from reasoning_grpo.data.sources import LoadedProblems, load_problems
from reasoning_grpo.eval.backends import Backend, TransformersBackend
from reasoning_grpo.eval.harness import ATTEMPTS_FILE, BenchmarkResult, attempt_row, run_benchmark, write_result
from reasoning_grpo.eval.suite import Suite
from reasoning_grpo.manifest import hardware, versions
from reasoning_grpo.models import load_model, load_tokenizer, recorded_prompt_style
from reasoning_grpo.progress import progress
from reasoning_grpo.rewards.compose import RewardSpec, RewardTerm
from reasoning_grpo.rollout import Sampling
from reasoning_grpo.schema import Attempt, Problem

Dtype = Literal["auto", "float32", "bfloat16"]


def benchmark(
    suite: Suite,
    model: str,
    *,
    revision: str | None = None,
    dtype: Dtype = "auto",
    prompt: str | None = None,
    verifier: str = "accuracy",
    batch_size: int = 128,
    out: Path = Path("out/bench"),
) -> tuple[Path, BenchmarkResult]:
    """Ask the model every problem of the suite greedily; return the folder written and the result in it.

    Raises:
        UserError: the suite, the model or the verifier cannot be used; no folder was made then.
    """
    terms = (RewardTerm(name="accuracy", verifier=verifier),)
    RewardSpec(terms=terms).check()
    loaded = load_problems(suite.data)
    tokenizer = load_tokenizer(model, revision)
    style = get_style(prompt or recorded_prompt_style(model) or suite.prompt or fitting_style(tokenizer))
    dtype = _dtype(dtype)
    weights = load_model(ModelConfig(name=model, revision=revision, dtype=dtype)).to(_device())
    sampling = Sampling(max_completion_tokens=suite.max_completion_tokens)
    backend = TransformersBackend(weights, tokenizer, style, sampling, max_batch_size=batch_size)
    spec = RewardSpec(terms=terms, answer_format=backend.answer_format)
    folder = storage.new_folder(out, f"{suite.name}-{_slug(model)}")
    result = _recorded_run(suite.name, loaded.problems, backend, spec, folder)
    asked = {"suite": suite.name, "model": model, "revision": revision, "dtype": dtype, "verifier": verifier}
    write_result(folder, result, {**asked, **_facts(suite, style.name, loaded)})
    return folder, result


def fitting_style(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return a prompt style for a model that no training run of ours has marked with its own."""
    return "chat-boxed" if getattr(tokenizer, "chat_template", None) else "r1-zero"


def _recorded_run(
    name: str, problems: Sequence[Problem], backend: Backend, spec: RewardSpec, folder: Path
) -> BenchmarkResult:
    num_right = num_done = 0
    with progress(f"bench {name}", total=len(problems)) as bar, storage.JsonlWriter(folder / ATTEMPTS_FILE) as file:

        def record(attempt: Attempt, problem: Problem) -> None:
            nonlocal num_right, num_done
            file.write(attempt_row(attempt, problem))
            num_right += attempt.verdicts[spec.terms[0].name].passed
            num_done += 1
            bar.advance(1, f"{100 * num_right / num_done:.1f} % right")

        return run_benchmark(problems, backend, spec, on_attempt=record)


def _facts(suite: Suite, style: str, loaded: LoadedProblems) -> dict[str, Any]:
    return {
        "prompt": style,
        "max_completion_tokens": suite.max_completion_tokens,
        "data": {"origin": loaded.origin, "fingerprint": loaded.fingerprint},
        "num_dropped_empty_answer": loaded.num_dropped_empty,
        "versions": versions(),
        "hardware": hardware(),
        "ended": storage.now(),
    }


def _dtype(asked: Dtype) -> Dtype:
    """Return the type to compute in: the machine decides, not the file, or before and after would differ in it."""
    if asked != "auto":
        return asked
    return "bfloat16" if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else "float32"


def _device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _slug(model: str) -> str:
    """Return the model's last two path parts as a folder name: a run's `best` alone would say nothing."""
    parts = [part for part in Path(model).parts if part not in ("/", ".", "..")]
    return re.sub(r"[^A-Za-z0-9._-]+", "-", "-".join(parts[-2:])) or "model"
