"""Where an attention of our own goes into a model: by name, for as long as a block runs.

transformers looks the function up by the name in each layer's configuration, at every call.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

from transformers import PretrainedConfig, PreTrainedModel

# What an attention layer may pass besides: nothing of it changes the result of ours.
HARMLESS = frozenset({"position_ids", "use_cache", "is_causal", "output_attentions", "sliding_window", "packed_plan"})
LENGTH_DEPENDENT_ROTATIONS = ("dynamic", "longrope")


def attention_configs(model: PreTrainedModel) -> list[Any]:
    """Return the configurations that name a layer's attention, each once."""
    return list({id(module.config): module.config for module in model.modules() if hasattr(module, "config")}.values())


def rotates_by_length(config: PretrainedConfig) -> bool:
    """Return whether the longest row of a forward pass decides how the positions of all rows are rotated."""
    rope = getattr(config.get_text_config(), "rope_parameters", None) or {}
    parts = [rope, *(part for part in rope.values() if isinstance(part, dict))]  # one for all layers, or by their type
    return any(part.get("rope_type") in LENGTH_DEPENDENT_ROTATIONS for part in parts)


@contextlib.contextmanager
def attention_named(model: PreTrainedModel, name: str) -> Iterator[None]:
    """Let every attention layer of the model use the registered function of this name while the block runs."""
    configs = attention_configs(model)
    own = [config._attn_implementation_internal for config in configs]
    for config in configs:
        config._attn_implementation_internal = name
    try:
        yield
    finally:
        for config, one in zip(configs, own, strict=True):
            config._attn_implementation_internal = one
