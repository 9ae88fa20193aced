"""Problems in, prompts out: where problems come from, how a model is asked, and how problems are kept apart.

    loaded = load_problems(DataSource(name="gsm8k", split="train", limit=1000))
    train, heldout = split_heldout(loaded.problems, num_heldout=100, seed=0)
    prompt = render(get_style("chat-boxed"), train[0].question, tokenizer)

Gold answers stay raw text: what an answer means is for `reasoning_grpo.rewards` to say. Importing this package loads
no torch and no `datasets`.
"""

from reasoning_grpo.data.prompts import STYLES, PromptStyle, RenderedPrompt, get_style, render
from reasoning_grpo.data.sources import DataSource, LoadedProblems, fingerprint, load_problems
from reasoning_grpo.data.splits import drop_overlap, normalise_question, split_heldout

__all__ = [
    "STYLES",
    "DataSource",
    "LoadedProblems",
    "PromptStyle",
    "RenderedPrompt",
    "drop_overlap",
    "fingerprint",
    "get_style",
    "load_problems",
    "normalise_question",
    "render",
    "split_heldout",
]
