"""Tasks of reasoning-gym (https://github.com/open-thought/reasoning-gym), made on the spot; an optional extra.

A task makes item `i` from the seed `s + i`. Every (seed, split) therefore owns a block of seeds that no other one
touches: `train` and `test` never make the same item. Two seeds can still hit on the same question in a small task;
`drop_overlap` removes those. Some tasks have no single gold: their rows are empty, and `load_problems` drops and counts
them. `meta` keeps the task and the item's metadata, which is what reasoning-gym's own scorer needs.
"""

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from reasoning_grpo.errors import DataError, did_you_mean
from reasoning_grpo.schema import Problem

PREFIX = "reasoning-gym:"
SPLITS = ("train", "validation", "test")
MAX_PROBLEMS = 100_000  # seeds in a block
_DEFAULT_SIZE = 500
_NUM_SEEDS = 2**32 // (MAX_PROBLEMS * len(SPLITS))  # numpy takes no seed from 2**32 on


def problems(
    task: str, split: str, *, seed: int = 0, limit: int | None = None, options: Mapping[str, Any] | None = None
) -> Iterator[Problem]:
    """Yield `limit` problems (None: 500) of `task`, called `reasoning-gym:<task>/<split>/<seed>/<item from 0>`.

    Args:
        task: A name such as `leg_counting`.
        split: One of `SPLITS`.
        seed: Chooses the problems; seeds that are equal modulo 14,316 give the same ones.
        limit: At most `MAX_PROBLEMS`.
        options: Fields of the task's own configuration.

    Raises:
        DataError: reasoning-gym is not installed, or the task, the split, the limit or an option does not exist.
    """
    if split not in SPLITS:
        raise DataError(f"`{PREFIX}{task}` has no split {split!r}{did_you_mean(split, SPLITS)}")
    size = _DEFAULT_SIZE if limit is None else limit
    if size > MAX_PROBLEMS:
        raise DataError(f"`{PREFIX}{task}` makes at most {MAX_PROBLEMS:,} problems per split, got limit {size:,}")
    first_seed = (seed % _NUM_SEEDS * len(SPLITS) + SPLITS.index(split)) * MAX_PROBLEMS
    items = _create(task, {**(options or {}), "seed": first_seed, "size": size}, set(options or {}))
    for number in range(size):
        yield _problem(items[number], task, f"{PREFIX}{task}/{split}/{seed}/{number}")


def _create(task: str, settings: dict[str, Any], given: set[str]) -> Any:
    try:
        from reasoning_gym.factory import DATASETS, create_dataset
    except ModuleNotFoundError as error:
        raise DataError(
            f"`{PREFIX}{task}` needs reasoning-gym: `pip install 'reasoning-grpo[reasoning-gym]'`"
        ) from error
    if task not in DATASETS:
        raise DataError(f"reasoning-gym has no task {task!r}{did_you_mean(task, DATASETS)}")
    known = set(inspect.signature(DATASETS[task][1]).parameters) - {"seed", "size"}
    for option in sorted(given - known):
        raise DataError(f"`{PREFIX}{task}` has no option {option!r}{did_you_mean(option, known)}")
    try:
        return create_dataset(task, **settings)
    except (AssertionError, TypeError, ValueError) as error:  # how a task's `validate` says no
        raise DataError(f"`{PREFIX}{task}` refuses its options: {error}") from error


def _problem(item: Mapping[str, Any], task: str, problem_id: str) -> Problem:
    answer = item["answer"]
    return Problem(
        id=problem_id,
        question=item["question"],
        answer="" if answer is None else str(answer),
        source=PREFIX + task,
        meta={"task": task, "metadata": item["metadata"]},
    )
