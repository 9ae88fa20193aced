"""The processes of one run: how many there are and which one this is."""

import torch
from accelerate import PartialState


def process_state() -> PartialState:
    """Return accelerate's view of the run; the first call decides it, so every part of a run asks here.

    Without an accelerator it must be told to use the CPU, or it takes a distributed run for a single process.
    """
    return PartialState(cpu=not (torch.cuda.is_available() or torch.backends.mps.is_available()))
