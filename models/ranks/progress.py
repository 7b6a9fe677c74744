"""Progress lines: what rank 0 prints during a training, and the driver shows as one live line."""

import json
import sys
import time

MARKER = "@progress "  # TorchDistributor mixes the output of all ranks; the driver finds these lines by the marker
INTERVAL_S = 0.5


class ProgressReporter:
    """Prints a line of JSON every `INTERVAL_S` seconds at most, and one at the end of each epoch."""

    def __init__(self, epochs: int, steps: int, *, enabled: bool, refit: bool = False) -> None:
        """`steps` is the number in each epoch; `refit` becomes a part of every line."""
        self.epochs, self.steps, self.enabled, self.refit = epochs, steps, enabled, refit
        self.started = self.printed = time.monotonic()
        self.documents = 0

    def step(self, epoch: int, step: int, *, documents: int, **values: float) -> None:
        """Count step `step` of an epoch, on `documents` documents; print a line with `values` if one is due."""
        self.documents += documents
        if time.monotonic() - self.printed >= INTERVAL_S:
            self.print_line(epoch, step, **values)

    def print_line(self, epoch: int, step: int, **values: float) -> None:
        """Print one line with `values`; `end=True` marks the last one of an epoch.

        It is flushed with its newline, because TorchDistributor passes on only whole lines.
        """
        self.printed = time.monotonic()
        if not self.enabled:
            return
        content = {
            "refit": self.refit,
            "epoch": epoch,
            "epochs": self.epochs,
            "step": step,
            "steps": self.steps,
            "documents_per_second": round(self.documents / max(1e-9, self.printed - self.started)),
        }
        rounded = {name: round(value, 6) if isinstance(value, float) else value for name, value in values.items()}
        sys.stdout.write(f"{MARKER}{json.dumps(content | rounded)}\n")
        sys.stdout.flush()
