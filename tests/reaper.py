"""No process outlives the test run that started it: a reaper beside the run ends what is left when the run is gone.

Everything that a run starts inherits an environment variable with the run's own value, through shells, sessions, JVMs,
daemons and containers. The reaper waits until the run has ended, however it ended (SIGKILL too), and then looks for
that value among all processes.
"""

import os
import sys
import time
import uuid
from contextlib import suppress

import psutil

VARIABLE = "TEXTMILL_TESTS"
POLL_S = 0.2
GRACE_S = 5.0  # between SIGTERM and SIGKILL
LIMIT_S = 60.0  # after which a process that even SIGKILL does not end is left alone


def start() -> None:
    """Mark whatever this process starts from now on, and start the reaper that ends it with this process."""
    mark = uuid.uuid4().hex
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    os.posix_spawn(
        sys.executable,
        [sys.executable, "-P", __file__, str(os.getpid()), mark],
        environment,  # unmarked, so that the reaper of an outer run does not end this one
        file_actions=[(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)],
        setsid=True,  # a signal to this process's group must not reach it
    )
    os.environ[VARIABLE] = mark


def mark() -> dict[str, str]:
    """The variable, for a process that is started with an environment of its own."""
    return {VARIABLE: os.environ[VARIABLE]}


def marked(value: str) -> list[psutil.Process]:
    """All processes that were started with this value of the variable."""
    processes = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # it ended, or is not ours to look at
            if process.environ().get(VARIABLE) == value:
                processes.append(process)
    return processes


def reap(value: str) -> None:
    """End all marked processes: SIGTERM first, so that they may clean up, and SIGKILL after the grace period."""
    began, asked, quiet = time.monotonic(), set[int](), 0
    while quiet < 2 and time.monotonic() - began < LIMIT_S:  # a process between fork and exec is seen the second time
        processes = marked(value)
        quiet = 0 if processes else quiet + 1
        for process in processes:
            with suppress(psutil.Error):
                if time.monotonic() - began > GRACE_S:
                    process.kill()
                elif process.pid not in asked:
                    asked.add(process.pid)
                    process.terminate()
                    process.resume()  # a stopped process takes no SIGTERM
        time.sleep(POLL_S)


def main(parent: int, value: str) -> None:
    """Wait for the end of the parent, then reap."""
    while os.getppid() == parent:
        time.sleep(POLL_S)
    reap(value)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
