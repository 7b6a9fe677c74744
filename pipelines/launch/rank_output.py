"""The output of ranks: their progress becomes one live line, anything else is passed on to standard error."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from typing import Any, TextIO

from models.ranks.progress import MARKER
from pipelines.console.progress import StatusLine


class RankOutput:
    """A stand-in for standard error, to which TorchDistributor's log server writes the ranks' lines.

    Attributes:
        last_received: when a rank last sent anything (`time.monotonic`); None before the first time.
    """

    def __init__(self, label: str, stream: TextIO) -> None:
        self.label, self.stream, self.line = label, stream, StatusLine(stream)
        self.incomplete_line = ""
        self.last_received: float | None = None

    def write(self, text: str) -> int:
        """Take a piece of text, and show the lines that are complete."""
        self.last_received = time.monotonic()
        self.incomplete_line += text
        while "\n" in self.incomplete_line:
            line, self.incomplete_line = self.incomplete_line.split("\n", 1)
            self._show(line)
        return len(text)

    def flush(self) -> None:
        """Flush the real standard error."""
        self.stream.flush()

    def isatty(self) -> bool:
        """Whether the real standard error is a terminal."""
        return self.stream.isatty()

    def _show(self, line: str) -> None:
        if MARKER in line:
            state = json.loads(line.split(MARKER, 1)[1])
            self.line.show(f"{self.label}: {_describe(state)}", last=state.get("end", False))
        elif line.strip():
            self.line.clear()
            self.stream.write(line + "\n")


@contextmanager
def show_rank_output(label: str) -> Iterator[RankOutput]:
    """While the block runs, show what ranks print; their progress lines begin with `label`."""
    output = RankOutput(label, sys.stderr)
    try:
        with redirect_stderr(output):
            yield output
    finally:
        output.line.clear()


def _describe(state: dict[str, Any]) -> str:
    """A rank's progress, a JSON object (see `models.ranks.progress`), for people."""
    text = "refit, " if state["refit"] else ""
    text += (
        f"epoch {state['epoch']}/{state['epochs']}, step {state['step']}/{state['steps']}, "
        f"loss {state['loss']:.4f}, {state['documents_per_second']:,.0f} documents/s"
    )
    if "learning_rate" in state:
        text += f", rate {state['learning_rate']:.2g}, {state['memory_mb']:,.0f} MB"
    accuracy = state.get("validation_accuracy")
    return text if accuracy is None else f"{text}, validation accuracy {accuracy:.4f}"
