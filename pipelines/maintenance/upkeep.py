"""The work of `maintain`: merges small files, then removes unused ones. The rows stay the same."""

import time

from pipelines.console.progress import spark_progress
from pipelines.errors import UserError
from pipelines.lakehouse import schemas
from pipelines.lakehouse.dataset import Dataset
from pipelines.lakehouse.tables import DeltaTable
from pipelines.maintenance.compaction import compact_table
from pipelines.maintenance.vacuum import remove_unused_files
from pipelines.tracking.reports import DONE, UNCHANGED, MaintenanceReport
from pipelines.tracking.run_log import new_run


def maintain_tables(dataset: Dataset, retention_hours: float) -> MaintenanceReport:
    """Compact the tables of a data set and its feature set, then remove unused files. The caller holds their lock.

    Raises:
        UserError: the data set has no tables.
    """
    began = time.monotonic()
    tables = [table for schema in schemas.ALL if (table := dataset.table(schema)).exists]
    if not tables:
        raise UserError(f"{dataset.folder} has no tables: check lake= and dataset=")
    before = {table.schema.name: measure(table) for table in tables}
    with spark_progress(dataset.session, "maintain: compacting"):
        compacted = [table.schema.name for table in tables if compact_table(dataset, table)]
    after = {table.schema.name: measure(table) for table in tables}
    compacting = time.monotonic()
    with spark_progress(dataset.session, "maintain: removing unused files"):
        removed = remove_unused_files(dataset, tables, retention_hours)
    changed = bool(compacted or removed.files)
    return MaintenanceReport(
        job="maintain",
        status=DONE if changed else UNCHANGED,
        run=new_run() if changed else None,
        dataset=dataset.name,
        compacted=compacted,
        files={name: (before[name][0], after[name][0]) for name in before},
        bytes={name: (before[name][1], after[name][1]) for name in before},
        removed=removed,
        seconds={
            "compact": round(compacting - began, 2),
            "vacuum": round(time.monotonic() - compacting, 2),
        },
    )


def measure(table: DeltaTable) -> tuple[int, int]:
    """A table's number of files and their bytes, in its newest version."""
    current = table.data_files()
    return len(current), sum(file.size for file in current)
