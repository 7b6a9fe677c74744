"""What a user sees while a long step runs: one live line on a terminal, plain lines elsewhere."""

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, redirect_stderr
from typing import Any, Protocol, TextIO

from pyspark.sql import SparkSession

from models.ranks.progress import MARKER

LIVE_SECONDS, PLAIN_SECONDS = 0.5, 10.0


class Line:
    """A line of standard error that is overwritten on a terminal and repeated now and then in a file."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.live = stream.isatty()
        self.shown = 0.0
        self.dirty = False

    def show(self, text: str, *, last: bool = False) -> None:
        """Show the state; `last` keeps it on the screen."""
        pause = LIVE_SECONDS if self.live else PLAIN_SECONDS
        if not last and time.monotonic() - self.shown < pause:
            return
        self.shown = time.monotonic()
        if self.live:
            self.stream.write(f"\r\x1b[K{text}" + ("\n" if last else ""))
            self.dirty = not last
        else:
            self.stream.write(text + "\n")
        self.stream.flush()

    def clear(self) -> None:
        """Take a live line away, so that something else can be printed."""
        if self.dirty:
            self.stream.write("\r\x1b[K")
            self.dirty = False


def step(spark: SparkSession, what: str) -> AbstractContextManager[None]:
    """Report a step that Spark works on: how many of its tasks are done, and its seconds in the end."""
    return _watched(what, lambda: _tasks(spark))


def wait(what: str) -> AbstractContextManager[None]:
    """Report a step that tells nothing of itself: the seconds that it has taken."""
    began = time.monotonic()
    return _watched(what, lambda: f"{time.monotonic() - began:.0f} s")


@contextmanager
def _watched(what: str, state: Callable[[], str]) -> Iterator[None]:
    line = Line(sys.stderr)
    began = time.monotonic()
    done = threading.Event()
    line.show(what)

    def watch() -> None:
        while not done.wait(LIVE_SECONDS):
            line.show(f"{what} … {state()}")

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
        line.clear()
    line.show(f"{what} ({time.monotonic() - began:.1f} s)", last=True)


def say(what: str) -> None:
    """One plain line."""
    print(what, file=sys.stderr, flush=True)


class Heard(Protocol):
    """When something last came from a rank (`time.monotonic`), None before the first time."""

    last: float | None


@contextmanager
def ranks(label: str) -> Iterator[Heard]:
    """While ranks run, turn their progress lines into ours; what else they print passes through."""
    lines = _RankLines(label, sys.stderr)
    try:
        with redirect_stderr(lines):
            yield lines
    finally:
        lines.line.clear()


class _RankLines:
    """A stand-in for standard error that the distributor's log server writes the ranks' lines to."""

    def __init__(self, label: str, stream: TextIO) -> None:
        self.label, self.stream, self.line = label, stream, Line(stream)
        self.pending = ""
        self.last: float | None = None

    def write(self, text: str) -> int:
        self.last = time.monotonic()
        self.pending += text
        while "\n" in self.pending:
            line, self.pending = self.pending.split("\n", 1)
            self._pass(line)
        return len(text)

    def flush(self) -> None:
        self.stream.flush()

    def isatty(self) -> bool:
        return self.stream.isatty()

    def _pass(self, line: str) -> None:
        if MARKER in line:
            state = json.loads(line.split(MARKER, 1)[1])
            self.line.show(f"{self.label}: {_described(state)}", last=state.get("end", False))
        elif line.strip():
            self.line.clear()
            self.stream.write(line + "\n")


def _described(state: dict[str, Any]) -> str:
    text = "refit, " if state["refit"] else ""
    text += (
        f"epoch {state['epoch']}/{state['epochs']}, step {state['step']}/{state['steps']}, "
        f"loss {state['loss']:.4f}, {state['documents_per_second']:,.0f} documents/s"
    )
    if "learning_rate" in state:
        text += f", rate {state['learning_rate']:.2g}, {state['memory_mb']:,.0f} MB"
    accuracy = state.get("validation_accuracy")
    return text if accuracy is None else f"{text}, validation accuracy {accuracy:.4f}"


def _tasks(spark: SparkSession) -> str:
    tracker = spark.sparkContext.statusTracker()
    stages = [tracker.getStageInfo(number) for number in tracker.getActiveStageIds()]
    finished = sum(stage.numCompletedTasks for stage in stages if stage)
    tasks = sum(stage.numTasks for stage in stages if stage)
    return f"{finished}/{tasks} tasks"
