"""What every heavy verb sets in its own process before it imports torch."""

import logging
import os
import warnings

# OpenMP threads that spin without bound while they wait take the core another process could use: beside two busy
# processes on two cores, three steps of the demo took 66-96 s with spinning threads and 7 s with sleeping ones. Threads
# that sleep at once must be woken for every small operation: on two quiet cores a short spin makes rollouts 1.4 to 1.7
# times faster, beside two busy processes 1.6 times slower (benchmarks/step_time.md).
SLEEP_AT_ONCE = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0", "KMP_BLOCKTIME": "0"}
SHORT_SPIN = {**SLEEP_AT_ONCE, "GOMP_SPINCOUNT": "1000"}
QUIET = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TOKENIZERS_PARALLELISM": "false",  # it warns at every fork
}


def set_waiting() -> None:
    """Say how OpenMP threads wait, by how busy the machine is now; what the person has set stays.

    Before torch is imported. It changes how long a step takes and nothing of what it computes.
    """
    if not os.environ.keys() & SLEEP_AT_ONCE.keys():
        os.environ.update(SHORT_SPIN if _is_quiet() else SLEEP_AT_ONCE)


def _is_quiet() -> bool:
    """Return whether less than half of the cores were in use over the last minute."""
    return hasattr(os, "getloadavg") and os.getloadavg()[0] < (os.cpu_count() or 1) / 2


def prepare_process() -> None:
    """Let threads wait well, keep the libraries' warnings and drop their chatter; what the person has set stays."""
    set_waiting()
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"(torch|transformers|trl|accelerate)\..*")
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
