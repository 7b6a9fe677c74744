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
learn, left = loop.learn, []
def limited(*values):
    left[-1] -= 1
    if not left[-1]:
        raise SystemExit("stopped")
    return learn(*values)
loop.learn = limited
for port, task, steps in pickle.load(open(sys.argv[1], "rb")):
    os.environ["MASTER_PORT"] = str(port)
    left.append(steps)
    loop.fit(task)
"""


def run_ranks(
    folder: Path, tasks: Sequence[Sequence[Task]], *, steps: int = 0, timeout_s: float = 120
) -> tuple[list[int], list[str]]:
    """Each rank does its tasks, one after the other; the exit statuses, and what they wrote to standard error.

    With `steps` they leave, all of them, in the middle of the last task: before that step of it is taken.
    """
    ports = [free_port() for _ in tasks[0]]
    limits = [-1] * (len(ports) - 1) + [steps or -1]
    started = []
    for rank, mine in enumerate(tasks):
        path = folder / f"{rank}.pickle"
        path.write_bytes(pickle.dumps(list(zip(ports, mine, limits, strict=True))))
        place = {"RANK": str(rank), "WORLD_SIZE": str(len(tasks)), "MASTER_ADDR": "127.0.0.1", "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-c", WORKER, str(path)]
        streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
        started.append(subprocess.Popen(command, cwd=ROOT, env=os.environ | place, text=True, **streams))  # type: ignore[call-overload]
    try:
        errors = [process.communicate(timeout=timeout_s)[1] for process in started]
    finally:
        for process in started:
            process.kill()
    return [process.returncode for process in started], errors


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
