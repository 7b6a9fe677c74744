"""The driver imports no torch; a rank ends with the processes above it, even if they end before it looks for them."""

import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from models.dataset.target_scaling import TargetScale
from models.training.figures import TrainingFigures
from tests.models.cases import ROOT

RANK = """
import time
from models.training import entrypoint
entrypoint._die_with_parents()
print(flush=True)
time.sleep(600)
"""
# As torchrun does, one process starts the rank and waits; `wait` holds the rank back until the wrapper is gone.
TORCHRUN = """
import subprocess, sys, time, os
wait, code, file = int(sys.argv[1]), sys.argv[2], sys.argv[3]
while wait and os.getppid() == int(sys.argv[4]):
    time.sleep(0.05)
process = subprocess.Popen([sys.executable, "-c", code], stdout=open(file + ".out", "w"))
open(file + ".tmp", "w").write(str(process.pid))
os.replace(file + ".tmp", file)
process.wait()
time.sleep(600)
"""
WRAPPER = "import os, subprocess, sys; subprocess.run([sys.executable, '-c', *sys.argv[1:], str(os.getpid())])"


def test_the_driver_unpickles_figures_without_torch() -> None:
    figures = TrainingFigures(
        **{name: 1 for name in TrainingFigures.__dataclass_fields__ if name not in ("validation", "target")},
        validation={"loss": 0.5},
        target=TargetScale(),
    )
    code = """
import pickle, sys
import models.training.entrypoint
figures = pickle.loads(bytes.fromhex(sys.argv[1]))
assert figures.validation == {"loss": 0.5}, figures
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code, pickle.dumps(figures).hex()], cwd=ROOT, check=True)


@pytest.mark.parametrize("late", [False, True])
def test_a_rank_ends_when_the_wrapper_does(tmp_path: Path, late: bool) -> None:
    (tmp_path / "torch_run_process_wrapper.py").write_text(WRAPPER)
    file = tmp_path / "pid"
    command = [
        sys.executable,
        str(tmp_path / "torch_run_process_wrapper.py"),
        TORCHRUN,
        str(int(late)),
        RANK,
        str(file),
    ]
    wrapper = subprocess.Popen(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)})
    deadline = time.monotonic() + 60
    (torchrun,) = wait(lambda: psutil.Process(wrapper.pid).children(), deadline)
    if not late:
        wait(lambda: file.with_suffix(".out").exists() and file.with_suffix(".out").read_text(), deadline)
        time.sleep(1.5)
        assert torchrun.is_running()
    wrapper.kill()
    wrapper.wait()
    wait(file.exists, deadline)
    rank = int(file.read_text())
    wait(lambda: not psutil.pid_exists(rank) and not torchrun.is_running(), deadline)


def wait(condition: Callable[[], Any], deadline: float) -> Any:
    """The first true value that `condition` gives."""
    while not (value := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return value
