"""What happens beside the loop: metrics on disk, progress on screen, held-out accuracy, the best checkpoint."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from reasoning_grpo import storage
from reasoning_grpo.eval.metrics import Accuracy
from reasoning_grpo.progress import Bar

Measure = Callable[[], Accuracy]
Save = Callable[[Path], None]


class MetricsLog(TrainerCallback):  # type: ignore[misc]
    """Writes every log of the trainer as a row of `metrics.jsonl`; a figure that is not finite becomes null."""

    def __init__(self, writer: storage.JsonlWriter) -> None:
        self._writer = writer

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: Any = None, **kwargs: Any
    ) -> None:
        """Write the row."""
        if state.is_world_process_zero and logs:
            self._writer.write({"step": state.global_step, "time": storage.now(), **logs})


class StepBar(TrainerCallback):  # type: ignore[misc]
    """Advances a progress bar by one per optimizer step, with the current reward beside it."""

    def __init__(self, bar: Bar) -> None:
        self._bar = bar
        self._note = ""

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: Any = None, **kwargs: Any
    ) -> None:
        """Keep the newest reward and length; TRL logs after the step's end, so the bar shows the step before."""
        if logs and logs.get("reward") is not None:
            length = logs.get("completions/mean_length") or 0.0
            self._note = f"reward {logs['reward']:.2f}, {length:.0f} tokens"

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Advance."""
        self._bar.advance(1, self._note)


class HeldoutAccuracy(TrainerCallback):  # type: ignore[misc]
    """Measures held-out accuracy at the start, every N steps and at the end, and keeps the best model.

    `best_step` is 0 and no model is kept as long as no step beats the start.
    """

    def __init__(
        self, measure: Measure, save: Save, *, every: int, best_dir: Path, writer: storage.JsonlWriter
    ) -> None:
        self._measure, self._save = measure, save
        self._every = every
        self._best_dir = best_dir
        self._writer = writer
        self._last_step = -1
        self.best_step = 0
        self.best_accuracy = -math.inf

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Measure the starting point."""
        self._record(state)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Measure every N steps and after the last one."""
        if state.global_step % self._every == 0 or state.global_step >= state.max_steps:
            self._record(state)

    def _record(self, state: TrainerState) -> None:
        if state.global_step == self._last_step:
            return
        self._last_step = state.global_step
        accuracy = self._measure()
        if accuracy.value > self.best_accuracy:
            self.best_accuracy, self.best_step = accuracy.value, state.global_step
            if state.global_step > 0:
                self._save(self._best_dir)  # collective: every rank calls it, one writes
        if state.is_world_process_zero:
            self._writer.write({"step": state.global_step, "time": storage.now(), **accuracy.as_row()})
