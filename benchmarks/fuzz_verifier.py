r"""Throw random texts at the verifier: nothing may raise, nothing may take long, equal calls must give equal verdicts.

    python benchmarks/fuzz_verifier.py --count 1000000 --seed 0

Cases are well-formed formulas, soups of LaTeX tokens, mutated answers, random Unicode (NUL, lone surrogates and
unassigned code points included), deep nestings and now and then a megabyte; formulas are golds too. Prints one JSON
line with the number of cases, of each outcome and stage, and the slowest; every find is printed as it happens and makes
the exit code 1.
"""

import argparse
import json
import random
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable

from reasoning_grpo.rewards import verify
from reasoning_grpo.rewards.answers.reader import read
from reasoning_grpo.schema import Outcome

SLOW_SECONDS = 1.0
GOLDS = [
    "42", "-7", r"\frac{1}{2}", "0.75", r"3\sqrt{13}", r"\frac{\pi}{3}", "x+1", "4t", "(1,2)", r"[0,\infty)",
    "1,2,3", r"x>2", r"x=5", "y=2x+1", r"\begin{pmatrix}1\\2\end{pmatrix}", r"\text{east}", "B", r"50\%", "101_2",
    "4:30", r"\$1,200", r"90^\circ", r"3\pm2\sqrt2", r"\mathbb{R}\setminus\{0\}", r"e^{i\pi/3}", r"2^{n}",
    r"\lfloor n/2\rfloor", r"(-\infty,1)\cup(2,3]", "7^{2024}", r"\binom{100}{50}", r"5\text{ cm}^2", "2:3",
    r"|x-1|", "f(2)", r"\emptyset",
]  # fmt: skip
TOKENS = [
    r"\frac", r"\dfrac", r"\sqrt", r"\sqrt[3]", "{", "}", "(", ")", "[", "]", r"\{", r"\}", r"\left", r"\right", "^",
    "_", "+", "-", "*", "/", "=", "<", ">", r"\le", r"\ge", r"\ne", r"\in", r"\cup", r"\cap", r"\setminus", ",", ";",
    ".", ":", "!", "%", r"\%", "$", r"\$", r"\pi", r"\infty", "e", "i", "x", "y", "n", "AB", "sin", r"\sin", r"\cos",
    r"\log", r"\ln", r"\text{", r"\mathrm{", r"\mathbb{R}", r"\begin{pmatrix}", r"\end{pmatrix}",
    r"\begin{array}{cc}", r"\end{array}", r"\\", "&", r"\pm", r"\mp", r"\cdot", r"\times", r"\binom", r"\overline",
    r"\circ", r"^\circ", "|", r"\lfloor", r"\rfloor", r"\lceil", r"\rceil", "0", "1", "2", "7", "10", "12", "100",
    "1,234", "0.5", ".5", "1e9", "10^{10}", "9**9", " ", r"\ ", r"\,", "~", r"\quad", " and ", " or ", "not ", "pm",
    "cm", r"\text{ N}", "feet", " apples", " per ", " of ", "seven", "half", "hundred", " to ", " base ", " R ", "th",
    "June ", r"\mu", r"\Omega", "¢", "(3)", r"\bar", "C(", "_{", r"\angle", r"\choose", r"\over", r"\approx",
    r"\boxed{", "<think>", "</think>", "<answer>", "</answer>",
    "####", "The answer is ", "Answer:", "\n", "\x00", "\ud800", "½", "²", "√", "π", "∞", "≤", "−", "×", "\u200b",
    "\uff11", "٤", "\U0001f600", r"\forall", r"\sum", r"\int", r"\mod", r"\vec", r"\hat", "'", '"', "#", "@", "`",
    "\\",
]  # fmt: skip

ATOMS = ["0", "1", "2", "7", "10", "-3", "0.5", "x", "n", "y", "e", "i", r"\pi", r"\infty", "99999", "1e9"]
FORMULAS = [
    "%s+%s", "%s-%s", "%s%s", r"%s\cdot %s", r"\frac{%s}{%s}", "%s^{%s}", r"\sqrt{%s}", r"\sqrt[%s]{%s}", "(%s)",
    "%s!", r"\binom{%s}{%s}", r"\log_{%s}{%s}", r"\ln %s", r"\sin %s", r"\tan(%s)", r"\arcsin(%s)", "|%s|",
    r"\lfloor %s\rfloor", "%s/%s", "{%s}^{%s^{%s}}", "%s=%s", "%s<%s", r"%s\le %s<%s", "(%s,%s)", "[%s,%s)",
    r"(%s,%s)\cup[%s,%s]", "%s,%s", r"\{%s,%s\}", r"%s\pm %s", r"x\in(%s,%s)",
    r"\begin{pmatrix}%s&%s\\%s&%s\end{pmatrix}", r"%s\%%", r"%s\text{ cm}", "f(%s)", r"\mathbb{R}\setminus\{%s\}",
    r"%s\text{ or }%s", "%s:%s", r"\sec(%s)", r"\exp(%s)", r"e^{i%s}",
]  # fmt: skip

Maker = Callable[[random.Random], str]


def soup(rng: random.Random) -> str:
    """Return a few random tokens."""
    return "".join(rng.choices(TOKENS, k=rng.randint(0, 30)))


def mutated(rng: random.Random) -> str:
    """Return an answer with some characters or tokens changed."""
    text = list(rng.choice(GOLDS))
    for _ in range(rng.randint(1, 6)):
        place = rng.randint(0, len(text))
        text[place : place + rng.randint(0, 2)] = rng.choice([[rng.choice(TOKENS)], [], text[:3]])
    return "".join(text)


def formula(rng: random.Random, depth: int = 3) -> str:
    """Return a formula with balanced brackets, now and then one whose value is absurd or undefined."""
    if depth == 0 or rng.random() < 0.2:
        return rng.choice(
            ["0", "1", "2", "7", "10", "-3", "0.5", "x", "n", "y", "e", "i", r"\pi", r"\infty", "99999", "1e9"]
        )
    pattern = rng.choice(FORMULAS)
    while "%s" in pattern:
        pattern = pattern.replace("%s", formula(rng, depth - 1), 1)
    return pattern


def noise(rng: random.Random) -> str:
    """Return random code points of all planes."""
    top = rng.choice([0x80, 0x800, 0x10000, 0x110000])
    return "".join(chr(rng.randrange(top)) for _ in range(rng.randint(0, 60)))


def nested(rng: random.Random) -> str:
    """Return something nested many levels deep, closed or not."""
    opening, closing = rng.choice(
        [("(", ")"), ("{", "}"), (r"\frac{1}{", "}"), (r"\sqrt{", "}"), ("2^{", "}"), ("|", "|"), (r"\sin ", ""),
         ("-", ""), (r"\{", r"\}"), (r"\text{", "}"), (r"\begin{pmatrix}", r"\end{pmatrix}"), ("f(", ")"), ("x^", ""),
         (r"\boxed{", "}"), ("[", ")"), ("!", ""), (r"\pm", ""), ("1/", "1"), ("1,", "1"), ("x_{", "}")]
    )  # fmt: skip
    depth = rng.choice([3, 30, 45, 70, 300, 3000])
    return opening * depth + rng.choice(["1", "x", ""]) + closing * rng.choice([depth, depth - 1])


def huge(rng: random.Random) -> str:
    """Return about a megabyte of one thing."""
    unit = rng.choice([*TOKENS, "9", "1+", "x ", "(", "answer ", "So. "])
    return unit * (rng.choice([10_000, 100_000, 1_000_000]) // len(unit))


def wrapped(rng: random.Random, answer: str) -> str:
    """Return a response that holds the answer in one of the usual places."""
    forms = [r"\boxed{%s}", "<answer>%s</answer>", "#### %s", "The answer is %s.", "%s", r"<think>a</think>\boxed{%s}"]
    return rng.choice(forms).replace("%s", answer)


def case(rng: random.Random) -> tuple[str, str]:
    """Return a gold and a response."""
    kind = rng.random()
    shares: list[tuple[float, Maker]] = [(0.25, soup), (0.5, mutated), (0.85, formula), (0.95, noise), (0.9998, nested)]
    maker = next((maker for share, maker in shares if kind < share), huge)
    unusual = rng.random()
    gold = formula(rng) if unusual < 0.3 else rng.choice(GOLDS)
    if not read(gold) and unusual > 0.0003:  # few: each takes the symbolic stage a while
        gold = rng.choice(GOLDS)
    return gold, wrapped(rng, maker(rng))


def check(gold: str, text: str) -> tuple[str, str, float]:
    """Judge one case; raise for whatever escapes, AssertionError for a slow or inconsistent verdict."""
    start = time.process_time()
    verdict = verify(gold, text)
    seconds = time.process_time() - start
    assert seconds < SLOW_SECONDS, f"{seconds:.2f} s of CPU time"
    assert (verdict.score is None) == (verdict.outcome is Outcome.UNGRADABLE)
    assert verdict == verify(gold, text), "the second verdict differs"
    return verdict.outcome.value, verdict.stage, seconds


def main() -> int:
    """Run the cases and print what came of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    outcomes: Counter[str] = Counter()
    stages: Counter[str] = Counter()
    slowest, finds = (0.0, ""), 0
    start = time.monotonic()
    for _ in range(options.count):
        gold, text = case(rng)
        try:
            outcome, stage, spent = check(gold, text)
        except Exception:
            finds += 1
            print(f"FIND gold={gold!r} text={text[:300]!r}\n{traceback.format_exc(limit=-4)}", file=sys.stderr)
            continue
        outcomes[outcome] += 1
        stages[stage] += 1
        slowest = max(slowest, (spent, text[:80]))
    report = {
        "cases": options.count,
        "seed": options.seed,
        "finds": finds,
        "seconds": round(time.monotonic() - start, 1),
    }
    print(json.dumps({**report, "outcomes": outcomes, "stages": stages, "slowest": slowest}))
    return 1 if finds else 0


if __name__ == "__main__":
    sys.exit(main())
