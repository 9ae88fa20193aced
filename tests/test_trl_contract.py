"""What we rely on in TRL and transformers. A failure here names the seam that moved, before anything else breaks."""

import inspect

import pytest
from transformers import Trainer
from trl import GRPOTrainer
from trl.trainer import utils

HINT = "TRL moved a seam that reasoning_grpo/fast_grpo.py builds on: {}. Read its new source, then adapt and re-pin."


def source(name: str) -> str:
    return inspect.getsource(getattr(GRPOTrainer, name))


@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        ("_prepare_inputs", ["generation_batch"]),
        ("_generate_and_score_completions", ["inputs"]),
        ("_generate", ["prompts"]),
        ("_calculate_rewards", ["inputs", "prompts", "completions", "completion_ids_list"]),
        ("_compute_loss", ["model", "inputs"]),
        ("_tokenize_prompts", ["prompts"]),
        (
            "_get_per_token_logps_and_entropies",
            [
                "model",
                "input_ids",
                "attention_mask",
                "logits_to_keep",
                "batch_size",
                "compute_entropy",
                "compute_aux_loss",
            ],
        ),
    ],
)
def test_a_method_we_override_or_call_takes_what_it_took(method: str, parameters: list[str]) -> None:
    found = getattr(GRPOTrainer, method, None)
    assert found is not None, HINT.format(f"`{method}` is gone")
    names = list(inspect.signature(found).parameters)[1:]
    assert names[: len(parameters)] == parameters, HINT.format(f"`{method}` takes {names}")


@pytest.mark.parametrize(
    ("method", "words", "meaning"),
    [
        ("_prepare_inputs", "self._buffered_inputs[self._step % self.args.steps_per_generation]", "the buffer's order"),
        ("_prepare_inputs", "self._step % generate_every == 0 or self._buffered_inputs is None", "when it generates"),
        ("_compute_loss", "self._get_per_token_logps_and_entropies(", "the loss asks for log-probabilities here"),
        ("_compute_loss", 'loss_type in ["grpo", "sapo"]', "which losses are means over rows"),
        ("_compute_loss", 'loss_type in ["cispo", "dapo", "vespo"]', "which losses are sums over the batch"),
        ("_generate", "self.rollout_func(prompts, self)", "how rollouts are asked for"),
        ("_generate", '{"prompt_ids", "completion_ids", "logprobs"}', "what a rollout returns"),
        (
            "_generate",
            "completions = self.processing_class.batch_decode(completion_ids, skip_special_tokens=True)",
            "how token ids become the text that is judged",
        ),
        ("_generate", "self.state.num_input_tokens_seen += ", "where tokens are counted"),
        ("_generate_and_score_completions", "self._generate(prompts)", "what is answered with collected completions"),
        ("_generate_and_score_completions", "self._calculate_rewards(", "what is answered with collected scores"),
    ],
)
def test_a_method_we_rely_on_still_says_so(method: str, words: str, meaning: str) -> None:
    assert words in source(method), HINT.format(f"{meaning} (`{method}`)")


def test_the_fused_head_still_scores_labels_that_are_shifted_already() -> None:
    text = inspect.getsource(utils.add_fused_lm_head)
    for words in (
        "shift_labels",
        "getattr(self, backbone_attr)(*args, **kwargs)",
        "backbone_outputs.last_hidden_state",
    ):
        assert words in text, HINT.format(f"`add_fused_lm_head` without `{words}`")


def test_the_loss_types_are_those_we_have_compared() -> None:
    from reasoning_grpo.trl_config import CHOICES
    from reasoning_grpo.update.microbatches import BATCH_SUMS, ROW_MEANS, TOKEN_MEANS

    assert set(CHOICES["loss_type"]) == ROW_MEANS | BATCH_SUMS | TOKEN_MEANS
    for name in CHOICES["loss_type"]:
        assert f'"{name}"' in source("_compute_loss"), HINT.format(f"no loss type {name!r}")


def test_transformers_counts_micro_batches_where_we_read_it() -> None:
    assert "self.current_gradient_accumulation_steps = len(batch_samples)" in inspect.getsource(Trainer)
