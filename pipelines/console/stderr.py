"""Standard error under spark-submit, which otherwise merges it into standard output."""

import os
import sys
from typing import Any, TextIO

from py4j.protocol import Py4JError
from pyspark.java_gateway import launch_gateway


def redirect_to_jvm() -> None:
    """Send what Python writes to standard error to the standard error of spark-submit.

    Spark's `PythonRunner` merges both streams of the Python driver into its own standard output, so a caller could not
    tell the result from the log. Only the JVM's own standard error is separate, so this writes through it.
    """
    if "PYSPARK_GATEWAY_PORT" in os.environ and not isinstance(sys.stderr, _JvmStandardError):
        spare = launch_gateway().jvm.System.err
        spare.flush()  # opens the connection
        sys.stderr = _JvmStandardError(launch_gateway().jvm.System.err, sys.stderr, spare)


def print_from_signal_handler(message: str) -> None:
    """Print a line on standard error from a signal handler, which may have interrupted a call to the JVM."""
    stream = sys.stderr.with_spare_connection() if isinstance(sys.stderr, _JvmStandardError) else sys.stderr
    print(message, file=stream, flush=True)


class _JvmStandardError:
    """A text stream to the JVM's `System.err`, or to Python's own standard error once the JVM is gone."""

    encoding = "utf-8"

    def __init__(self, stream: Any, fallback: TextIO, spare: Any = None) -> None:
        """`stream` and `spare` are `System.err` through two connections."""
        self.stream, self.fallback, self.spare = stream, fallback, spare

    def with_spare_connection(self) -> "_JvmStandardError":
        """The same stream, through the spare connection."""
        return _JvmStandardError(self.spare, self.fallback)

    def write(self, text: str) -> int:
        try:
            self.stream.print(text)
        except (Py4JError, OSError):
            self.fallback.write(text)
        return len(text)

    def flush(self) -> None:
        """Do nothing: every write is flushed."""

    def isatty(self) -> bool:
        """Whether the JVM, which is our parent process, has a terminal as its standard error."""
        try:
            return os.readlink(f"/proc/{os.getppid()}/fd/2").startswith(("/dev/pts/", "/dev/tty"))
        except OSError:
            return False
