"""Daemons in processes of their own, for as long as somebody needs them."""

import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.jobs import environment

PATIENCE_S = 90  # a JVM starts in seconds; a busy machine is no failure


@dataclass(frozen=True)
class Host:
    """Where daemons run: an address of their own, and what a command is to begin with to run there."""

    address: str = "127.0.0.1"
    prefix: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """For folders and logs."""
        return self.address.replace(".", "-")


LOOPBACK = Host()


def free_port(address: str = "127.0.0.1") -> int:
    """A port of a loopback address that nobody listens on now."""
    with socket.socket() as taken:
        taken.bind((address, 0))
        return int(taken.getsockname()[1])


@contextmanager
def daemon(log: Path, *command: str, host: Host = LOOPBACK, **variables: str) -> Iterator[psutil.Popen]:
    """`spark-class <command>` and whatever it starts; all of that is gone afterwards, also when a test fails."""
    process = launch(log, *command, host=host, **variables)
    try:
        yield process
    finally:
        end(process)


def launch(log: Path, *command: str, host: Host = LOOPBACK, **variables: str) -> psutil.Popen:
    """Start a daemon.

    nsenter and spark-class become the JVM (`exec`), so the process is the daemon itself. Where we are killed and clean
    nothing up, our reaper ends it.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as stream:
        return psutil.Popen(
            [*host.prefix, "spark-class", *command],
            env=environment() | {"SPARK_LOCAL_IP": host.address} | variables,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,  # a terminal's Ctrl-C is for pytest, which then ends the daemons in their order
        )


def end(process: psutil.Popen) -> None:
    """End a daemon by its id, then what it has started and not ended itself."""
    started = process.children(recursive=True) if process.is_running() else []
    if process.is_running():
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
