"""Open the model that was asked for: backend, prompt style, and what the record of the run says about it."""

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from reasoning_grpo.data.prompts import PromptStyle, get_style
from reasoning_grpo.errors import ModelError, RecipeError, UserError
from reasoning_grpo.eval.backends import Backend
from reasoning_grpo.eval.fingerprints import folder_fingerprint, hub_fingerprint, loaded_commit, server_fingerprint
from reasoning_grpo.eval.settings import Settings
from reasoning_grpo.schema import AnswerForm

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Dtype = Literal["auto", "float32", "bfloat16"]
BackendName = Literal["transformers", "vllm", "openai"]
EndpointName = Literal["chat", "completions"]

# What asks for each form, in a chat and without one.
_FITTING = {
    AnswerForm.BOXED: ("chat-boxed", "qa-boxed"),
    AnswerForm.TAGS: ("chat-tags", "r1-zero"),
    AnswerForm.HASH: ("chat-hash", None),
    AnswerForm.PLAIN: ("plain", "plain"),
    None: ("chat-boxed", "r1-zero"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOptions:
    """Which model, and how to reach it. What decides its answers is written down; the rest may change on a resume."""

    model: str
    revision: str | None = None
    backend: BackendName = "transformers"
    dtype: Dtype = "auto"
    batch_size: int = 128
    base_url: str | None = None
    endpoint: EndpointName = "chat"
    api_key_env: str | None = None
    tokenizer: str | None = None
    concurrency: int = 16
    deadline_seconds: float = 1800.0

    def __post_init__(self) -> None:
        for name in ("batch_size", "concurrency", "deadline_seconds"):
            if not getattr(self, name) > 0:
                raise UserError(f"`--{name.replace('_', '-')}` is {getattr(self, name)}; it must be more than 0")
        if (self.backend == "openai") != (self.base_url is not None):
            raise UserError(
                "`--backend openai` needs the server's address, `--base-url http://127.0.0.1:8000/v1`, and only it has "
                "one; give both or neither"
            )
        if self.tokenizer is not None and self.backend == "openai" and self.endpoint == "chat":
            raise UserError(
                "`--tokenizer` means nothing to `--endpoint chat`, where the server renders the prompt; leave it out, "
                "or add `--endpoint completions`"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A backend, the style it asks in, and the facts about its model."""

    backend: Backend
    style: PromptStyle
    facts: dict[str, Any]


def open_backend(
    options: ModelOptions, settings: Settings, *, prompt: str | None, suite_prompt: str | None, form: AnswerForm | None
) -> Opened:
    """Load the model or find the server.

    `prompt` is the style the person named; then comes the suite's, the one the model was trained on, and one that asks
    for `form` and fits the model.

    Raises:
        UserError: it cannot be used; nothing is left behind.
    """
    if options.backend == "openai":
        return _open_server(options, settings, prompt or suite_prompt, form)
    from reasoning_grpo.models import load_tokenizer, recorded_prompt_style

    tokenizer = load_tokenizer(options.model, options.revision)
    named = prompt or suite_prompt or recorded_prompt_style(options.model)
    style = get_style(named or fitting_style(form, is_chat=bool(getattr(tokenizer, "chat_template", None))))
    opened = _open_vllm if options.backend == "vllm" else _open_in_process
    return opened(options, settings, style, tokenizer)


def fitting_style(form: AnswerForm | None, *, is_chat: bool) -> str:
    """Return the prompt style for a model that no training run of ours has marked with its own.

    Raises:
        RecipeError: no shipped style asks a model without a chat template for this form.
    """
    style = _FITTING[form][0 if is_chat else 1]
    if style is None:
        raise RecipeError(
            f"no prompt style for models without a chat template asks for the answer form {str(form)!r}; name a style "
            "with `--prompt` (`reasoning-grpo styles` lists them)"
        )
    return style


def _open_in_process(
    options: ModelOptions, settings: Settings, style: PromptStyle, tokenizer: "PreTrainedTokenizerBase"
) -> Opened:
    from reasoning_grpo.config import ModelConfig
    from reasoning_grpo.engine.sampling import Sampling
    from reasoning_grpo.eval.backends.in_process import TransformersBackend
    from reasoning_grpo.models import load_model

    dtype = _dtype(options.dtype)
    config = ModelConfig(name=options.model, revision=options.revision, dtype=dtype)
    weights = load_model(config).to(_device())
    sampling = Sampling(max_completion_tokens=settings.max_completion_tokens, seed=settings.seed, **settings.sampling())
    backend = TransformersBackend(
        weights, tokenizer, style, sampling, stop=settings.stop, max_batch_size=options.batch_size
    )
    return Opened(backend=backend, style=style, facts=_facts(options, _fingerprint(options), dtype))


def _open_vllm(
    options: ModelOptions, settings: Settings, style: PromptStyle, tokenizer: "PreTrainedTokenizerBase"
) -> Opened:
    from reasoning_grpo.eval.backends.vllm import VllmBackend

    dtype = _dtype(options.dtype)
    backend = VllmBackend(options.model, tokenizer, style, settings, revision=options.revision, dtype=dtype)
    return Opened(backend=backend, style=style, facts=_facts(options, _fingerprint(options), dtype))


def _open_server(options: ModelOptions, settings: Settings, prompt: str | None, form: AnswerForm | None) -> Opened:
    from reasoning_grpo.eval.backends.server import Endpoint, ServerBackend
    from reasoning_grpo.eval.backends.transport import Transport

    endpoint = Endpoint(options.endpoint)
    style = get_style(prompt or fitting_style(form or AnswerForm.BOXED, is_chat=endpoint is Endpoint.CHAT))
    tokenizer = None
    if options.tokenizer is not None:
        from reasoning_grpo.models import load_tokenizer

        tokenizer = load_tokenizer(options.tokenizer)
    transport = Transport(
        options.base_url or "", api_key=_api_key(options.api_key_env), deadline_seconds=options.deadline_seconds
    )
    backend = ServerBackend(
        transport,
        options.model,
        style,
        settings,
        endpoint=endpoint,
        tokenizer=tokenizer,
        concurrency=options.concurrency,
    )
    fingerprint = server_fingerprint(transport.base_url, options.model)
    return Opened(backend=backend, style=style, facts=_facts(options, fingerprint, dtype=None))


def _facts(options: ModelOptions, fingerprint: str, dtype: str | None) -> dict[str, Any]:
    """Return what the record says; on a server's hardware nothing can be said, and this machine's does not matter."""
    facts: dict[str, Any] = {
        "model": options.model,
        "revision": options.revision,
        "model_fingerprint": fingerprint,
        "dtype": dtype,
        "backend": options.backend,
        "hardware": None,
    }
    if options.backend == "openai":
        kept = ("base_url", "endpoint", "api_key_env", "tokenizer", "concurrency", "deadline_seconds")
        return {**facts, "connection": {name: asdict(options)[name] for name in kept}}
    from reasoning_grpo.manifest import hardware

    return {**facts, "hardware": hardware(), "batch_size": options.batch_size}


def options_from(facts: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a recorded run, for `ModelOptions`."""
    named = {name: facts[name] for name in ("model", "revision", "backend", "batch_size") if name in facts}
    return {**named, "dtype": facts.get("dtype") or "auto", **facts.get("connection", {})}


def _fingerprint(options: ModelOptions) -> str:
    if Path(options.model).is_dir():
        return folder_fingerprint(Path(options.model))
    commit = loaded_commit(options.model, options.revision)
    if commit is None:
        raise ModelError(
            f"the commit of `{options.model}` is not known, and without it the run could not say which weights it "
            "measured; download the model and name its folder"
        )
    return hub_fingerprint(options.model, commit)


def _api_key(variable: str | None) -> str | None:
    if variable is None:
        return None
    if not os.environ.get(variable):
        raise UserError(f"`--api-key-env` names the environment variable {variable!r}, which is not set")
    return os.environ[variable]


def _dtype(asked: Dtype) -> Dtype:
    """Return the type to compute in: the machine decides, not the file, or before and after would differ in it."""
    import torch

    if asked != "auto":
        return asked
    return "bfloat16" if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else "float32"


def _device() -> str:
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
