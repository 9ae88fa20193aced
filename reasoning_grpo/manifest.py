"""What ran: the resolved recipe, versions, hardware, data and batch plan, beside the results they explain.

`manifest.json` says `"status": "running"` from the first moment on and `"finished"` only when everything else is on
disk: a run that died is recognised by its status.
"""

import dataclasses
import json
import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from reasoning_grpo import storage
from reasoning_grpo.errors import UserError

MANIFEST_FILE = "manifest.json"
SCHEMA_VERSION = 1
PACKAGES = ("reasoning-grpo", "torch", "transformers", "trl", "accelerate", "peft", "datasets", "math-verify", "sympy")


@dataclass(slots=True)
class Manifest:
    """The record of one run, rewritten atomically at each change."""

    folder: Path
    record: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def start(cls, folder: Path, **facts: Any) -> "Manifest":
        """Write the first record, with status `running`."""
        manifest = cls(folder)
        manifest.update(
            schema_version=SCHEMA_VERSION,
            status="running",
            started=storage.now(),
            command=sys.argv,
            versions=versions(),
            hardware=hardware(),
            **facts,
        )
        return manifest

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """Read the record of an earlier process.

        Raises:
            UserError: there is none, or it is none of ours.
        """
        path = folder / MANIFEST_FILE
        try:
            record = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise UserError(f"`{folder}` is no run folder: `{path}` cannot be read ({error})") from None
        if not isinstance(record, dict) or "recipe" not in record:
            raise UserError(f"`{path}` is no manifest of a training run that can be resumed")
        return cls(folder, record)

    def resume(self, step: int, **facts: Any) -> None:
        """Note that another process goes on after `step`, and facts about it."""
        for name in ("ended", "error"):
            self.record.pop(name, None)
        note = {"time": storage.now(), "after_step": step, "command": sys.argv, "versions": versions(), **facts}
        self.update(status="running", resumes=[*self.record.get("resumes", []), note])

    def update(self, **facts: Any) -> None:
        """Add facts and write the record."""
        self.record.update({name: jsonable(fact) for name, fact in facts.items()})
        storage.write_json(self.folder / MANIFEST_FILE, self.record)

    def finish(self, status: str, **facts: Any) -> None:
        """Write the last record; `status` is finished, interrupted or failed."""
        self.update(status=status, ended=storage.now(), **facts)


def versions() -> dict[str, str]:
    """Return the versions a result depends on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue  # an extra that is not installed cannot have moved a number
    return found


def hardware() -> dict[str, Any]:
    """Return processor, memory and accelerators."""
    import torch

    return {
        "machine": platform.machine(),
        "processor": _processor(),
        "num_cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "num_torch_threads": torch.get_num_threads(),
        "accelerators": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def jsonable(value: Any) -> Any:
    """Return a value in what JSON holds: dataclasses become tables, paths text."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return jsonable(dataclasses.asdict(value))
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(item) for item in value]
    return str(value) if isinstance(value, Path) else value
