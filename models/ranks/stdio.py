"""What a rank prints, made fit for the driver: lines with the rank's number, valid UTF-8, not too long or too many.

TorchDistributor 4.2 dies of an invalid byte, cuts lines at 4,000 characters, and may lose a connection that is silent
for 30 seconds, and with it the job (apache/spark pull request 58375).
"""

import os
import select
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from models.ranks.progress import MARKER

LONGEST = 3_900  # bytes
MOST = 200  # lines a second
HEARTBEAT_S = 10.0


@contextmanager
def numbered(rank: int) -> Iterator[None]:
    """In the block, standard output and error of this process, Python's or not, go through a `_Pump`."""
    reading, writing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    before = os.dup(1), os.dup(2)
    os.dup2(writing, 1)
    os.dup2(writing, 2)
    os.close(writing)
    pump = threading.Thread(target=_Pump(reading, before[0], f"[rank {rank}] ".encode()).run, daemon=True)
    pump.start()
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(before[0], 1)
        os.dup2(before[1], 2)
        pump.join(timeout=HEARTBEAT_S)  # a child that holds the pipe open does not hold us
        for handle in before:
            os.close(handle)


class _Pump:
    """Passes lines on from one file descriptor to another."""

    def __init__(self, reading: int, writing: int, prefix: bytes) -> None:
        self.reading, self.writing, self.prefix = reading, writing, prefix
        self.second, self.passed, self.dropped = 0, 0, 0

    def run(self) -> None:
        """Until the other end is closed."""
        # TorchDistributor's worker prints the first line of a rank itself, before its connection to the driver's log
        # server is up: an empty one does no harm.
        self._write(b"\n")
        pending = b""
        while True:
            if not select.select([self.reading], [], [], HEARTBEAT_S)[0]:
                self._write(b"\n")
                continue
            found = os.read(self.reading, 1 << 16)
            if not found:
                break
            *lines, pending = (pending + found).split(b"\n")
            for line in lines:
                self._pass(line)
            if len(pending) > LONGEST:
                self._pass(pending)
                pending = b""
        if pending:
            self._pass(pending)
        self._tell_dropped()
        os.close(self.reading)

    def _pass(self, line: bytes) -> None:
        if int(time.monotonic()) != self.second:
            self._tell_dropped()
            self.second, self.passed = int(time.monotonic()), 0
        self.passed += 1
        if self.passed > MOST and MARKER.encode() not in line:
            self.dropped += 1
            return
        text = line.decode(errors="backslashreplace").encode()
        for start in range(0, len(text), LONGEST):
            piece = text[start : start + LONGEST].decode(errors="ignore").encode()
            self._write(self.prefix + piece + b"\n")

    def _tell_dropped(self) -> None:
        if self.dropped:
            self._write(self.prefix + f"… {self.dropped:,} lines left out\n".encode())
            self.dropped = 0

    def _write(self, content: bytes) -> None:
        while content:
            content = content[os.write(self.writing, content) :]
