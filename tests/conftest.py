"""A model small enough for any test: random weights, one token per character."""

import string
from pathlib import Path

import pytest

from reasoning_grpo.commands.process import SLEEPING_THREADS


def pytest_configure(config: pytest.Config) -> None:
    """Let torch's threads sleep as the command line does, before anything imports torch."""
    import os

    for name, value in SLEEPING_THREADS.items():
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
