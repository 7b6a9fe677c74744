"""Test runs within tests, to be ended in every way; and what is left of them."""

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Self

import psutil

ROOT = Path(__file__).resolve().parents[1]
PROBE = "TEXTMILL_PROBE"


def probed(value: str) -> list[psutil.Process]:
    """All processes below a run, by a variable of the environment that only this run has."""
    processes = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(PROBE) == value:
                processes.append(process)
    return processes


class Run:
    """A test run in a process group of its own, as a terminal or a scheduler starts it."""

    def __init__(self, folder: Path, tests: str, *options: str) -> None:
        self.folder, self.probe = folder, uuid.uuid4().hex
        (folder / "test_long.py").write_text(tests)
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, *options]
        self.process = subprocess.Popen(
            [*command, f"--rootdir={folder}", "-p", "tests.conftest", str(folder)],
            cwd=ROOT,
            env=os.environ | {PROBE: self.probe, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate(timeout=60)

    def until_ready(self, count: int, patience_s: float = 60) -> None:
        """Until so many tests have started their processes, and left a file `ready-…` that says so."""
        wait(lambda: len(list(self.folder.glob("ready-*"))) == count, "the tests have not begun", patience_s)

    def assert_nothing_left(self) -> None:
        """The run has ended, and within some seconds so has all that it started."""
        output = self.process.communicate(timeout=60)[0].decode()
        wait(lambda: not probed(self.probe), f"processes are left: {probed(self.probe)}; {output}")


def wait(done: Callable[[], bool], failure: str, patience_s: float = 60) -> None:
    """Until it is done, which must not take longer than so many seconds."""
    deadline = time.monotonic() + patience_s
    while not done():
        assert time.monotonic() < deadline, failure
        time.sleep(0.1)
