"""What every heavy verb sets in its own process before it imports torch."""

import logging
import os
import warnings

# Idle OpenMP threads that spin take the core another process could use. Beside two busy processes on two cores, the
# same three steps of the demo took 66-96 s with spinning threads and 7 s with sleeping ones.
SLEEPING_THREADS = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}
QUIET = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TOKENIZERS_PARALLELISM": "false",  # it warns at every fork
}


def prepare_process() -> None:
    """Let threads sleep, keep the libraries' warnings and drop their chatter; what the person has set stays."""
    for name, value in {**SLEEPING_THREADS, **QUIET}.items():
        os.environ.setdefault(name, value)
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"(torch|transformers|trl|accelerate)\..*")
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
