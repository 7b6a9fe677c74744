"""Files below a table's folder that are no part of it any more, or never were, and that nobody can be reading."""

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from pyspark.sql import SparkSession

from models.storage import files
from models.storage.files import locate
from pipelines.lakehouse import delta_kernel, locks
from pipelines.lakehouse.tables import Lake, Table

HOUR = 3_600_000  # milliseconds
YOUNG = HOUR  # a file that no commit names may be about to be committed
CLOCKS = HOUR // 6  # by which machines' clocks may differ
LOG = "_delta_log/"


def sweep(spark: SparkSession, lake: Lake, tables: list[Table], retention_hours: float) -> dict[str, int]:
    """Remove what was replaced longer ago than the retention, and what killed jobs left; how many files and bytes.

    A run under way keeps every file that was part of a table when it began. The data set is held, so that no stage is
    writing.
    """
    now = int(time.time() * 1000)
    begun = [int(note.get("since", 0) * 1000) - CLOCKS for note in locks.runs(spark, lake.folder).values()]
    horizon = min([now - int(retention_hours * HOUR), *begun])
    gone = [item for table in tables for item in _unneeded(spark, lake, table, horizon, now)]
    for path, _ in gone:
        with suppress(FileNotFoundError):
            files.remove(path)
    return {"files": len(gone), "bytes": sum(size for _, size in gone)}


def _unneeded(spark: SparkSession, lake: Lake, table: Table, horizon: int, now: int) -> Iterator[tuple[str, int]]:
    """A table's files to remove, each with its bytes."""
    folder = lake.path(table)
    found = list(below(folder))  # before the log is read: what is committed later is not among them
    live = {item.name for item in delta_kernel.listed(spark, folder, table.key)}
    replaced = removals(folder, found, horizon)
    for name, size, modified in found:
        if name in live or (name.startswith(LOG) and not is_temporary(name)):
            continue
        # The log tells when a file was replaced; of one that it does not tell of, only the file's own age is known.
        since, least = (replaced[name], horizon) if name in replaced else (modified, min(horizon, now - YOUNG))
        if since < least:
            yield f"{folder}/{name}", size


def below(folder: str) -> Iterator[tuple[str, int, int]]:
    """All files below a folder: name, bytes, milliseconds since 1970."""
    filesystem, inner = locate(folder)
    for path, info in filesystem.find(inner, detail=True).items():
        yield path.removeprefix(inner).lstrip("/"), int(info["size"]), files.modified_ms(info)


def is_temporary(name: str) -> bool:
    """Whether a file was to be renamed when it was whole."""
    last = name.rpartition("/")[2]
    return last.startswith(".") and last.endswith(".tmp")


def removals(folder: str, found: list[tuple[str, int, int]], horizon: int) -> dict[str, int]:
    """When a file was replaced (milliseconds since 1970), by the log's commits that are younger than `horizon`."""
    told: dict[str, int] = {}
    for name, _, modified in found:
        if name.startswith(LOG) and name.endswith(".json") and not is_temporary(name) and modified >= horizon - CLOCKS:
            actions: list[dict[str, Any]] = [json.loads(line) for line in files.read(f"{folder}/{name}").splitlines()]
            removed = [action["remove"] for action in actions if "remove" in action]
            told |= {delta_kernel.below(folder, item["path"]): int(item["deletionTimestamp"]) for item in removed}
    return told
