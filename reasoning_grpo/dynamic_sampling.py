"""Fresh prompts for groups without signal (DAPO, arXiv:2503.14476, section 3.2: dynamic sampling).

A group whose answers are all right or all wrong has no gradient, and as a policy gets better most groups become like
that. Such a group's place in the step is given to another prompt. What differs from DAPO: the batch is filled in place,
up to a number of rounds, and keeps its size when that is not enough, so that a step's normaliser never changes.

Left out: writing and scoring (`collecting.py`), and what a signal is (`advantage.py`).
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Protocol

import numpy as np

Row = dict[str, Any]
STREAM = 0xDA90  # sets this order apart from whatever else is drawn from the run's seed


class Table(Protocol):
    """Rows by number: a `datasets.Dataset`."""

    def __len__(self) -> int:
        """Return the number of rows."""

    def __getitem__(self, index: int, /) -> Any:
        """Return a row."""


class PromptReserve:
    """The training rows once more, in a shuffled order of their own; a Part of the checkpoint.

    Every pass goes through all rows in a new order. Each of several processes has a share of the order, so that no two
    draw the same row in one pass.
    """

    def __init__(self, table: Table, seed: int, *, process: int = 0, num_processes: int = 1) -> None:
        self._table = table
        self._seed = seed
        self._share = slice(process, None, num_processes)
        self._pass = 0
        self._position = 0
        self._order = self._shuffled()

    def draw(self, count: int, held: Collection[str]) -> list[Row]:
        """Return up to `count` rows with different prompts, none of them in `held`; fewer where there are no more."""
        taken = set(held)
        rows: list[Row] = []
        for row in self._walk():
            if row["prompt"] not in taken:
                taken.add(row["prompt"])
                rows.append(row)
            if len(rows) == count:
                break
        return rows

    def state(self) -> dict[str, Any]:
        """Return the place in the order."""
        return {"pass": self._pass, "position": self._position}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go back to a place."""
        self._pass, self._position = state["pass"], state["position"]
        self._order = self._shuffled()

    def saved(self) -> None:
        """Nothing follows from a checkpoint."""

    def _walk(self) -> Iterator[Row]:
        """Yield the rows from the present place on, each once; the place moves with them, into the next pass too."""
        for _ in range(len(self._order)):
            if self._position == len(self._order):
                self._pass, self._position = self._pass + 1, 0
                self._order = self._shuffled()
            self._position += 1
            yield self._table[self._order[self._position - 1]]

    def _shuffled(self) -> Sequence[int]:
        draw = np.random.default_rng(np.random.SeedSequence([STREAM, self._seed, self._pass]))
        order: list[int] = draw.permutation(len(self._table))[self._share].tolist()
        return order
