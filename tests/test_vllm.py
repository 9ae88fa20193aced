"""What is asked of vLLM, and what is made of its answers. vLLM itself needs a GPU; its interface stands in by hand."""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from reasoning_grpo.cli import main
from reasoning_grpo.data.prompts import get_style
from reasoning_grpo.errors import UserError
from reasoning_grpo.eval.backends import Ask, own_seed
from reasoning_grpo.eval.settings import Settings
from reasoning_grpo.schema import Completion


@dataclass
class FakeEngine:
    """Answers each prompt with its number of tokens; every third answer reaches the limit."""

    calls: list[tuple[Any, Any]] = field(default_factory=list)
    llm_engine: Any = field(default_factory=lambda: SimpleNamespace(model_config=SimpleNamespace(max_model_len=64)))

    def generate(self, prompts: list[dict[str, Any]], parameters: list[Any], *, use_tqdm: bool) -> list[Any]:
        self.calls.append((prompts, parameters))
        outputs = [
            SimpleNamespace(
                text=f" {len(prompt['prompt_token_ids'])}",
                token_ids=[1, 2, 3],
                finish_reason="length" if index % 3 == 2 else "stop",
            )
            for index, prompt in enumerate(prompts)
        ]
        return [SimpleNamespace(outputs=[output]) for output in outputs]


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    engine, module = FakeEngine(), ModuleType("vllm")
    module.LLM = lambda **options: engine  # type: ignore[attr-defined]
    module.SamplingParams = lambda **options: options  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vllm", module)
    return engine


def make(tiny_model: Path, settings: Settings) -> Any:
    from reasoning_grpo.eval.backends.vllm import VllmBackend
    from reasoning_grpo.models import load_tokenizer

    return VllmBackend(str(tiny_model), load_tokenizer(str(tiny_model)), get_style("bare-tags"), settings)


@pytest.mark.usefixtures("engine")
def test_answers_come_back_with_their_tokens_and_their_end(tiny_model: Path) -> None:
    backend = make(tiny_model, Settings())
    asks = [Ask(prompt=backend.render("q" * n), number=n) for n in (1, 2, 3)]
    assert [completion for _, completion in backend.complete(asks)] == [
        Completion(text=" 2", num_tokens=3),  # one letter and the line end of the style
        Completion(text=" 3", num_tokens=3),
        Completion(text=" 4", num_tokens=3, truncated=True),
    ]


def test_every_sample_has_its_settings_and_its_own_seed(tiny_model: Path, engine: FakeEngine) -> None:
    settings = Settings(samples=2, temperature=0.6, top_p=0.9, top_k=4, max_completion_tokens=9, stop=("X",), seed=5)
    backend = make(tiny_model, settings)
    asks = [Ask(prompt=backend.render("q"), number=0, sample=sample) for sample in range(2)]
    list(backend.complete(asks))
    [(_, parameters)] = engine.calls
    asked = {"temperature": 0.6, "top_p": 0.9, "top_k": 4, "min_p": 0.0, "max_tokens": 9, "stop": ["X"]}
    assert parameters == [{**asked, "seed": own_seed(5, ask)} for ask in asks]


@pytest.mark.usefixtures("engine")
def test_a_prompt_longer_than_vllms_context_is_named_before_the_run(tiny_model: Path) -> None:
    backend = make(tiny_model, Settings())
    with pytest.raises(UserError, match="problem 2 of the suite has a prompt of 71 tokens and vLLM's context holds 64"):
        backend.check([backend.render("q"), backend.render("q" * 70)])


def test_without_vllm_one_sentence_says_what_to_do(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    args = ["bench", "arithmetic", "--model", str(tiny_model), "--backend", "vllm", "--out", str(tmp_path / "out")]
    assert main(args) == 2
    assert "`--backend vllm` needs vLLM, which is not installed here" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
