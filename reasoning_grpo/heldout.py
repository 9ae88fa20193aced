"""Held-out accuracy over a run: when it is measured, which model is kept as the best, when a drop ends the run.

A drop is significant when the same problems are answered worse than at the best measurement, by McNemar's exact test
(Psychometrika 12, 1947) at p < 0.01, twice in a row.
"""

import contextlib
import json
import logging
import math
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from accelerate.utils import broadcast_object_list
from transformers import TrainerState

from reasoning_grpo import storage
from reasoning_grpo.eval.metrics import PairedComparison, accuracy
from reasoning_grpo.processes import process_state
from reasoning_grpo.schema import Outcome, Verdict

log = logging.getLogger("reasoning_grpo")

MAX_P_OF_A_DROP = 0.01
NUM_DROPS_TO_STOP = 2
NOTE_FILE = "heldout.json"

Verdicts = Mapping[str, Verdict]
Measure = Callable[[], Verdicts]
Save = Callable[[Path, Path | None, dict[str, Any]], str | None]


class HeldoutAccuracy:
    """Measures at the start, every N steps and at the end, and keeps the best model in `best_dir`.

    `measure` answers the held-out problems; `save(folder, keep_old_as, note)` writes the model with the note beside it
    and returns what prevented it: such a model is no new best. `writer` is None on all but the main process.
    `best_step` is 0 and no model is kept as long as no step beats the start. `stopped` says why a run should end.
    """

    def __init__(
        self,
        measure: Measure,
        save: Save,
        *,
        every: int,
        best_dir: Path,
        writer: storage.JsonlWriter | None,
        stop_on_drop: bool = False,
    ) -> None:
        self._measure, self._save = measure, save
        self._every, self._stop_on_drop = every, stop_on_drop
        self._best_dir = best_dir
        self._spare_dir = best_dir.with_name(f".{best_dir.name}.of-checkpoint")
        self._writer = writer
        self._last_step = -1
        self._best_answers: dict[str, bool] = {}
        self._num_drops = 0
        self._saved_best_step = 0  # the best step that the newest checkpoint speaks of
        self.best_step = 0
        self.best_accuracy = -math.inf
        self.stopped: dict[str, Any] | None = None

    def measure_if_due(self, state: TrainerState) -> Verdicts | None:
        """Return the verdicts on the held-out problems, or None where no measurement is due."""
        step = state.global_step
        is_due = step % self._every == 0 or step >= state.max_steps
        return self._measure() if is_due and step != self._last_step else None

    def record(self, verdicts: Verdicts, state: TrainerState) -> None:
        """Write the row of a measurement, keep the model if it is the best, note a drop. Called on every rank."""
        step, measured = state.global_step, accuracy(list(verdicts.values()))
        answers = {id_: v.passed for id_, v in verdicts.items() if v.outcome is not Outcome.UNGRADABLE}
        comparison = compare_answers(self._best_answers, answers)
        self._note_drop(comparison, step)
        row = {"step": step, **measured.as_row(), "against_step": self.best_step, "p_value": comparison.p_value}
        if measured.value > self.best_accuracy and self._keep(row):
            self.best_accuracy, self.best_step, self._best_answers = measured.value, step, answers
        self._last_step = step
        if self._writer:
            self._writer.write({**row, "time": storage.now()})

    def state(self) -> dict[str, Any]:
        """Return what a resumed run needs to go on choosing as this one would have."""
        return {
            "last_step": self._last_step,
            "best_step": self.best_step,
            "best_accuracy": self.best_accuracy,
            "best_answers": dict(self._best_answers),
            "num_drops": self._num_drops,
            "stopped": self.stopped,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go back to a state, and bring back the best model of that time."""
        self._last_step, self._num_drops = state["last_step"], state["num_drops"]
        self.best_step, self.best_accuracy = state["best_step"], state["best_accuracy"]
        self._best_answers, self.stopped = dict(state["best_answers"]), state["stopped"]
        self._restore_best()

    def saved(self) -> None:
        """Let go of the best model that the checkpoint before spoke of."""
        self._saved_best_step = self.best_step
        shutil.rmtree(self._spare_dir, ignore_errors=True)

    def _keep(self, row: dict[str, Any]) -> bool:
        """Save the model; the one the newest checkpoint speaks of is set aside, for a run resumed from there."""
        if row["step"] == 0:
            return True
        needed = self._saved_best_step > 0 and self._saved_best_step == self.best_step
        error = self._save(self._best_dir, self._spare_dir if needed else None, row)
        if error:
            log.warning(
                "the best model, of step %d, could not be saved (%s); the best before it stays, and the run goes on",
                row["step"],
                error,
            )
        return error is None

    def _note_drop(self, comparison: PairedComparison, step: int) -> None:
        is_drop = comparison.losses > comparison.wins and comparison.p_value < MAX_P_OF_A_DROP
        self._num_drops = self._num_drops + 1 if is_drop else 0
        if self._stop_on_drop and self._num_drops >= NUM_DROPS_TO_STOP:
            drop = {"wins": comparison.wins, "losses": comparison.losses, "p_value": comparison.p_value}
            self.stopped = {"step": step, "best_step": self.best_step, **drop}

    def _restore_best(self) -> None:
        """Make `best_dir` hold the model of `best_step`, wherever a run that died has left it."""
        # The main process alone looks and moves, and what it found holds for all: they must go on alike.
        is_there = [process_state().is_main_process and self._bring_back()]
        if self.best_step and not broadcast_object_list(is_there)[0]:
            log.warning("the best model, of step %d, is gone; the next measurement takes its place", self.best_step)
            self.best_step, self.best_accuracy = 0, -math.inf
            self._best_answers, self._num_drops = {}, 0  # a drop is one below a model that can be had
        self._saved_best_step = self.best_step

    def _bring_back(self) -> bool:
        """Return whether `best_dir` now holds the model of `best_step`; another step's is taken away."""
        old_dir = self._best_dir.with_name(f".{self._best_dir.name}.old")
        found = next((d for d in (self._best_dir, self._spare_dir, old_dir) if _noted_step(d) == self.best_step), None)
        if found != self._best_dir:
            shutil.rmtree(self._best_dir, ignore_errors=True)
            if found:
                found.rename(self._best_dir)
        return found is not None


def compare_answers(before: Mapping[str, bool], after: Mapping[str, bool]) -> PairedComparison:
    """Compare two measurements on the problems that both could grade."""
    both = [(before[id_], after[id_]) for id_ in before.keys() & after.keys()]
    return PairedComparison(
        wins=sum(now and not then for then, now in both),
        losses=sum(then and not now for then, now in both),
        num_problems=len(both),
    )


def _noted_step(folder: Path) -> int | None:
    with contextlib.suppress(OSError, ValueError, KeyError):
        return int(json.loads((folder / NOTE_FILE).read_text("utf-8"))["step"])
    return None
