"""Make the small base model behind `reasoning-grpo demo`, from nothing but the project's own word problems.

    python examples/make_demo_model.py --out reasoning_grpo/demo_model

The corpus shows a writer of mixed habits. Some steps are worked out in columns, others are jotted down with the carry
forgotten, and now and then the writer only guesses:

    careful   <think>47+38: 7+8=15, 4+3+1=8, so 85. 85-21: 5-1=4, 8-2=6, so 64.</think>\\n<answer>64</answer>
    careless  <think>47+38=75. 75-21=54.</think>\\n<answer>54</answer>
    guess     <think>I guess 31.</think>\\n<answer>31</answer>

Supervised training copies the mixture, so the base knows how to be right and does not prefer it: its single most likely
completion is careless and right about one time in three. What GRPO has to discover, from the correctness of the answer
alone, is that working it out pays. Each step is a choice of its own, so there is a way to be half careful.

The model has 0.45 million parameters and takes about ten minutes on one core. It is trained on the split `pretrain`;
`train` and `test` stay unseen (the summary at the end measures on `train`, so that nothing here has looked at `test`).
Left out: everything a real base model needs to be good at anything else.
"""

import random
import re
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from reasoning_grpo.data.arithmetic import generate
from reasoning_grpo.models import record_prompt_style
from reasoning_grpo.schema import Problem

# Chances of a careful step, by its place in a story of two: below one half, so that the likeliest step is a careless
# one, and falling, because writers tire.
CARE = (0.45, 0.40)
GUESS = 0.1  # chance of a trace without any work
PAD, END = "<|pad|>", "<|end|>"  # the only special tokens; the tags are ordinary text and survive decoding


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the base model is made of; the defaults give the folder that ships."""

    out: Path
    """Folder to write; replaced as a whole, once everything has worked."""
    steps: int = 1500
    """Optimizer steps; every one sees `batch_size` new problems."""
    batch_size: int = 64
    """Problems per step."""
    learning_rate: float = 7e-3
    """Peak rate of Muon (matrices) and AdamW (the rest)."""
    seed: int = 0
    """Seed of the corpus, of the weights and of the order."""
    threads: int = 1
    """Threads for torch, 1 for the folder that ships; 2 helps on an idle machine and ruins the speed on a busy one."""


def main(settings: Settings) -> None:
    """Make the corpus, train on it, measure the result and write the folder."""
    torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    rng = random.Random(settings.seed)
    problems = generate("pretrain", seed=settings.seed, limit=settings.steps * settings.batch_size)
    texts = [(prompt(problem), trace(problem, rng)) for problem in problems]
    tokenizer = make_tokenizer([question + answer for question, answer in texts[:20_000]])
    model = make_model(len(tokenizer))
    num_parameters = sum(parameter.numel() for parameter in model.parameters())
    print(f"{len(texts)} problems, {len(tokenizer)} tokens, {num_parameters / 1e6:.2f} million parameters")
    train(model, make_batches(tokenizer, texts, settings.batch_size), settings)
    save(model, tokenizer, settings.out)
    print(summary(model, tokenizer, list(generate("train", seed=1, limit=500))))


# The writer


def prompt(problem: Problem) -> str:
    """What the model reads: the question and a line end."""
    return problem.question + "\n"


def trace(problem: Problem, rng: random.Random) -> str:
    """What the writer answers: a guess, or each step at random carefully or carelessly, on top of earlier slips."""
    if rng.random() < GUESS:
        guess = rng.randint(0, 99)
        return f"<think>I guess {guess}.</think>\n<answer>{guess}</answer>"
    total, work = problem.meta["start"], []
    for change, care in zip(problem.meta["changes"], CARE, strict=True):
        text, total = careful_step(total, change) if rng.random() < care else careless_step(total, change)
        work.append(text)
    return f"<think>{' '.join(work)}</think>\n<answer>{total}</answer>"


def careful_step(total: int, change: int) -> tuple[str, int]:
    """Column arithmetic, ones first, the carried one written out: ("47+38: 7+8=15, 4+3+1=8, so 85.", 85)."""
    sign, size = ("+", change) if change > 0 else ("-", -change)
    upper, lower = total % 10, size % 10
    carry = upper + lower > 9 if change > 0 else upper < lower
    if change < 0 and carry:
        upper += 10
    ones = upper + lower if change > 0 else upper - lower
    tens = _tens(total, change, carry)
    column = f"{total // 10}{sign}{size // 10}{sign + '1' if carry else ''}={tens}"
    result = 10 * tens + ones % 10
    return f"{total}{sign}{size}: {upper}{sign}{lower}={ones}, {column}, so {result}.", result


def careless_step(total: int, change: int) -> tuple[str, int]:
    """The result at a glance, with two mistakes that children make: ("47+38=75.", 75) and ("85-29=64.", 64).

    In sums the carry is forgotten, in differences the smaller digit is taken from the larger one.
    """
    ones = (total + change) % 10 if change > 0 else abs(total % 10 - (-change) % 10)
    result = 10 * _tens(total, change, carry=False) + ones
    return f"{total}{'+' if change > 0 else '-'}{abs(change)}={result}.", result


def _tens(total: int, change: int, carry: bool) -> int:
    if change > 0:
        return total // 10 + change // 10 + carry
    # An earlier slip can leave less than is now taken away; the writer then stops at nothing.
    return max(0, total // 10 - (-change) // 10 - carry)


# The model


def make_tokenizer(texts: Sequence[str]) -> PreTrainedTokenizerFast:
    """A byte-level BPE whose words are whole and whose digits are single; any text survives encode and decode."""
    tokenizer = Tokenizer(models.BPE())
    pieces = Regex(r"</?[a-z]+>|\d|[A-Za-z]+ ?|[^\sA-Za-z\d<]+ ?|\s+|<")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(pieces, "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=640,
        min_frequency=5,
        special_tokens=[PAD, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        padding_side="left",
        model_max_length=512,
        clean_up_tokenization_spaces=False,
    )


def make_model(vocab_size: int) -> LlamaForCausalLM:
    """An untrained Llama; one key-value head, because copying the cache is what costs a CPU most in generation."""
    config = LlamaConfig(
        vocab_size=vocab_size,
        hidden_size=96,
        intermediate_size=256,
        num_hidden_layers=4,
        num_attention_heads=3,
        num_key_value_heads=1,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=1,
    )
    return LlamaForCausalLM(config)


# Supervised training

Batch = tuple[torch.Tensor, torch.Tensor]  # input ids and labels, (rows, tokens); label -100 is not trained on


def make_batches(
    tokenizer: PreTrainedTokenizerFast, texts: Sequence[tuple[str, str]], batch_size: int
) -> Iterator[Batch]:
    """Yield the rows in order, padded on the right.

    Sorting them by length would save a fifth of the time, but a mean over tokens then favours the short traces: the
    guesses came out twice as likely as in the corpus.
    """
    prompts: list[list[int]] = tokenizer([question for question, _ in texts]).input_ids
    answers: list[list[int]] = tokenizer([answer + END for _, answer in texts]).input_ids
    rows = list(zip(prompts, answers, strict=True))
    for start in range(0, len(rows), batch_size):
        yield _collate(rows[start : start + batch_size])


def _collate(rows: Sequence[tuple[list[int], list[int]]]) -> Batch:
    ids = torch.nn.utils.rnn.pad_sequence([torch.tensor(prompt + answer) for prompt, answer in rows], batch_first=True)
    labels = torch.full_like(ids, -100)
    for label, (question, answer) in zip(labels, rows, strict=True):
        label[len(question) : len(question) + len(answer)] = torch.tensor(answer)
    return ids, labels


def train(model: LlamaForCausalLM, batches: Iterator[Batch], settings: Settings) -> None:
    """Muon on the matrices, AdamW on the rest, with a short warm-up and a linear end; prints a line per 50 steps.

    Muon (https://kellerjordan.github.io/posts/muon) needs about a third of AdamW's steps here.
    """
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    others = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.Muon(matrices, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, weight_decay=0.0, betas=(0.9, 0.98)),
    ]
    began, losses = time.monotonic(), []
    for step, (ids, labels) in enumerate(batches, start=1):
        learning_rate = settings.learning_rate * _schedule(step / settings.steps)
        losses.append(_update(model, optimizers, ids, labels, learning_rate))
        if step % 50 == 0 or step == settings.steps:
            seconds = time.monotonic() - began
            print(f"step {step}/{settings.steps}  loss {sum(losses[-50:]) / 50:.4f}  {seconds:.0f} s", flush=True)


def _schedule(done: float) -> float:
    """The share of the peak rate after the share `done` of the steps: 5 % warm-up, the last 40 % linear to 0."""
    return min(1.0, done / 0.05, (1.0 - done) / 0.4)


def _update(
    model: LlamaForCausalLM,
    optimizers: Sequence[torch.optim.Optimizer],
    ids: torch.Tensor,
    labels: torch.Tensor,
    learning_rate: float,
) -> float:
    # No attention mask: padding is on the right, where a causal model's real tokens never look.
    loss = model(input_ids=ids, labels=labels).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate
        optimizer.step()
        optimizer.zero_grad()
    return float(loss)


# Measuring and saving


def summary(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, problems: Sequence[Problem]) -> str:
    """Greedy accuracy, then each habit's share and accuracy when sampled at temperature 1."""
    greedy = [
        _is_right(text, problem) for text, problem in zip(answer(model, tokenizer, problems), problems, strict=True)
    ]
    lines = [f"greedy: {sum(greedy) / len(greedy):.1%} of {len(problems)} unseen problems"]
    sampled = list(zip(answer(model, tokenizer, problems, do_sample=True), problems, strict=True))
    shares = Counter(_habit(text) for text, _ in sampled)
    right = Counter(_habit(text) for text, problem in sampled if _is_right(text, problem))
    for habit, share in shares.most_common():
        lines.append(f"sampled: {share / len(sampled):6.1%} {habit}, {right[habit] / share:.1%} of them right")
    return "\n".join(lines)


@torch.no_grad()
def answer(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, problems: Sequence[Problem], *, do_sample: bool = False
) -> list[str]:
    """One completion per problem, the most likely one or one sampled at temperature 1."""
    inputs = tokenizer([prompt(problem) for problem in problems], return_tensors="pt", padding=True)
    options = {"do_sample": True, "top_k": 0} if do_sample else {"do_sample": False}
    output = model.eval().generate(
        input_ids=inputs.input_ids, attention_mask=inputs.attention_mask, max_new_tokens=96, **options
    )
    return list(tokenizer.batch_decode(output[:, inputs.input_ids.shape[1] :], skip_special_tokens=True))


def _is_right(text: str, problem: Problem) -> bool:
    return text.endswith(f"</think>\n<answer>{problem.answer}</answer>")


def _habit(text: str) -> str:
    if "guess" in text:
        return "guess"
    num_careful = text.count(", so ")
    num_steps = len(re.findall(r"\d\.", text))
    return f"{num_careful} of {num_steps} steps careful"


def save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, out: Path) -> None:
    """Write the folder beside its place, then move it there: a reader finds the old one or the new one, never half."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as scratch:
        new, old = Path(scratch, "new"), Path(scratch, "old")
        model.save_pretrained(new)
        tokenizer.save_pretrained(new)
        record_prompt_style(new, "bare-tags")
        for path in new.iterdir():
            path.chmod(0o644)
        if out.exists():
            out.rename(old)
        new.rename(out)
    size = sum(path.stat().st_size for path in out.iterdir())
    print(f"wrote {out}: {len(list(out.iterdir()))} files, {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
