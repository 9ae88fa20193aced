"""What a measurement is made on: rates, memory, names."""

import ctypes
import os
import platform
import threading
import time
from pathlib import Path
from typing import Any

import torch


class PeakMemory:
    """The resident memory a block adds at its highest point."""

    def __enter__(self) -> "PeakMemory":
        ctypes.CDLL(None).malloc_trim(0)  # what the other side has freed is given back first
        self.before = self.peak = _resident_bytes()
        self._running = True
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._running = False
        self._thread.join()

    def _watch(self) -> None:
        while self._running:
            self.peak = max(self.peak, _resident_bytes())
            time.sleep(0.02)


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def machine_rates(dtype: torch.dtype) -> tuple[float, float]:
    """Return operations per second of large matrix products, and bytes per second of reading memory."""
    left, right = torch.randn(2048, 2048).to(dtype), torch.randn(2048, 2048).to(dtype)
    big = torch.zeros(2**27)
    products, reads = [], []
    for _ in range(5):
        started = time.perf_counter()
        left @ right
        products.append(2 * 2048**3 / (time.perf_counter() - started))
        started = time.perf_counter()
        big.sum()
        reads.append(big.nbytes / (time.perf_counter() - started))
    return max(products), max(reads)


def machine() -> dict[str, Any]:
    """Return what the numbers were measured on."""
    import transformers
    import trl

    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "date": time.strftime("%Y-%m-%d"),
        "processor": names[0].split(": ")[1] if names else platform.processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load_average": os.getloadavg()[0],
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__, "trl": trl.__version__},
    }
