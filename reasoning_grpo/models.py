"""Model folders and hub ids -> tokenizer and model, with one-sentence errors. Never runs remote code."""

import functools
import json
from pathlib import Path
from typing import Any

import huggingface_hub
import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from reasoning_grpo.config import LoraConfig, ModelConfig
from reasoning_grpo.data.hub import is_reachable
from reasoning_grpo.errors import ModelError

TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model", "vocab.txt", "tekken.json")
PROMPT_FILE = "prompt_style.json"


def load_tokenizer(name: str, revision: str | None = None) -> PreTrainedTokenizerBase:
    """Return the model's tokenizer, padding on the left, with a pad token.

    Raises:
        ModelError: nothing usable there; the message says what is missing and what to do.
    """
    _check_folder(name)
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            name, revision=revision, padding_side="left", local_files_only=_is_local_only(name)
        )
    except (OSError, ValueError, ImportError, KeyError) as error:
        raise ModelError(f"the tokenizer of `{name}` cannot be loaded: {_first_line(error)}. {_remedy(name)}") from None
    if tokenizer.eos_token is None:
        raise ModelError(
            f"the tokenizer of `{name}` has no end-of-text token; set `eos_token` in tokenizer_config.json"
        )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_model(model: ModelConfig, **init_kwargs: Any) -> PreTrainedModel:
    """Return the causal language model, with fresh LoRA adapters where the config asks for them.

    Raises:
        ModelError: nothing usable there; the message says what is missing and what to do.
    """
    _check_folder(model.name)
    dtype = "auto" if model.dtype == "auto" else getattr(torch, model.dtype)
    try:
        loaded = AutoModelForCausalLM.from_pretrained(
            model.name,
            revision=model.revision,
            local_files_only=_is_local_only(model.name),
            **{"dtype": dtype, **init_kwargs},
        )
    except torch.OutOfMemoryError:
        raise
    except TypeError as error:
        if not init_kwargs:
            raise
        raise ModelError(
            f"the model `{model.name}` does not take {init_kwargs}: {_first_line(error)}; see `trl.model_init_kwargs`"
        ) from None
    except (OSError, ValueError, ImportError, KeyError, RuntimeError, SafetensorError) as error:
        raise ModelError(
            f"the model `{model.name}` cannot be loaded: {_first_line(error)}. {_remedy(model.name)}"
        ) from None
    return add_lora(loaded, model.lora) if model.lora.r else loaded


def add_lora(model: PreTrainedModel, lora: LoraConfig) -> PreTrainedModel:
    """Wrap the model in trainable adapters; the base weights stay frozen."""
    try:
        import peft
    except ImportError:
        raise ModelError("`model.lora` needs peft; `pip install 'reasoning-grpo[lora]'`") from None
    targets = lora.target_modules if lora.target_modules == "all-linear" else lora.target_modules.split(",")
    config = peft.LoraConfig(
        r=lora.r, lora_alpha=lora.alpha, lora_dropout=lora.dropout, target_modules=targets, task_type="CAUSAL_LM"
    )
    try:
        return peft.get_peft_model(model, config)
    except ValueError as error:
        raise ModelError(f"`model.lora.target_modules` is {lora.target_modules!r}: {_first_line(error)}") from None


def end_token_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Return every id that ends a completion: the model's own list (an end-of-turn token, say) and the tokenizer's."""
    configured = model.generation_config.eos_token_id if model.generation_config else None
    ids = configured if isinstance(configured, list) else [configured]
    return frozenset(id_ for id_ in (*ids, tokenizer.eos_token_id) if id_ is not None)


def record_prompt_style(folder: Path, style: str) -> None:
    """Note beside the weights which prompt the model was trained on, so that a benchmark asks the same way."""
    (folder / PROMPT_FILE).write_text(json.dumps({"prompt_style": style}) + "\n", encoding="utf-8")


def recorded_prompt_style(name: str) -> str | None:
    """Return the prompt style a local model folder was trained on, or None where none is noted."""
    path = Path(name) / PROMPT_FILE
    if not path.is_file():
        return None
    try:
        style = json.loads(path.read_text(encoding="utf-8"))["prompt_style"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"`{path}` is damaged ({_first_line(error)}); delete it or name a style with `--prompt`"
        ) from None
    return str(style)


def _check_folder(name: str) -> None:
    """Refuse what is plainly no model before transformers turns it into a page about the hub."""
    path = Path(name)
    if path.is_dir():
        present = {entry.name for entry in path.iterdir()}
        if not present & {"config.json", "adapter_config.json"}:
            raise ModelError(f"`{name}` is a folder without config.json; name a folder written by `save_pretrained`")
        if not present & set(TOKENIZER_FILES):
            raise ModelError(
                f"the model folder `{name}` holds no tokenizer ({TOKENIZER_FILES[0]} or the like); "
                "save it there with `tokenizer.save_pretrained(folder)`"
            )
    elif path.exists() or name.startswith((".", "/", "~")) or name.endswith("/") or name.count("/") > 1:
        kind = "is a file" if path.exists() else "does not exist"
        raise ModelError(f"the model folder `{name}` {kind}; name a folder with config.json, or a hub id `org/name`")


@functools.cache
def _is_local_only(name: str) -> bool:
    """True for a folder, and for a hub id while the hub does not answer: its client would retry for a minute."""
    return Path(name).is_dir() or not is_reachable(huggingface_hub.constants.ENDPOINT)


def _remedy(name: str) -> str:
    if Path(name).is_dir():
        return "Check that the folder is complete."
    return (
        "There is no folder of that name here, so it was looked for on the hub: check the id and the network, "
        "`hf auth login` for a gated model, or name a local folder."
    )


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0].rstrip(".")[:300] or type(error).__name__
