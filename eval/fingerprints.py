"""What a model is, in one short text that changes when its answers could.

For a folder it is the SHA-256 over the files that decide what it writes: weights, configuration and tokenizer, all read
(about a second per gigabyte; a name, a size or a date can stay while the weights change). For a hub id it is the commit
that was loaded, which the hub names after its content. Behind a server nobody can look: it is the server's address and
the name it gives the model, and it says so.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from reasoning_grpo.data.prompts import RenderedPrompt

# What decides what a model folder writes; a training run's notes beside the weights do not.
_DECIDING = (
    "*.safetensors",
    "*.bin",
    "config.json",
    "generation_config.json",
    "adapter_config.json",
    "tokenizer*",
    "vocab*",
    "merges.txt",
    "added_tokens.json",
    "special_tokens_map.json",
    "chat_template*",
    "*.model",
    "*.tekken",
)
_STAND_IN = "(the question stands here)"


def folder_fingerprint(folder: Path) -> str:
    """Return `sha256:` and 64 digits over the model's files and their names."""
    digest = hashlib.sha256()
    for path in sorted({path for pattern in _DECIDING for path in folder.glob(pattern) if path.is_file()}):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{path.name}\n{content}\n".encode())
    digest.update(_base_fingerprint(folder / "adapter_config.json").encode())
    return f"sha256:{digest.hexdigest()}"


def _base_fingerprint(adapter_config: Path) -> str:
    """Return that of the model adapters go on top of: empty without adapters, or where it was never loaded here."""
    if not adapter_config.is_file():
        return ""
    config = json.loads(adapter_config.read_text("utf-8"))
    base = config.get("base_model_name_or_path")
    if not isinstance(base, str):
        return ""
    if Path(base).is_dir():
        above = Path(base).resolve()
        return "" if above == adapter_config.parent.resolve() else folder_fingerprint(above)
    commit = loaded_commit(base, config.get("revision"))
    return hub_fingerprint(base, commit) if commit else ""


def loaded_commit(name: str, revision: str | None) -> str | None:
    """Return the commit of a hub model that this machine has loaded, None without one."""
    from huggingface_hub import try_to_load_from_cache

    try:
        found = try_to_load_from_cache(name, "config.json", revision=revision)
    except ValueError:  # no name a hub could have, such as a folder that is gone
        return None
    return Path(found).parent.name if isinstance(found, str) else None  # …/snapshots/COMMIT/config.json


def hub_fingerprint(name: str, commit: str) -> str:
    """Return the model's name on the hub with the commit that was loaded."""
    return f"hub:{name}@{commit}"


def server_fingerprint(base_url: str, model: str) -> str:
    """Return all that is known of a model behind a server."""
    return f"server:{base_url} {model}"


def prompt_fingerprint(render: Any) -> str:
    """Return the SHA-256 over a prompt with a stand-in for the question: the words, the template and its turns."""
    prompt: RenderedPrompt = render(_STAND_IN)
    return hashlib.sha256(prompt.text.encode("utf-8", "backslashreplace")).hexdigest()


def sample_key(prompt: str, model_fingerprint: str, identity: Mapping[str, Any], *, number: int, sample: int) -> str:
    """Return the name of a completion for good: the SHA-256 over all it depends on."""
    return _digest([prompt, model_fingerprint, dict(identity), number, sample])


def _digest(parts: Iterable[Any]) -> str:
    return hashlib.sha256(json.dumps(list(parts), sort_keys=True).encode()).hexdigest()
