"""Standard error under spark-submit, which otherwise mixes the driver's into its standard output."""

import os
import sys
from typing import Any, TextIO

from py4j.protocol import Py4JError
from pyspark.java_gateway import launch_gateway


def separate() -> None:
    """Send what Python writes to standard error to that of spark-submit.

    Spark's `PythonRunner` merges the Python driver's two streams into its own standard output, so that a caller could
    not tell a result from a log. The JVM's own standard error is the real one: we write through it.
    """
    if "PYSPARK_GATEWAY_PORT" in os.environ and not isinstance(sys.stderr, _JvmError):
        spare = launch_gateway().jvm.System.err
        spare.flush()  # connects
        sys.stderr = _JvmError(launch_gateway().jvm.System.err, sys.stderr, spare)


def last_word(message: str) -> None:
    """A line on standard error from a signal's handler, where a call to the JVM may have been interrupted."""
    stream = sys.stderr.aside() if isinstance(sys.stderr, _JvmError) else sys.stderr
    print(message, file=stream, flush=True)


class _JvmError:
    """Text to the JVM's `System.err`; to Python's own stream once the JVM is gone."""

    encoding = "utf-8"

    def __init__(self, stream: Any, fallback: TextIO, spare: Any = None) -> None:
        """`spare` is the same stream through a connection of its own."""
        self.stream, self.fallback, self.spare = stream, fallback, spare

    def aside(self) -> "_JvmError":
        """The same by the spare connection."""
        return _JvmError(self.spare, self.fallback)

    def write(self, text: str) -> int:
        try:
            self.stream.print(text)
        except (Py4JError, OSError):
            self.fallback.write(text)
        return len(text)

    def flush(self) -> None:
        """Every write is flushed."""

    def isatty(self) -> bool:
        """Whether the JVM, our parent, has a terminal for its standard error."""
        try:
            return os.readlink(f"/proc/{os.getppid()}/fd/2").startswith(("/dev/pts/", "/dev/tty"))
        except OSError:
            return False
