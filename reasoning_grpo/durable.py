"""The trainer that loses nothing: whole checkpoints, exact resume, no update from figures that are no numbers.

A step boundary is the moment after a step's update, log row and checkpoint. The trainer keeps what its loop held there
(`_boundary`), so that whatever ends the run inside the next step, the state at the boundary can still be saved: the
weights have not changed since. What TRL and transformers leave out of a checkpoint and this one holds: the micro-step
phase, the rollout buffer, metric sums between two logs, the sampler's place after the first epoch, a reference model
that moves, and the sizes of the run's logs.

Leaves out: with several processes a run that ends with an error keeps its last checkpoint only, because the processes
are at different places by then.
"""

import copy
import logging
import random
import shutil
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from reasoning_grpo import checkpoint
from reasoning_grpo.checkpoint import Checkpoint, Part, RunLogs
from reasoning_grpo.faults import StopSignals, check_finite
from reasoning_grpo.heldout import HeldoutAccuracy
from reasoning_grpo.models import record_prompt_style
from reasoning_grpo.trainer import ReasoningGRPOTrainer

log = logging.getLogger("reasoning_grpo")

# What the loops of TRL 1.16 and transformers 5.23 carry from one step to the next outside of model, optimizer,
# scheduler and TrainerState.
LOOP_ATTRIBUTES = (
    "_step",
    "_buffered_inputs",
    "_total_train_tokens",
    "_current_train_step_time",
    "_tr_loss",
    "_total_loss_scalar",
    "_globalstep_last_logged",
    "_initial_global_step",
    "current_flos",
    "entropy_coef",
    "_last_world_entropy",
    "_entropy_window_stats",
)
REFERENCE_FILE = "reference_model.pt"
# What a full disk looks like from Python, torch.save and safetensors.
SAVE_ERRORS = (OSError, RuntimeError, SafetensorError)


class DurableTrainer(ReasoningGRPOTrainer):
    """ReasoningGRPOTrainer with exact checkpoints; `logs` are the files whose rows go back with it."""

    def __init__(
        self, *, logs: RunLogs, stop: StopSignals, keep_checkpoints: int, prompt_style: str, **kwargs: Any
    ) -> None:
        self._scratch: Path | None = None
        super().__init__(**kwargs)
        self.stop = stop
        self.heldout: HeldoutAccuracy | None = None
        self._run_logs = logs
        self._parts: dict[str, Part] = {"logs": logs}
        if self.reserve is not None:
            self._parts["reserve"] = self.reserve
        self._keep_checkpoints = keep_checkpoints
        self._prompt_style = prompt_style
        self._checkpoints = Path(self.args.output_dir)
        self._resumed: Checkpoint | None = None
        self._boundary: dict[str, Any] | None = None
        self._losses: list[torch.Tensor] = []
        self.add_callback(_LoopEvents(self))

    def measure_with(self, heldout: HeldoutAccuracy) -> None:
        """Measure held-out accuracy after the steps that ask for it."""
        self.heldout = self._parts["heldout"] = heldout

    def run(self, resumed: Checkpoint | None) -> None:
        """Train to the end, from the start or from a checkpoint."""
        self._resumed = resumed
        if resumed:
            self._load_parts(self._rank_state(resumed)["parts"])
        self.train(resume_from_checkpoint=str(resumed.folder) if resumed else None)

    def save_boundary(self) -> None:
        """Save the state after the last finished step, if this process still has it."""
        if self._boundary is None or self.accelerator.num_processes > 1:
            return
        self.stop.hold()
        self._restore(self._boundary)
        self._save_checkpoint(self.model, None)

    # -- the loop's seams

    def on_train_begin(self) -> None:
        """Put the loop where the checkpoint left it; transformers has just set it to its own idea of that."""
        if self._resumed:
            self.model.train()  # TRL files metrics by this; a run resumed after its last step takes no step to set it
            self._restore_loop(self._rank_state(self._resumed))
            if self.args.sync_ref_model:
                self.ref_model.load_state_dict(checkpoint.load_state(self._resumed.folder / REFERENCE_FILE))
        self._measure_heldout()

    def on_pre_optimizer_step(self) -> None:
        """From here on the weights are no longer those of the boundary."""
        self.stop.hold()
        self._boundary = None

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Remember the loss until the update is decided."""
        loss: torch.Tensor = super().training_step(*args, **kwargs)
        self._losses.append(loss)
        return loss

    def _get_grad_norm(self, model: Any, grad_norm: Any = None) -> Any:
        norm = super()._get_grad_norm(model, grad_norm=grad_norm)
        losses, self._losses = self._losses, []
        # A scaler for float16 skips updates that overflow by itself.
        if norm is not None and getattr(self.accelerator, "scaler", None) is None:
            loss = torch.stack(losses).sum().item()
            check_finite(self.state.global_step + 1, {"loss": loss, "gradient's norm": float(norm)})
        return norm

    def _maybe_log_save_evaluate(self, *args: Any, **kwargs: Any) -> None:
        super()._maybe_log_save_evaluate(*args, **kwargs)
        self._reach_boundary()
        self._measure_heldout()

    def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
        # transformers would take one more step before it noticed that the run is over.
        if self.state.global_step >= self.state.max_steps or self.control.should_training_stop:
            self.control.should_training_stop = True
            return
        super()._run_epoch(*args, **kwargs)

    def _get_train_sampler(self, dataset: Any = None) -> Any:
        sampler = super()._get_train_sampler(dataset)
        if self._resumed and getattr(sampler, "shuffle", False):
            state = TrainerState.load_from_json(str(self._resumed.folder / "trainer_state.json"))
            for _ in range(int(state.epoch)):  # its generator draws one order per epoch
                torch.randperm(sampler.num_samples, generator=sampler.generator)
        return sampler

    def _measure_heldout(self) -> None:
        if self.heldout is None:
            return
        verdicts = self.heldout.measure_if_due(self.state)
        if verdicts is not None:
            self.stop.hold()
            self.heldout.record(verdicts, self.state)
            self._reach_boundary()
        if self.heldout.stopped:
            self.control.should_training_stop = True

    def _reach_boundary(self) -> None:
        if self.state.global_step:
            self._boundary = self._snapshot()
        self.stop.release(requested_elsewhere=self._is_stop_requested_anywhere())

    def _is_stop_requested_anywhere(self) -> bool:
        if self.accelerator.num_processes == 1:
            return False
        mine = torch.tensor(float(self.stop.requested), device=self.accelerator.device)
        requested = bool(self.accelerator.reduce(mine, reduction="sum").item())
        if requested and self.state.global_step:
            self._save_checkpoint(self.model, None)  # every process is here, so this one can be saved together
        return requested

    # -- saving

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        step = self.state.global_step
        if checkpoint.is_whole(self._checkpoints / checkpoint.checkpoint_name(step)):
            return
        self._scratch = self._checkpoints / checkpoint.SCRATCH
        try:
            error = self.attempt(lambda: self._build(model, trial)) or self.attempt(self._publish)
        finally:
            scratch, self._scratch = self._scratch, None
            if self.accelerator.is_main_process:
                shutil.rmtree(scratch, ignore_errors=True)
        if error:
            log.warning("the checkpoint of step %d could not be saved (%s); those before it stay", step, error)
            return
        for part in self._parts.values():
            part.saved()

    def attempt(self, work: Callable[[], None]) -> str | None:
        """Do what a full disk may prevent; return what went wrong, on this process or another. Called on every one."""
        error: Exception | None = None
        try:
            work()
        except SAVE_ERRORS as caught:
            error = caught
        if not self._is_true_anywhere(error is not None):
            return None
        return str(error).partition("\n")[0] if error else "another process failed"

    def _build(self, model: Any, trial: Any) -> None:
        """Write this process's share of the checkpoint into the scratch folder."""
        super()._save_checkpoint(model, trial)
        folder = Path(self._get_output_dir(trial)) / checkpoint.checkpoint_name(self.state.global_step)
        self._run_logs.sync()
        state = self._snapshot()
        del state["random"]  # transformers has saved these, and brings them back at the right moment
        checkpoint.save_state(folder / self._rank_file(), state)
        if self.args.sync_ref_model and self.accelerator.is_main_process:
            checkpoint.save_state(folder / REFERENCE_FILE, self.accelerator.get_state_dict(self.ref_model))

    def _publish(self) -> None:
        if not self.accelerator.is_main_process:
            return
        step = self.state.global_step
        folder = Path(self._get_output_dir(None)) / checkpoint.checkpoint_name(step)
        (folder / "training_args.bin").unlink(missing_ok=True)  # a pickle nobody needs: recipe.toml says the same
        record_prompt_style(folder, self._prompt_style)  # a checkpoint is a model folder to `bench` too
        checkpoint.publish(folder, self._checkpoints, step)
        checkpoint.prune(self._checkpoints, keep=self._keep_checkpoints)

    def _get_output_dir(self, trial: Any) -> str:
        # Where transformers saves: into a folder that no resume looks at, until it is whole.
        return str(self._scratch or super()._get_output_dir(trial))

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """Write TRL's model card only where it is published; otherwise it would be one more file to tear."""
        if self.args.push_to_hub:
            super().create_model_card(*args, **kwargs)

    def _is_true_anywhere(self, claim: bool) -> bool:
        if self.accelerator.num_processes == 1:
            return claim
        mine = torch.tensor(float(claim), device=self.accelerator.device)
        return bool(self.accelerator.reduce(mine, reduction="sum").item())

    # -- the loop's state

    def _rank_file(self) -> str:
        return f"loop-{self.accelerator.process_index}.pt"

    def _rank_state(self, resumed: Checkpoint) -> dict[str, Any]:
        return checkpoint.load_state(resumed.folder / self._rank_file())

    def _snapshot(self) -> dict[str, Any]:
        """Return the loop's state in plain values and tensors; nothing that happens later changes it."""
        loop = {name: getattr(self, name) for name in LOOP_ATTRIBUTES if name != "_buffered_inputs"}
        return {
            "loop": copy.deepcopy(loop),
            "buffer": self._buffered_inputs,  # replaced by the loop, never changed in place
            "metrics": {mode: {k: list(v) for k, v in rows.items()} for mode, rows in self._metrics.items()},
            "num_input_tokens_seen": self.state.num_input_tokens_seen,
            "random": random_states(),
            "parts": {name: part.state() for name, part in self._parts.items()},
        }

    def _restore(self, snapshot: dict[str, Any]) -> None:
        self._restore_loop(snapshot)
        self._load_parts(snapshot["parts"])
        set_random_states(snapshot["random"])

    def _restore_loop(self, snapshot: dict[str, Any]) -> None:
        for name, value in snapshot["loop"].items():
            setattr(self, name, value.to(self.args.device) if isinstance(value, torch.Tensor) else value)
        self._buffered_inputs = _on_device(snapshot["buffer"], self.args.device)
        self._metrics = {mode: defaultdict(list, rows) for mode, rows in snapshot["metrics"].items()}
        self.state.num_input_tokens_seen = snapshot["num_input_tokens_seen"]

    def _load_parts(self, states: Mapping[str, Any]) -> None:
        for name, part in self._parts.items():
            part.load_state(states[name])


class _LoopEvents(TrainerCallback):  # type: ignore[misc]
    """Tells the trainer of two moments for which its loop has callbacks only."""

    def __init__(self, trainer: DurableTrainer) -> None:
        self._trainer = trainer

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """The loop has set itself up."""
        self._trainer.on_train_begin()

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """The gradients are complete."""
        self._trainer.on_pre_optimizer_step()


def random_states() -> dict[str, Any]:
    """Return the state of every generator that training draws from."""
    return {
        "python": random.getstate(),
        "numpy": np.random.get_state(),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_random_states(states: Mapping[str, Any]) -> None:
    """Bring every generator back to a state."""
    random.setstate(states["python"])
    np.random.set_state(states["numpy"])
    torch.set_rng_state(states["torch"])
    if states["cuda"]:
        torch.cuda.set_rng_state_all(states["cuda"])


def _on_device(value: Any, device: torch.device) -> Any:
    """Move the tensors of a rollout buffer: a list of dicts of tensors and plain values."""
    if isinstance(value, torch.Tensor):
        return value.to(device)
    if isinstance(value, dict):
        return {key: _on_device(item, device) for key, item in value.items()}
    return [_on_device(item, device) for item in value] if isinstance(value, list) else value
