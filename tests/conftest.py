"""A model small enough for any test: random weights, one token per character."""

import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reasoning_grpo.commands.process import SLEEP_AT_ONCE


def pytest_configure(config: pytest.Config) -> None:
    """Let torch's threads sleep, before anything imports torch: tests share the machine with processes they start."""
    import os

    for name, value in SLEEP_AT_ONCE.items():
        os.environ.setdefault(name, value)


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say which tests on real data will be left out."""
    import os

    names = ("REASONING_GRPO_DATA", "REASONING_GRPO_OUTPUTS", "REASONING_GRPO_VERIFIER_CORPUS")
    return [f"{name}: {os.environ.get(name) or 'not set, tests that need it are skipped'}" for name in names]


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a two-layer Llama of random weights and a character tokenizer."""
    import torch
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tiny-model")
    vocabulary = {token: i for i, token in enumerate(["<pad>", "<eos>", "<unk>", *string.printable])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("[\\s\\S]"), "isolated")
    from tokenizers import decoders

    tokenizer.decoder = decoders.Fuse()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>"
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=256,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=None,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def make_tiny() -> Callable[[str], Any]:
    """Return a function from an architecture's name to a model of it with random weights and a vocabulary of 103."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    def make(name: str) -> Any:
        torch.manual_seed(0)
        shape = {"n_embd": 32, "n_layer": 2, "n_head": 4} if name == "gpt2" else {}
        window = {"sliding_window": 6} if name in ("mistral", "gemma3_text") else {}
        layers = {"layer_types": ["sliding_attention", "full_attention"]} if name == "gemma3_text" else {}
        config = AutoConfig.for_model(
            name,
            vocab_size=103,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=4 if name in ("gpt_neox", "gpt2") else 2,
            head_dim=8,
            max_position_embeddings=256,
            pad_token_id=0,
            eos_token_id=1,
            bos_token_id=None,
            initializer_range=0.3,  # far from uniform logits, so that an error shows
            attention_dropout=0.0,
            hidden_dropout=0.0,
            attn_pdrop=0.0,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            tie_word_embeddings=False,
            **shape,
            **window,
            **layers,
        )
        return AutoModelForCausalLM.from_config(config).eval()

    return make
