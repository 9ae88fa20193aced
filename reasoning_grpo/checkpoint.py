"""Checkpoints that are whole or not there, and finding the newest whole one.

A checkpoint is built in a scratch folder, forced to the disk, sealed with a list of its files and their sizes, and only
then renamed to `checkpoint-<step>`. A folder without a seal, or with a file of another size, is never picked up: it was
torn by something else, such as a copy that was cut short.
"""

import json
import logging
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from reasoning_grpo import storage

log = logging.getLogger("reasoning_grpo")

SEAL_FILE = "checkpoint.json"
SCRATCH = ".saving"
SCHEMA_VERSION = 1


class Part(Protocol):
    """Something beside the trainer whose state belongs into a checkpoint."""

    def state(self) -> dict[str, Any]:
        """Return the state in plain values and tensors, as a copy; called after every step."""

    def load_state(self, state: dict[str, Any]) -> None:
        """Go back to a state."""

    def saved(self) -> None:
        """A checkpoint with the present state is on the disk."""


class RunLogs:
    """The run's append-only logs; their state is how long they were."""

    def __init__(self, writers: Mapping[str, storage.JsonlWriter]) -> None:
        self._writers = dict(writers)

    def state(self) -> dict[str, Any]:
        """Return the length of each log in bytes."""
        return {name: writer.position for name, writer in self._writers.items()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Cut off what was written after that."""
        for name, writer in self._writers.items():
            writer.rewind(state[name])

    def saved(self) -> None:
        """Nothing follows from a checkpoint."""

    def sync(self) -> None:
        """Force all rows to the disk: a checkpoint must not know rows that a power cut takes away."""
        for writer in self._writers.values():
            writer.sync()


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A whole checkpoint."""

    folder: Path
    step: int


def checkpoint_name(step: int) -> str:
    """Return the folder name transformers gives the checkpoint of a step."""
    return f"checkpoint-{step}"


def newest(parent: Path) -> Checkpoint | None:
    """Return the whole checkpoint with the highest step, or None; torn ones are passed over with a warning."""
    for found in _by_step(parent):
        if is_whole(found.folder):
            return found
        log.warning("`%s` is not whole and is passed over", found.folder)
    return None


def is_whole(folder: Path) -> bool:
    """Return whether every file of the seal is there with its size."""
    try:
        files = json.loads((folder / SEAL_FILE).read_text("utf-8"))["files"]
        return all((folder / name).stat().st_size == size for name, size in files.items())
    except (OSError, ValueError, KeyError, AttributeError):
        return False


def publish(scratch: Path, parent: Path, step: int) -> Checkpoint:
    """Seal a checkpoint built in `scratch`, force it to the disk and give it its name in `parent`."""
    files = {str(p.relative_to(scratch)): p.stat().st_size for p in sorted(scratch.rglob("*")) if p.is_file()}
    storage.write_json(scratch / SEAL_FILE, {"schema_version": SCHEMA_VERSION, "step": step, "files": files})
    storage.sync_tree(scratch)
    folder = parent / checkpoint_name(step)
    shutil.rmtree(folder, ignore_errors=True)  # a torn one: a whole one is never written twice
    scratch.rename(folder)
    storage.sync_folder(parent)
    return Checkpoint(folder=folder, step=step)


def prune(parent: Path, *, keep: int) -> None:
    """Delete all but the newest `keep` whole checkpoints: a torn one must not take a whole one's place."""
    kept = [found for found in _by_step(parent) if is_whole(found.folder)][:keep]
    for found in _by_step(parent):
        if found not in kept:
            shutil.rmtree(found.folder, ignore_errors=True)


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write plain values and tensors."""
    torch.save(state, path)


def load_state(path: Path) -> dict[str, Any]:
    """Read plain values and tensors; nothing in the file can run code."""
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def _by_step(parent: Path) -> Iterator[Checkpoint]:
    names = (re.fullmatch(r"checkpoint-(\d+)", p.name) for p in parent.iterdir()) if parent.is_dir() else ()
    steps = sorted((int(match[1]) for match in names if match), reverse=True)
    return (Checkpoint(folder=parent / checkpoint_name(step), step=step) for step in steps)
