"""Arithmetic word problems made on the spot: a dataset with no download, no licence and no gold that could be wrong.

    Ruth has 47 shells. She buys 38 more. Then she gives 29 to Omar. How many shells does Ruth have now?

A problem starts with one number and changes it in two steps (an option: in more, or in one); every total on the way
lies in [0, `max_total`], so a column of written work per step solves it. The demonstration trains on these.

The three splits are disjoint by construction: a stable hash of a problem's numbers, not of its wording, decides its
split, so no test problem is a training problem in other words (and no two splits share a question's text). Two steps
below 100 allow 970 thousand sums, three steps 96 million, each in many thousands of wordings.

Left out: multiplication, distractors and units; nothing here knows how a model is asked or what it should write.
"""

import hashlib
import random
from collections.abc import Iterator, Sequence
from itertools import count, islice, pairwise

from reasoning_grpo.schema import Problem

# Shares of a hundred hash buckets. `pretrain` is for the demonstration's base model alone.
_BUCKETS = {"pretrain": range(0, 45), "train": range(45, 90), "test": range(90, 100)}
_DEFAULT_SIZES = {"pretrain": 100_000, "train": 100_000, "test": 2_000}
_MAX_REDRAWS = 10_000  # in a row, before the options are said to allow no further problem

_PEOPLE = (
    *((name, "she") for name in ("Ada", "Bella", "Clara", "Dina", "Emma", "Freya", "Grace", "Hana", "Iris", "Julia")),
    *((name, "she") for name in ("Lena", "Mia", "Nora", "Priya", "Ruth")),
    *((name, "he") for name in ("Adam", "Ben", "Carlos", "David", "Eli", "Felix", "George", "Hugo", "Ivan", "Jonas")),
    *((name, "he") for name in ("Kofi", "Liam", "Marco", "Omar", "Ravi")),
)
_THINGS = (
    *("apples", "beads", "books", "buttons", "cards", "coins", "cookies", "crayons", "eggs", "flowers", "grapes"),
    *("lemons", "marbles", "nuts", "pears", "pencils", "shells", "stamps", "stickers", "stones"),
)
_OPENINGS = ("{name} has {n} {things}.", "{name} owns {n} {things}.", "{name} starts with {n} {things}.")
_GAINS = ("buys {n} more", "finds {n} more", "wins {n} more", "gets {n} from {friend}", "borrows {n} from {friend}")
_LOSSES = ("loses {n}", "sells {n}", "uses up {n}", "gives {n} to {friend}", "lends {n} to {friend}")
_LINKS = ("Then {pronoun}", "Later {pronoun}", "Next {pronoun}", "After that {pronoun}")
_ENDINGS = ("How many {things} does {name} have now?", "How many {things} are left with {name}?")


def generate(
    split: str,
    *,
    seed: int = 0,
    limit: int | None = None,
    num_steps: Sequence[int] = (2,),
    max_total: int = 99,
) -> Iterator[Problem]:
    """Yield distinct problems of `split` ("pretrain", "train" or "test"), the same ones for the same arguments.

    Args:
        split: Which of the disjoint splits to draw from.
        seed: Another seed gives another order and selection, never a problem of another split.
        limit: How many problems; None means 100,000 ("test": 2,000).
        num_steps: How many changes a problem may have, each count equally likely; the demonstration's model knows two.
        max_total: The largest number in a problem, totals on the way and the answer included.

    Each `meta` holds `start`, `changes` (signed, in order) and `num_steps`: the answer is `start + sum(changes)`.

    Raises:
        ValueError: On an unknown split or an option out of range (at once), or when the options allow fewer than
            `limit` problems (on reaching the last one).
    """
    if split not in _BUCKETS:
        raise ValueError(f"unknown split {split!r}; `arithmetic` has {', '.join(_BUCKETS)}")
    if not num_steps or min(num_steps) < 1:
        raise ValueError(f"`num_steps` must name counts of at least 1, got {num_steps!r}")
    if max_total < 1:
        raise ValueError(f"`max_total` must be at least 1, got {max_total}")
    size = _DEFAULT_SIZES[split] if limit is None else limit
    return islice(_stream(split, seed, tuple(num_steps), max_total), size)


def _stream(split: str, seed: int, num_steps: Sequence[int], max_total: int) -> Iterator[Problem]:
    rng = random.Random(f"arithmetic/{split}/{seed}")
    seen: set[str] = set()
    for index in count():
        start, changes, question = _draw_new(rng, split, num_steps, max_total, seen)
        seen.add(question)
        yield Problem(
            id=f"arithmetic/{split}/{index}",
            question=question,
            answer=str(start + sum(changes)),
            source="arithmetic",
            meta={"start": start, "changes": changes, "num_steps": len(changes)},
        )


def _draw_new(
    rng: random.Random, split: str, num_steps: Sequence[int], max_total: int, seen: set[str]
) -> tuple[int, tuple[int, ...], str]:
    for _ in range(_MAX_REDRAWS):
        start, changes = _draw_numbers(rng, rng.choice(num_steps), max_total)
        if _bucket(start, changes) not in _BUCKETS[split]:
            continue
        question = _tell(rng, start, changes)
        if question not in seen:
            return start, changes, question
    raise ValueError(
        f"`num_steps={tuple(num_steps)}` and `max_total={max_total}` allow no more than about {len(seen)} problems in"
        f" split {split!r}; lower `limit` or raise `max_total`"
    )


def _draw_numbers(rng: random.Random, num_steps: int, max_total: int) -> tuple[int, tuple[int, ...]]:
    """The first number and the changes; every total is equally likely, so that carries are as frequent as can be."""
    totals = [rng.randint(1, max_total)]
    while len(totals) <= num_steps:
        if (total := rng.randint(0, max_total)) != totals[-1]:
            totals.append(total)
    return totals[0], tuple(after - before for before, after in pairwise(totals))


def _bucket(start: int, changes: Sequence[int]) -> int:
    # Python's own hash() of a text differs between processes.
    digest = hashlib.blake2b(repr((start, *changes)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % 100


def _tell(rng: random.Random, start: int, changes: Sequence[int]) -> str:
    """The numbers as a story; the story mentions each number once, in order."""
    (name, pronoun), (friend, _) = rng.sample(_PEOPLE, 2)
    words = {"name": name, "pronoun": pronoun, "friend": friend, "things": rng.choice(_THINGS)}
    story = [rng.choice(_OPENINGS).format(n=start, **words)]
    for step, change in enumerate(changes):
        subject = pronoun.capitalize() if step == 0 else rng.choice(_LINKS).format(**words)
        deed = rng.choice(_GAINS if change > 0 else _LOSSES).format(n=abs(change), **words)
        story.append(f"{subject} {deed}.")
    return " ".join([*story, rng.choice(_ENDINGS).format(**words)])
