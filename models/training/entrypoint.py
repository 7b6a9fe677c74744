"""The function that TorchDistributor pickles and runs in every rank.

The driver and the worker that starts the ranks import this module, too, and neither may spend the time or memory that
importing torch takes.
"""

import ctypes
import os
import signal
import sys
import threading
import time
from pathlib import Path

from models.training.figures import TrainingFigures
from models.training.task import Task

WRAPPER = b"torch_run_process_wrapper"  # the process of pyspark.ml.torch that starts torchrun


def fit(task: Task) -> TrainingFigures:
    """Run `models.training.loop.fit` in a rank of its own; torch is imported only here, which takes two seconds."""
    # Must be set before torch's OpenMP is loaded. Threads that wait by spinning take the processor from the threads
    # that they wait for, if the machine is busy: a step of 16 ms took 100 ms beside one busy process.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    _die_with_parents()
    from models.ranks import process_group, stdio
    from models.training import loop

    with stdio.prefixed_output(process_group.rank()):
        return loop.fit(task)


def _die_with_parents() -> None:
    """Make this process end together with torchrun, and with the wrapper that started torchrun (on Linux only).

    Neither of them ends its children when it is killed.
    """
    if sys.platform != "linux":
        return
    parent_death_signal = 1
    # prctl(2). SIGKILL ends this process even if it is stopped.
    ctypes.CDLL(None, use_errno=True).prctl(parent_death_signal, signal.SIGKILL)
    threading.Thread(target=_watch_wrapper, args=(os.getppid(),), daemon=True).start()


def _watch_wrapper(torchrun: int) -> None:
    """Kill torchrun when its parent, the wrapper, is gone."""
    wrapper = _parent(torchrun)
    # If the wrapper ended before this process looked, torchrun's parent is whoever adopts orphans.
    if WRAPPER in _command_line(wrapper):
        while _parent(torchrun) == wrapper:
            time.sleep(1)
    os.kill(torchrun, signal.SIGKILL)


def _command_line(process: int) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except FileNotFoundError:
        return b""


def _parent(process: int) -> int:
    """The parent of a process (proc(5), stat: the second field after the name)."""
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
