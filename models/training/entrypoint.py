"""What TorchDistributor pickles: imported without torch by the driver, and by the worker that starts the ranks."""

import ctypes
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from models.training.task import Task

WRAPPER = b"torch_run_process_wrapper"  # pyspark.ml.torch's process above torchrun


def fit(task: Task) -> dict[str, Any]:
    """`models.training.loop.fit` in a rank of its own; torch, which takes two seconds, is imported there alone."""
    # Read when torch's OpenMP is loaded. Threads that wait by spinning take the processor from those that they wait for
    # where others use it too: a step of 16 ms took 100 ms beside one busy process.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    _die_with_parents()
    from models.ranks import exit_records, stdio
    from models.training import loop

    with stdio.numbered(exit_records.rank()):
        return loop.fit(task)


def _die_with_parents() -> None:
    """End with torchrun, and with the wrapper that started it, however they end: neither minds us (Linux alone)."""
    if sys.platform != "linux":
        return
    parent_death_signal = 1
    ctypes.CDLL(None, use_errno=True).prctl(parent_death_signal, signal.SIGKILL)  # even if we are stopped; prctl(2)
    threading.Thread(target=_mind_wrapper, args=(os.getppid(),), daemon=True).start()


def _mind_wrapper(torchrun: int) -> None:
    wrapper = _parent(torchrun)
    if WRAPPER in _command(wrapper):  # or it has ended while we started, and this is who takes in orphans
        while _parent(torchrun) == wrapper:
            time.sleep(1)
    os.kill(torchrun, signal.SIGKILL)


def _command(process: int) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except FileNotFoundError:
        return b""


def _parent(process: int) -> int:
    """The parent of a process (proc(5), stat: the second field behind the name)."""
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
