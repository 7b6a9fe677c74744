"""Daemons in processes of their own, for as long as a test needs them."""

import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.jobs import environment

PATIENCE_S = 90  # a JVM starts in seconds; a busy machine is no failure


def free_port() -> int:
    """A port of the loopback interface that nobody listens on now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@contextmanager
def daemon(log: Path, *command: str, **variables: str) -> Iterator[psutil.Popen]:
    """`spark-class <command>` and whatever it starts; all of that is gone afterwards, also when a test fails.

    setpriv and spark-class become the JVM (`exec`), so the process is the daemon itself. It ends with us even where
    we are killed and clean nothing up.
    """
    with log.open("wb") as stream:
        process = psutil.Popen(
            ["setpriv", "--pdeathsig", "TERM", "spark-class", *command],
            env=environment() | {"SPARK_LOCAL_IP": "127.0.0.1"} | variables,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,  # a terminal's Ctrl-C is for pytest, which then ends the daemons in their order
        )
    try:
        yield process
    finally:
        end(process)


def end(process: psutil.Popen) -> None:
    """End a daemon by its id, then what it has started and not ended itself."""
    started = process.children(recursive=True) if process.is_running() else []
    process.terminate()
    _, left = psutil.wait_procs([process, *started], timeout=20)
    for survivor in left:
        survivor.kill()
    psutil.wait_procs(left, timeout=20)


def wait_until(ready: Callable[[], bool], process: psutil.Popen, log: Path) -> None:
    """Until a daemon is ready; AssertionError with what it said where it ends, or takes too long."""
    deadline = time.monotonic() + PATIENCE_S
    while not ready():
        assert process.poll() is None, f"{log.stem} ended: {log.read_text(errors='replace')[-3000:]}"
        assert time.monotonic() < deadline, f"{log.stem} is not ready: {log.read_text(errors='replace')[-3000:]}"
        time.sleep(0.2)
