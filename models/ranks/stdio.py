"""Makes a rank's output safe for the driver: numbered lines of valid UTF-8, neither too long nor too many.

TorchDistributor 4.2 crashes on an invalid byte, cuts lines at 4,000 characters, and may lose a connection that is
silent for 30 seconds, and with it the job (apache/spark pull request 58375).
"""

import os
import select
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from models.ranks.progress import MARKER

MAX_LINE_BYTES = 3_900
MAX_LINES_PER_S = 200
HEARTBEAT_S = 10.0


@contextmanager
def prefixed_output(rank: int) -> Iterator[None]:
    """Within the block, all output of this process goes through a `_LineForwarder`, which prefixes it with the rank.

    Standard output and standard error are replaced at the level of file descriptors, so that the output of libraries
    and of child processes is included.
    """
    reading, writing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    os.dup2(writing, 1)
    os.dup2(writing, 2)
    os.close(writing)
    forwarder = _LineForwarder(reading, saved[0], f"[rank {rank}] ".encode())
    thread = threading.Thread(target=forwarder.run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(saved[0], 1)
        os.dup2(saved[1], 2)
        thread.join(timeout=HEARTBEAT_S)  # a child that keeps the pipe open does not keep this process waiting
        for descriptor in saved:
            os.close(descriptor)


class _LineForwarder:
    """Forwards lines from one file descriptor to another, each with a prefix."""

    def __init__(self, reading: int, writing: int, prefix: bytes) -> None:
        self.reading, self.writing, self.prefix = reading, writing, prefix
        self.second, self.forwarded, self.dropped = 0, 0, 0

    def run(self) -> None:
        """Forward until the other end of the pipe is closed."""
        # TorchDistributor's worker prints the first line of a rank itself, before its connection to the driver's log
        # server is up: an empty line does no harm there.
        self._write(b"\n")
        pending = b""
        while True:
            if not select.select([self.reading], [], [], HEARTBEAT_S)[0]:
                self._write(b"\n")
                continue
            content = os.read(self.reading, 1 << 16)
            if not content:
                break
            *lines, pending = (pending + content).split(b"\n")
            for line in lines:
                self._forward(line)
            if len(pending) > MAX_LINE_BYTES:
                self._forward(pending)
                pending = b""
        if pending:
            self._forward(pending)
        self._report_dropped()
        os.close(self.reading)

    def _forward(self, line: bytes) -> None:
        if int(time.monotonic()) != self.second:
            self._report_dropped()
            self.second, self.forwarded = int(time.monotonic()), 0
        self.forwarded += 1
        if self.forwarded > MAX_LINES_PER_S and MARKER.encode() not in line:
            self.dropped += 1
            return
        text = line.decode(errors="backslashreplace").encode()
        for start in range(0, len(text), MAX_LINE_BYTES):
            piece = text[start : start + MAX_LINE_BYTES].decode(errors="ignore").encode()
            self._write(self.prefix + piece + b"\n")

    def _report_dropped(self) -> None:
        if self.dropped:
            self._write(self.prefix + f"… {self.dropped:,} lines left out\n".encode())
            self.dropped = 0

    def _write(self, content: bytes) -> None:
        while content:
            content = content[os.write(self.writing, content) :]
