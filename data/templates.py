"""A model's chat template from a file: enough to see what it writes for the model, without weights or vocabulary.

Templates are code of their author's; they are rendered in jinja's immutable sandbox, as transformers does it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reasoning_grpo.errors import ModelError


class TemplateOnly:
    """Stands in for a tokenizer where only its chat template matters: `render(style, question, TemplateOnly(text))`."""

    bos_token: Any = "<bos>"
    bos_token_id: Any = None

    def __init__(self, chat_template: str) -> None:
        self.chat_template: Any = chat_template

    def __call__(self, text: str, /) -> Any:
        """Return no tokens: without a vocabulary there are none."""
        return {"input_ids": []}

    def apply_chat_template(
        self, conversation: Sequence[Any], /, *, tokenize: bool, add_generation_prompt: bool, **kw: Any
    ) -> str:
        """Return the conversation as text."""
        from jinja2 import TemplateError
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        def refuse(message: str) -> None:
            raise TemplateError(message)

        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        environment.globals["raise_exception"] = refuse
        template = environment.from_string(self.chat_template)
        return template.render(
            messages=conversation,
            add_generation_prompt=add_generation_prompt,
            bos_token=self.bos_token,
            eos_token="<eos>",
            **kw,
        )


def read_template(path: Path) -> TemplateOnly:
    """Read a `.jinja` file, or the `chat_template.jinja` or `tokenizer_config.json` of a model folder.

    Raises:
        ModelError: There is no template.
    """
    if path.is_dir():
        return _from_folder(path)
    try:
        return TemplateOnly(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"`{path}` cannot be read as a chat template: {error}") from None


def _from_folder(folder: Path) -> TemplateOnly:
    import json

    if (folder / "chat_template.jinja").is_file():
        return read_template(folder / "chat_template.jinja")
    config = folder / "tokenizer_config.json"
    text = json.loads(config.read_text(encoding="utf-8")).get("chat_template") if config.is_file() else None
    if not isinstance(text, str):
        raise ModelError(f"the model folder `{folder}` has no chat template; name a `.jinja` file with `--template`")
    return TemplateOnly(text)
