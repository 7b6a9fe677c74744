"""Ranks in processes of their own, without Spark."""

import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from models.training.task import Task
from tests.models.cases import ROOT

WORKER = """
import os, pickle, sys
from models.training import loop
train_step, left = loop.train_step, []
def limited(*values):
    left[-1] -= 1
    if not left[-1]:
        raise SystemExit("stopped")
    return train_step(*values)
loop.train_step = limited
for port, task, steps in pickle.load(open(sys.argv[1], "rb")):
    os.environ["MASTER_PORT"] = str(port)
    left.append(steps)
    loop.fit(task)
"""


def run_ranks(
    folder: Path, tasks: Sequence[Sequence[Task]], *, steps: int = 0, timeout_s: float = 120
) -> tuple[list[int], list[str]]:
    """Run each rank's tasks one after the other; returns the exit statuses, and what was written to standard error.

    With `steps`, all ranks leave in the middle of the last task, before they take that step of it.
    """
    ports = [free_port() for _ in tasks[0]]
    limits = [-1] * (len(ports) - 1) + [steps or -1]
    started = []
    for rank, own in enumerate(tasks):
        path = folder / f"{rank}.pickle"
        path.write_bytes(pickle.dumps(list(zip(ports, own, limits, strict=True))))
        group = {"RANK": str(rank), "WORLD_SIZE": str(len(tasks)), "MASTER_ADDR": "127.0.0.1", "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-c", WORKER, str(path)]
        streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
        started.append(subprocess.Popen(command, cwd=ROOT, env=os.environ | group, text=True, **streams))  # type: ignore[call-overload]
    try:
        errors = [process.communicate(timeout=timeout_s)[1] for process in started]
    finally:
        for process in started:
            process.kill()
    return [process.returncode for process in started], errors


def free_port() -> int:
    """A port of this machine on which nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
