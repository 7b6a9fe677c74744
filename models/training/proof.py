"""Each rank's proof of how it ended, left in the bundle folder: torchrun's messages get lost."""

import hashlib
import json
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import nn

from models.training import distributed, files


@dataclass
class Witness:
    """How far this rank came, and the digest of the weights that it ended with."""

    step: int = 0
    weights: str = ""


@contextmanager
def leave(folder: str) -> Iterator[Witness]:
    """Write `ranks/done-<rank>.json` after the block, or `ranks/failed-<rank>.json` if it raises."""
    witness = Witness()
    rank = distributed.rank()
    try:
        yield witness
    except BaseException:
        record(folder, "failed", rank, step=witness.step, traceback=traceback.format_exc())
        raise
    record(folder, "done", rank, step=witness.step, weights=witness.weights)


def record(folder: str, how: str, rank: int, **values: Any) -> None:
    """One JSON file that says how `rank` ended."""
    content = {"rank": rank, "time": time.time(), **values}
    files.write(f"{folder}/ranks/{how}-{rank}.json", json.dumps(content).encode())


def digest(model: nn.Module) -> str:
    """SHA-256 of the weights' bytes, in the order of their names."""
    total = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        total.update(name.encode())
        total.update(tensor.contiguous().numpy())
    return total.hexdigest()


def clear(folder: str) -> None:
    """Forget the last launch, before the next one."""
    filesystem, inner = files.locate(f"{folder}/ranks")
    if filesystem.exists(inner):
        filesystem.rm(inner, recursive=True)


def found(folder: str, how: str) -> list[dict[str, Any]]:
    """The records of the ranks that ended `how` ("done" or "failed"), the earliest first."""
    names = [name for name in files.names(f"{folder}/ranks") if name.startswith(f"{how}-")]
    records = [json.loads(files.read(f"{folder}/ranks/{name}")) for name in names]
    return sorted(records, key=lambda record: float(record["time"]))


def check(folder: str, *, ranks: int) -> None:
    """Every one of `ranks` ranks finished, after equal steps and with equal weights.

    Raises:
        RuntimeError: not so; with the traceback of the rank that failed first, if one did.
    """
    failed = found(folder, "failed")
    if failed:
        raise RuntimeError(f"rank {failed[0]['rank']} failed at step {failed[0]['step']}:\n{failed[0]['traceback']}")
    done = found(folder, "done")
    missing = sorted(set(range(ranks)) - {record["rank"] for record in done})
    if missing:
        raise RuntimeError(f"ranks {missing} of {ranks} ended without a word")
    if len({(record["step"], record["weights"]) for record in done}) != 1:
        raise RuntimeError("the ranks ended after different steps or with different weights")
