"""From a source's files to bronze: plans a batch of the new files, then takes each of them once."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from pipelines.console.progress import spark_progress
from pipelines.lakehouse import parquet_writer
from pipelines.lakehouse.dataset import Dataset
from pipelines.lakehouse.parquet_scan import num_tasks
from pipelines.lakehouse.parquet_writer import WRITTEN, TableWriter, Worker, WriteTarget, WrittenFile
from pipelines.readers.probe import probe_new_files
from pipelines.readers.raw_documents import PASS_THROUGH, WorkerStep
from pipelines.readers.source import Source
from pipelines.sources import load_source


@dataclass(frozen=True)
class ConfiguredSource:
    """A source with its settings: the name of a module of `pipelines.sources`, and that module's `Options`."""

    name: str
    options: Any  # the module's `Options`

    @property
    def module(self) -> Source:
        """The source's module."""
        return load_source(self.name)


def ingest_new_files(dataset: Dataset, source: ConfiguredSource) -> list[int]:
    """Take the source's files that the data set does not have yet; returns the batches that were taken.

    Batches that an earlier job planned but did not take come first.

    Raises:
        UserError: there is nothing at the source's path, it is empty, or a column is unknown; nothing is written then.
        Outage: the source's file system does not answer.
    """
    first = 1 + dataset.raw_documents.last_batch()
    planned = dataset.batches.last_batch()
    batches = list(range(first, planned + 1))
    for batch in batches:
        take_batch(dataset, batch)
    if plan_batch(dataset, source, planned + 1):
        take_batch(dataset, planned + 1)
        batches.append(planned + 1)
    return batches


def plan_batch(dataset: Dataset, source: ConfiguredSource, batch: int) -> bool:
    """Record which files batch `batch` takes; False if no file is new, and then nothing is recorded."""
    known = dataset.batches.rows().select(["path", "size", "modified", "digest"]) if batch > 1 else None
    new = probe_new_files(dataset.session, source.module, source.options, known)
    if not new.num_rows:
        return False
    settings = json.dumps(asdict(source.options), sort_keys=True)
    new = new.append_column("source", [[source.name] * new.num_rows])
    new = new.append_column("settings", [[settings] * new.num_rows])
    return dataset.batches.append(batch, new.sort_by("path"))


def take_batch(dataset: Dataset, batch: int) -> None:
    """Write a planned batch: first what was rejected, then the documents, whose commit marks the batch as taken."""
    planned = dataset.batches.rows(batch, batch)
    readable = planned.filter(pc.is_null(planned["problem"])).select(["path", "name"])
    documents, quarantine = dataset.raw_documents.write_target(), dataset.quarantine.write_target()
    with spark_progress(dataset.session, f"ingest: batch {batch}, reading {readable.num_rows:,} files"):
        worker = split_rows(documents, quarantine, batch)
        written = _read_files(dataset, planned, readable, batch, worker) if readable.num_rows else []
        broken = planned.filter(pc.is_valid(planned["problem"]))
        if broken.num_rows:
            rows = broken.append_column("row", pa.nulls(broken.num_rows, pa.int64()))
            rows = rows.append_column("reason", broken["problem"])
            written.append(parquet_writer.write_file(quarantine, f"{quarantine.token}-files.parquet", rows))
        # The table must exist even if nothing was rejected, because readers look for it.
        if any(file.table == quarantine.table for file in written) or not dataset.quarantine.exists:
            dataset.quarantine.commit(batch, written)
        dataset.raw_documents.commit(batch, written)


def _read_files(
    dataset: Dataset, planned: pa.Table, readable: pa.Table, batch: int, worker: Worker
) -> list[WrittenFile]:
    """Read a batch's readable files through `worker`; returns the files that it wrote."""
    session, module = dataset.session, load_source(planned["source"][0].as_py())
    options = module.Options(**json.loads(planned["settings"][0].as_py()))
    plan = session.createDataFrame(readable).repartition(num_tasks(session, readable.num_rows))
    if not getattr(options, "id", None):
        return parquet_writer.collect_written(
            module.read_documents(session, plan, options, WorkerStep(worker, WRITTEN))
        )
    # Finding ids that are known with another text needs all rows together.
    rows = module.read_documents(session, plan, options, PASS_THROUGH)
    return parquet_writer.run_writers(reject_conflicts(rows, dataset.raw_documents.read(last=batch - 1)), worker)


def split_rows(documents: WriteTarget, quarantine: WriteTarget, batch: int) -> Worker:
    """A worker: `RAW_DOCUMENT` -> `WRITTEN`; good rows are written to one table and rejected ones to the other."""

    def work(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        kept, rejected = TableWriter(documents), TableWriter(quarantine)
        for raw in batches:
            good = pc.is_null(raw["reason"])
            yield from parquet_writer.as_batches(kept.add(_conform(raw.filter(good), documents.columns, batch)))
            bad = raw.filter(pc.invert(good))
            yield from parquet_writer.as_batches(rejected.add(_conform(bad, quarantine.columns, batch)))
        yield from parquet_writer.as_batches(kept.close())
        yield from parquet_writer.as_batches(rejected.close())

    return work


def _conform(rows: pa.RecordBatch, columns: pa.Schema, batch: int) -> pa.Table:
    """Rows with a table's columns: the batch, the columns that the rows have, and nulls for the others."""
    arrays = [
        rows[field.name] if field.name in rows.schema.names else pa.nulls(rows.num_rows, field.type)
        for field in columns
    ]
    arrays[0] = parquet_writer.repeat_integer(batch, rows.num_rows)
    return pa.Table.from_arrays(arrays, schema=columns)


def reject_conflicts(rows: DataFrame, known: DataFrame) -> DataFrame:
    """Reject rows whose id an earlier batch or an earlier row has with another text."""
    older = known.groupBy("id").agg(F.any_value("digest").alias("known"))  # in the table every id has only one text
    first = F.first("digest").over(Window.partitionBy("id").orderBy("path", "row"))
    conflict = F.col("id").isNotNull() & (F.col("digest") != F.coalesce("known", first))
    reason = F.coalesce("reason", F.when(conflict, F.lit("the id is known with another text")))
    return rows.join(older, "id", "left").withColumn("reason", reason).select(*rows.columns)
