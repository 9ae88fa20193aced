"""What watches the loop: metrics on disk, progress on screen."""

import math
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from reasoning_grpo import storage
from reasoning_grpo.progress import Bar


class MetricsLog(TrainerCallback):  # type: ignore[misc]
    """Writes every log of the trainer as a row of `metrics.jsonl`; a figure that is not finite becomes null."""

    def __init__(self, writer: storage.JsonlWriter) -> None:
        self._writer = writer

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: Any = None, **kwargs: Any
    ) -> None:
        """Write the row."""
        if state.is_world_process_zero and logs:
            row = {name: _finite(value) for name, value in logs.items()}
            self._writer.write({"step": state.global_step, "time": storage.now(), **row})


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


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
