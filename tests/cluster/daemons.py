"""Daemons in processes of their own, for as long as a test needs them."""

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
    """Where daemons run: an address, and the prefix that makes a command run there."""

    address: str = "127.0.0.1"
    prefix: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The address as a file name."""
        return self.address.replace(".", "-")


LOOPBACK = Host()


def free_port(address: str = "127.0.0.1") -> int:
    """A port of a loopback address on which nobody listens now."""
    with socket.socket() as taken:
        taken.bind((address, 0))
        return int(taken.getsockname()[1])


@contextmanager
def daemon(log: Path, *command: str, host: Host = LOOPBACK, **variables: str) -> Iterator[psutil.Popen]:
    """Run `spark-class <command>` for the block; it and all processes that it started end with the block."""
    process = launch(log, *command, host=host, **variables)
    try:
        yield process
    finally:
        end(process)


def launch(log: Path, *command: str, host: Host = LOOPBACK, **variables: str) -> psutil.Popen:
    """Start a daemon.

    nsenter and spark-class become the JVM (`exec`), so the process is the daemon itself. If this process is killed
    before it can clean up, its reaper ends the daemon.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as stream:
        return psutil.Popen(
            [*host.prefix, "spark-class", *command],
            env=environment() | {"SPARK_LOCAL_IP": host.address} | variables,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,  # so that Ctrl-C reaches pytest alone, which ends the daemons in order
        )


def end(process: psutil.Popen) -> None:
    """End a daemon, then the processes that it started and did not end itself."""
    started = process.children(recursive=True) if process.is_running() else []
    if process.is_running():
        process.terminate()
    _, left = psutil.wait_procs([process, *started], timeout=20)
    for survivor in left:
        survivor.kill()
    psutil.wait_procs(left, timeout=20)


def wait_until(ready: Callable[[], bool], process: psutil.Popen, log: Path) -> None:
    """Wait until a daemon is ready; AssertionError with the end of its log if it ends or takes too long."""
    deadline = time.monotonic() + PATIENCE_S
    while not ready():
        assert process.poll() is None, f"{log.stem} ended: {log.read_text(errors='replace')[-3000:]}"
        assert time.monotonic() < deadline, f"{log.stem} is not ready: {log.read_text(errors='replace')[-3000:]}"
        time.sleep(0.2)
