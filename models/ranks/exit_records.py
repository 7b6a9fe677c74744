"""Exit records: each rank leaves a JSON file in the bundle's folder that says how it ended.

TorchDistributor and torchrun lose ranks' exceptions, so the driver relies only on these records:
`ranks/done-<rank>.json` and `ranks/failed-<rank>.json`.
"""

import json
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from models.ranks import process_group
from models.ranks.rank_status import RankStatus, watchdog
from models.storage import files

FOLDER = "ranks"


class RankFailure(RuntimeError):
    """A rank failed or was lost.

    `step` and `cause` (the exception's type and message) are those of the rank that failed first; `mistake` says that
    the cause is the user's mistake, which another launch would repeat.
    """

    def __init__(self, message: str, *, step: int = -1, cause: str = "", mistake: bool = False) -> None:
        super().__init__(message)
        self.step, self.cause, self.mistake = step, cause, mistake

    def repeats(self, other: "RankFailure | None") -> bool:
        """Whether this is the same exception at the same step, which another launch would repeat."""
        return other is not None and bool(self.cause) and (self.cause, self.step) == (other.cause, other.step)


@dataclass(frozen=True)
class DoneRecord:
    """Rank `rank` finished at `time` (seconds since 1970) after `step` steps, with weights of the digest `weights`."""

    PREFIX: ClassVar[str] = "done"

    rank: int
    time: float
    step: int
    weights: str


@dataclass(frozen=True)
class FailedRecord:
    """Rank `rank` failed at `time` (seconds since 1970) in step `step`.

    `cause` is the exception's type and message, empty for a rank that was stuck; `mistake` as in `RankFailure`.
    """

    PREFIX: ClassVar[str] = "failed"

    rank: int
    time: float
    step: int
    cause: str
    mistake: bool
    traceback: str


@contextmanager
def record_exit(folder: str, *, timeout_s: float = 0.0) -> Iterator[RankStatus]:
    """Write this rank's record below `folder` when the block ends, whether it finishes or raises.

    The block reports its progress to the `RankStatus` that it gets. If that shows none for `timeout_s` seconds (0: no
    limit), the rank is recorded as failed and its process ends.
    """
    status, rank = RankStatus(), process_group.rank()

    def record_stuck(report: str) -> None:
        write_record(folder, FailedRecord(rank, time.time(), status.step, cause="", mistake=False, traceback=report))

    try:
        with watchdog(status, timeout_s=timeout_s, on_stuck=record_stuck):
            yield status
    except BaseException as error:
        cause = "".join(traceback.format_exception_only(error)).strip()
        mistake = isinstance(error, ValueError)
        record = FailedRecord(rank, time.time(), status.step, cause, mistake, traceback.format_exc())
        write_record(folder, record)
        raise
    write_record(folder, DoneRecord(rank, time.time(), status.step, status.weights))


def write_record(folder: str, record: DoneRecord | FailedRecord) -> None:
    """Write a record below `folder`, replacing an earlier one of its rank."""
    path = f"{folder}/{FOLDER}/{record.PREFIX}-{record.rank}.json"
    files.write(path, json.dumps(asdict(record)).encode())


def done_records(folder: str) -> list[DoneRecord]:
    """The records of the ranks that finished, the earliest first."""
    records = [DoneRecord(**values) for values in _read(folder, DoneRecord.PREFIX)]
    return sorted(records, key=lambda record: record.time)


def failed_records(folder: str) -> list[FailedRecord]:
    """The records of the ranks that failed, the earliest first."""
    records = [FailedRecord(**values) for values in _read(folder, FailedRecord.PREFIX)]
    return sorted(records, key=lambda record: record.time)


def _read(folder: str, prefix: str) -> Iterator[dict[str, Any]]:
    for name in files.names(f"{folder}/{FOLDER}"):
        if name.startswith(f"{prefix}-"):
            yield json.loads(files.read(f"{folder}/{FOLDER}/{name}"))


def clear(folder: str) -> None:
    """Delete the records of an earlier launch."""
    files.remove_folder(f"{folder}/{FOLDER}")


def check_all_finished(folder: str, *, ranks: int) -> None:
    """Check that all of `ranks` ranks finished after the same number of steps with equal weights.

    Raises:
        RankFailure: A rank failed (the message holds the traceback of the first one that did), left no record, or
            ended after other steps or with other weights than the rest.
    """
    failed = failed_records(folder)
    if failed:
        first = failed[0]
        message = f"rank {first.rank} failed at step {first.step}:\n{first.traceback}"
        raise RankFailure(message, step=first.step, cause=first.cause, mistake=first.mistake)
    done = done_records(folder)
    missing = sorted(set(range(ranks)) - {record.rank for record in done})
    if missing:
        raise RankFailure(f"ranks {missing} of {ranks} ended without leaving a record")
    if len({(record.step, record.weights) for record in done}) != 1:
        raise RankFailure("the ranks ended after different steps or with different weights")
