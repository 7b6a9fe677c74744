"""What rank 0 says as it goes: lines on standard output that the driver shows as one live line."""

import json
import sys
import time
from typing import Any

MARKER = "@progress "  # TorchDistributor mixes the output of all ranks: the driver finds ours by this
INTERVAL_S = 0.5


class Reporter:
    """Prints at most a line each half second, and one at each epoch's end."""

    def __init__(self, epochs: int, steps: int, *, enabled: bool, refit: bool = False) -> None:
        """`steps` are an epoch's; `refit` is told with each line."""
        self.epochs, self.steps, self.enabled, self.refit = epochs, steps, enabled, refit
        self.started = self.printed = time.monotonic()
        self.documents = 0

    def step(self, epoch: int, step: int, *, documents: int, **values: float) -> None:
        """One more step, number `step` of its epoch, on `documents` documents; `values` are told with it."""
        self.documents += documents
        if time.monotonic() - self.printed >= INTERVAL_S:
            self.say(epoch, step, **values)

    def say(self, epoch: int, step: int, **more: Any) -> None:
        """One line (`end`: an epoch's last), with its newline, flushed: TorchDistributor passes on whole lines only."""
        self.printed = time.monotonic()
        if not self.enabled:
            return
        values = {
            "refit": self.refit,
            "epoch": epoch,
            "epochs": self.epochs,
            "step": step,
            "steps": self.steps,
            "documents_per_second": round(self.documents / max(1e-9, self.printed - self.started)),
        }
        rounded = {name: round(value, 6) if isinstance(value, float) else value for name, value in more.items()}
        sys.stdout.write(f"{MARKER}{json.dumps(values | rounded)}\n")
        sys.stdout.flush()
