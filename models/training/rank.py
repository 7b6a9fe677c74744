"""What TorchDistributor pickles: imported without torch by the driver, and by the worker that starts the ranks."""

import ctypes
import os
import signal
import sys
from typing import Any

from models.training.task import Task


def fit(task: Task) -> dict[str, Any]:
    """`models.training.loop.fit` in a rank of its own; torch, which takes two seconds, is imported there alone."""
    # Read when torch's OpenMP is loaded. Threads that wait by spinning take the processor from those that they wait for
    # where others use it too: a step of 16 ms took 100 ms beside one busy process.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    _die_with_parent()
    from models.training import loop, output, proof

    with output.numbered(proof.rank()):
        return loop.fit(task)


def _die_with_parent() -> None:
    """Let Linux kill this process when torchrun ends, however it ends, even if this process is stopped (prctl(2))."""
    if sys.platform == "linux":
        parent_death_signal = 1
        ctypes.CDLL(None, use_errno=True).prctl(parent_death_signal, signal.SIGKILL)
