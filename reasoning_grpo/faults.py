"""What goes wrong while a run is under way: being told to stop, figures that are no numbers, answers that never end."""

import logging
import math
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from reasoning_grpo.errors import RunError
from reasoning_grpo.schema import Verdict

log = logging.getLogger("reasoning_grpo")

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopSignals:
    """Turns Ctrl-C and SIGTERM into a KeyboardInterrupt that never tears a weight update or a checkpoint.

    Between `hold` and `release` the interrupt waits; a second signal does not. With `at_boundaries_only` it always
    waits for the next `release`: what several processes do together can only be left together.
    """

    def __init__(self, *, at_boundaries_only: bool = False) -> None:
        self._at_boundaries_only = at_boundaries_only
        self._holding = False
        self.requested = False

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Handle the signals while the block runs; off the main thread, where Python has no say in them, do nothing."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._handle) for number in STOP_SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def hold(self) -> None:
        """Let a signal wait from here on."""
        self._holding = True

    def release(self, *, requested_elsewhere: bool = False) -> None:
        """Stop now if a signal came in the meantime."""
        self._holding = False
        if self.requested or requested_elsewhere:
            raise KeyboardInterrupt

    def _handle(self, number: int, frame: FrameType | None) -> None:
        is_second, self.requested = self.requested, True
        if is_second or not (self._holding or self._at_boundaries_only):
            raise KeyboardInterrupt
        log.warning("stopping after this step; once more stops at once and loses the step")


class TruncationWarning(TrainerCallback):  # type: ignore[misc]
    """Says once when every completion of a step was cut off: no answer was reached, so no reward can teach.

    huggingface/trl#5697 and #6263 are runs that went on like this at 97-99 % for hours.
    """

    def __init__(self) -> None:
        self._has_warned = False

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: Any = None, **kwargs: Any
    ) -> None:
        """Look at the share of completions that TRL found clipped."""
        if self._has_warned or not logs or logs.get("completions/clipped_ratio") != 1.0:
            return
        self._has_warned = True
        log.warning(
            "step %d: all completions were cut off at %d tokens before they ended; raise "
            "`train.max_completion_tokens`, or ask for shorter answers with another `prompt.style`",
            state.global_step,
            args.max_completion_length,
        )


class UngradableWarning(TrainerCallback):  # type: ignore[misc]
    """Says once when no completion of a step could be judged: a verifier whose worker dies on everything, say.

    Such a step trains on nothing, and a run of them ends as if all were well.
    """

    def __init__(self, verdicts: Callable[[], Iterable[Verdict]]) -> None:
        self._verdicts = verdicts
        self._has_warned = False

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: Any = None, **kwargs: Any
    ) -> None:
        """Look at the share of groups without a verdict."""
        if self._has_warned or not logs or logs.get("groups/ungradable") != 1.0:
            return
        self._has_warned = True
        details = [verdict.detail for verdict in self._verdicts() if verdict.score is None and verdict.detail]
        log.warning(
            "step %d: no group of completions could be judged, so nothing was learned%s",
            state.global_step,
            f"; the first: {details[0]}" if details else "; see the verdicts in `rollouts/`",
        )


def check_finite(step: int, figures: dict[str, float]) -> None:
    """Refuse to update the weights with figures that are no numbers.

    Raises:
        RunError: with the step and the figures.
    """
    bad = [f"{name} is {value}" for name, value in figures.items() if not math.isfinite(value)]
    if bad:
        raise RunError(
            f"step {step}: the {' and the '.join(bad)}; the weights were not updated with it. The same step would end "
            "the same way: start a new run from the checkpoint with a lower `train.learning_rate`"
        )
