"""Removes files in a table's folder that are not, or no longer, part of the table and that nobody can be reading."""

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from models.storage import files
from pipelines.lakehouse import locks
from pipelines.lakehouse.data_files import relative_name
from pipelines.lakehouse.dataset import Dataset
from pipelines.lakehouse.delta_log import DeltaLog
from pipelines.lakehouse.tables import DeltaTable
from pipelines.tracking.reports import RemovedFiles

HOUR_MS = 3_600_000
YOUNG_MS = HOUR_MS  # a younger file that no commit names may still be committed
CLOCK_SKEW_MS = HOUR_MS // 6  # how far machines' clocks may differ
LOG_FOLDER = "_delta_log/"


@dataclass(frozen=True)
class StoredFile:
    """A file below a folder: its name there, bytes, and when it was last changed (milliseconds since 1970)."""

    name: str
    size: int
    modified: int


def remove_unused_files(dataset: Dataset, tables: list[DeltaTable], retention_hours: float) -> RemovedFiles:
    """Remove files that were replaced longer ago than the retention, and those that killed jobs left behind.

    A run under way keeps every file that was part of a table when it began. The caller holds the data set's lock, so no
    stage is writing.
    """
    now = int(time.time() * 1000)
    holders = locks.held_runs(dataset.session, dataset.folder).values()
    begun = [int((holder.since if holder else 0) * 1000) - CLOCK_SKEW_MS for holder in holders]
    horizon = min([now - int(retention_hours * HOUR_MS), *begun])
    unused = [
        (f"{table.path}/{file.name}", file.size) for table in tables for file in unused_files(table, horizon, now)
    ]
    for path, _ in unused:
        with suppress(FileNotFoundError):
            files.remove(path)
    return RemovedFiles(len(unused), sum(size for _, size in unused))


def unused_files(table: DeltaTable, horizon: int, now: int) -> Iterator[StoredFile]:
    """The files of a table's folder to remove; `horizon` and `now` in milliseconds since 1970."""
    stored = list(
        list_below(table.path)
    )  # listed before the log is read, so that no later commit's files are among them
    live = {file.name for file in table.data_files()}
    replaced = replacement_times(table.log, stored, horizon)
    for file in stored:
        if file.name in live or (file.name.startswith(LOG_FOLDER) and not is_temporary(file.name)):
            continue
        # The log says when a file was replaced. Of a file that it does not name, only the file's own age is known.
        if file.name in replaced:
            since, limit = replaced[file.name], horizon
        else:
            since, limit = file.modified, min(horizon, now - YOUNG_MS)
        if since < limit:
            yield file


def list_below(folder: str) -> Iterator[StoredFile]:
    """All files below a folder."""
    filesystem, inner = files.locate(folder)
    for path, info in filesystem.find(inner, detail=True).items():
        yield StoredFile(path.removeprefix(inner).lstrip("/"), int(info["size"]), files.modified_ms(info))


def is_temporary(name: str) -> bool:
    """Whether a file is one that would have been renamed once it was complete."""
    last = name.rpartition("/")[2]
    return last.startswith(".") and last.endswith(".tmp")


def replacement_times(log: DeltaLog, stored: list[StoredFile], horizon: int) -> dict[str, int]:
    """When files were replaced (milliseconds since 1970), from the log's commits that are younger than `horizon`."""
    times: dict[str, int] = {}
    for file in stored:
        is_commit = file.name.startswith(LOG_FOLDER) and file.name.endswith(".json") and not is_temporary(file.name)
        if is_commit and file.modified >= horizon - CLOCK_SKEW_MS:
            actions = [json.loads(line) for line in files.read(f"{log.path}/{file.name}").splitlines()]
            removals = [action["remove"] for action in actions if "remove" in action]
            times |= {relative_name(log.path, entry["path"]): int(entry["deletionTimestamp"]) for entry in removals}
    return times
