"""Each rank's proof of how it ended, left in the bundle folder: torchrun's messages get lost."""

import hashlib
import json
import math
import os
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import nn

from models.ranks.process_group import rank
from models.storage import files

__all__ = ["RankFailure", "Witness", "check", "clear", "digest", "found", "leave", "rank", "record"]

STUCK = 75  # exit status of a rank that stood still (EX_TEMPFAIL)


class RankFailure(RuntimeError):
    """A rank failed, or was lost; `cause` (exception and message) and `step` are of the first that told of it."""

    def __init__(self, message: str, *, step: int = -1, cause: str = "", mistake: bool = False) -> None:
        super().__init__(message)
        self.step, self.cause, self.mistake = step, cause, mistake

    def repeats(self, other: "RankFailure | None") -> bool:
        """Whether it is the same exception at the same step: it would come again."""
        return bool(other and self.cause) and (self.cause, self.step) == (other.cause, other.step)  # type: ignore[union-attr]


@dataclass
class Witness:
    """How far this rank came, when it was last seen to move, and the digest of the weights that it ended with.

    A rank that waits for others need not move: it has its own time limit, in `distributed`, and is not the cause.
    """

    step: int = 0
    weights: str = ""
    moved: float = math.inf  # as long as it waits

    def alive(self) -> None:
        """Something got done."""
        self.moved = time.monotonic()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """In the block, this rank waits for others."""
        self.moved = math.inf
        yield
        self.alive()


@contextmanager
def leave(folder: str, *, timeout_s: float = 0.0) -> Iterator[Witness]:
    """Write `ranks/done-<rank>.json` after the block, or `ranks/failed-<rank>.json` if it raises.

    So it does, and ends the process, where the witness has not moved for `timeout_s` seconds (0: however long).
    """
    witness = Witness()
    number = rank()
    over = threading.Event()
    if timeout_s:
        stuck = (folder, number, witness, timeout_s, over, threading.get_ident())
        threading.Thread(target=_watch, args=stuck, daemon=True).start()
    try:
        yield witness
    except BaseException as error:
        over.set()
        cause = "".join(traceback.format_exception_only(error)).strip()
        mistake = isinstance(error, ValueError)  # of the user's: the same again the next time
        text = traceback.format_exc()
        record(folder, "failed", number, step=witness.step, cause=cause, mistake=mistake, traceback=text)
        raise
    over.set()
    record(folder, "done", number, step=witness.step, weights=witness.weights)


def _watch(folder: str, number: int, witness: Witness, timeout_s: float, over: threading.Event, main: int) -> None:
    while not over.wait(min(1.0, timeout_s / 4)):
        if time.monotonic() - witness.moved > timeout_s:
            stack = "".join(traceback.format_stack(sys._current_frames()[main]))
            cause = f"TimeoutError: nothing got done for train.timeout_s={timeout_s:g} seconds"
            record(folder, "failed", number, step=witness.step, cause="", mistake=False, traceback=f"{stack}{cause}\n")
            print(f"{stack}{cause}", file=sys.stderr, flush=True)
            os._exit(STUCK)


def record(folder: str, how: str, rank: int, **values: Any) -> None:
    """One JSON file that says how `rank` ended."""
    content = {"rank": rank, "time": time.time(), **values}
    files.write(f"{folder}/ranks/{how}-{rank}.json", json.dumps(content).encode())


def digest(model: nn.Module) -> str:
    """SHA-256 of the weights' bytes, in the order of their names."""
    total = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        total.update(name.encode())
        total.update(tensor.cpu().contiguous().numpy())
    return total.hexdigest()


def clear(folder: str) -> None:
    """Forget the last launch, before the next one."""
    files.remove_folder(f"{folder}/ranks")


def found(folder: str, how: str) -> list[dict[str, Any]]:
    """The records of the ranks that ended `how` ("done" or "failed"), the earliest first."""
    names = [name for name in files.names(f"{folder}/ranks") if name.startswith(f"{how}-")]
    records = [json.loads(files.read(f"{folder}/ranks/{name}")) for name in names]
    return sorted(records, key=lambda record: float(record["time"]))


def check(folder: str, *, ranks: int) -> None:
    """Every one of `ranks` ranks finished, after equal steps and with equal weights.

    Raises:
        RankFailure: not so; with the traceback of the rank that failed first, if one did.
    """
    failed = found(folder, "failed")
    if failed:
        first = failed[0]
        message = f"rank {first['rank']} failed at step {first['step']}:\n{first['traceback']}"
        raise RankFailure(message, step=first["step"], cause=first["cause"], mistake=first["mistake"])
    done = found(folder, "done")
    missing = sorted(set(range(ranks)) - {record["rank"] for record in done})
    if missing:
        raise RankFailure(f"ranks {missing} of {ranks} ended without a word")
    if len({(record["step"], record["weights"]) for record in done}) != 1:
        raise RankFailure("the ranks ended after different steps or with different weights")
