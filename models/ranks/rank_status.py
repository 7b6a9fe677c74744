"""The progress of a rank, and a watchdog that ends a rank without progress."""

import math
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

EXIT_STUCK = 75  # exit status of a rank that made no progress (EX_TEMPFAIL of sysexits.h)


@dataclass
class RankStatus:
    """The progress of this rank.

    Attributes:
        step: steps taken so far.
        weights: the digest of the final weights.
        last_progress: when the rank last made progress (`time.monotonic`); infinite while it waits for other ranks. A
            rank that waits is not the cause of a standstill, and `process_group` limits how long it waits.
    """

    step: int = 0
    weights: str = ""
    last_progress: float = math.inf

    def mark_progress(self) -> None:
        """Record that the rank has made progress."""
        self.last_progress = time.monotonic()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Within the block, this rank waits for others."""
        self.last_progress = math.inf
        yield
        self.mark_progress()


@contextmanager
def watchdog(status: RankStatus, *, timeout_s: float, on_stuck: Callable[[str], None]) -> Iterator[None]:
    """Within the block, end the process when `status` shows no progress for `timeout_s` seconds (0: never).

    Before the process ends with `EXIT_STUCK`, `on_stuck` is called with the stack of the thread that entered the
    block, in the form of a traceback.
    """
    if not timeout_s:
        yield
        return
    finished, thread = threading.Event(), threading.get_ident()

    def watch() -> None:
        while not finished.wait(min(1.0, timeout_s / 4)):
            if time.monotonic() - status.last_progress > timeout_s:
                stack = "".join(traceback.format_stack(sys._current_frames()[thread]))
                report = f"{stack}TimeoutError: no progress for train.timeout_s={timeout_s:g} seconds\n"
                on_stuck(report)
                print(report, end="", file=sys.stderr, flush=True)
                os._exit(EXIT_STUCK)

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        finished.set()
