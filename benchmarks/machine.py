"""What a measurement is made on: rates, memory, names."""

import ctypes
import os
import platform
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch


class PeakMemory:
    """The memory a block adds at its highest point: resident, or allocated on the GPU where there is one."""

    def __enter__(self) -> "PeakMemory":
        ctypes.CDLL(None).malloc_trim(0)  # what the other side has freed is given back first
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        self.before = self.peak = _bytes_in_use()
        self._running = True
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._running = False
        self._thread.join()
        if torch.cuda.is_available():
            self.peak = torch.cuda.max_memory_allocated()

    def _watch(self) -> None:
        while self._running:
            self.peak = max(self.peak, _bytes_in_use())
            time.sleep(0.02)


def _bytes_in_use() -> int:
    return int(torch.cuda.memory_allocated()) if torch.cuda.is_available() else _resident_bytes()


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def machine_rates(dtype: torch.dtype, processor_seconds: bool = False) -> tuple[float, float]:
    """Return operations per second of large matrix products, and bytes per second of reading memory."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    left, right = (torch.randn(2048, 2048, device=device).to(dtype) for _ in range(2))
    big = torch.zeros(2**27, device=device)
    now = time.process_time if processor_seconds else time.perf_counter
    products = [2 * 2048**3 / _seconds(lambda: left @ right, now) for _ in range(5)]
    reads = [big.nbytes / _seconds(lambda: big.sum(), now) for _ in range(5)]
    return max(products), max(reads)


def _seconds(work: Callable[[], object], now: Callable[[], float]) -> float:
    started = now()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return now() - started


def machine() -> dict[str, Any]:
    """Return what the numbers were measured on."""
    import transformers
    import trl

    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "date": time.strftime("%Y-%m-%d"),
        "processor": names[0].split(": ")[1] if names else platform.processor(),
        "cores": os.cpu_count(),
        "hardware": _hardware(names[0].split(": ")[1] if names else platform.processor()),
        "threads": torch.get_num_threads(),
        "load_average": os.getloadavg()[0],
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__, "trl": trl.__version__},
    }


def told(found: Mapping[str, Any]) -> str:
    """Return what `machine` found as a clause for the line above a table."""
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    return (
        f"{found['date']}, {found['hardware']}, {found['threads']} threads, load average {found['load_average']:.1f}; "
        f"{versions}"
    )


def _hardware(processor: str) -> str:
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{os.cpu_count()} cores ({processor})"
