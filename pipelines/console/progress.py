"""Progress of a long step: one live line on a terminal, plain lines elsewhere."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TextIO

from pyspark.sql import SparkSession

LIVE_SECONDS, PLAIN_SECONDS = 0.5, 10.0


class StatusLine:
    """A status line, which is overwritten on a terminal and repeated from time to time in a file."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.is_terminal = stream.isatty()
        self.last_shown = 0.0
        self.is_visible = False

    def show(self, text: str, *, last: bool = False) -> None:
        """Show a text, unless one was shown a moment ago; the `last` one is always shown, and stays on the screen."""
        pause = LIVE_SECONDS if self.is_terminal else PLAIN_SECONDS
        if not last and time.monotonic() - self.last_shown < pause:
            return
        self.last_shown = time.monotonic()
        if self.is_terminal:
            self.stream.write(f"\r\x1b[K{text}" + ("\n" if last else ""))
            self.is_visible = not last
        else:
            self.stream.write(text + "\n")
        self.stream.flush()

    def clear(self) -> None:
        """Remove the line from a terminal, so that something else can be printed."""
        if self.is_visible:
            self.stream.write("\r\x1b[K")
            self.is_visible = False


def print_message(message: str) -> None:
    """Print one line on standard error."""
    print(message, file=sys.stderr, flush=True)


def spark_progress(spark: SparkSession, title: str) -> AbstractContextManager[None]:
    """While the block runs, show how many of Spark's tasks are done; at the end, the seconds that it took."""
    return _progress(title, lambda: _completed_tasks(spark))


def timed_progress(title: str) -> AbstractContextManager[None]:
    """While the block runs, show the seconds that it has taken."""
    began = time.monotonic()
    return _progress(title, lambda: f"{time.monotonic() - began:.0f} s")


@contextmanager
def _progress(title: str, describe_state: Callable[[], str]) -> Iterator[None]:
    line = StatusLine(sys.stderr)
    began = time.monotonic()
    done = threading.Event()
    line.show(title)

    def watch() -> None:
        while not done.wait(LIVE_SECONDS):
            line.show(f"{title} … {describe_state()}")

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
        line.clear()
    line.show(f"{title} ({time.monotonic() - began:.1f} s)", last=True)


def _completed_tasks(spark: SparkSession) -> str:
    tracker = spark.sparkContext.statusTracker()
    stages = [tracker.getStageInfo(number) for number in tracker.getActiveStageIds()]
    completed = sum(stage.numCompletedTasks for stage in stages if stage)
    tasks = sum(stage.numTasks for stage in stages if stage)
    return f"{completed}/{tasks} tasks"
