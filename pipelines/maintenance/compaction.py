"""Merges the small files of a table into few large ones, in Spark's workers.

This happens only when there are at least `FEWEST` small files, so that a row is rewritten a few times while a table
grows, and not with every batch.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyspark.sql import functions as F

from models.storage import addresses, files
from pipelines.lakehouse import locks, parquet_writer, vocabulary
from pipelines.lakehouse.data_files import DataFile
from pipelines.lakehouse.dataset import Dataset
from pipelines.lakehouse.parquet_scan import num_tasks
from pipelines.lakehouse.parquet_writer import Worker, WriteTarget
from pipelines.lakehouse.schemas import FEATURES, VOCABULARY
from pipelines.lakehouse.tables import DeltaTable
from pipelines.tracking.run_identity import snapshot_of
from pipelines.tracking.run_log import RunLog

LARGE = 16 << 20  # bytes of a merged file; about five times as much in a worker's memory
SMALL = LARGE // 4
FEWEST = 4


def compact_table(dataset: Dataset, table: DeltaTable) -> bool:
    """Compact a table in at most one commit; False if there was nothing to do. The caller holds the tables' lock."""
    current = table.data_files()
    if table.schema is VOCABULARY:
        return merge_counts(dataset, current)
    packs = pack_small_files(current)
    if not packs:
        return False
    target, arrange = table.write_target(), sort_features if table.schema is FEATURES else keep_order
    paths = [[f"{table.path}/{file.name}" for file in pack] for pack in packs]
    indices = dataset.session.range(0, len(packs), 1, num_tasks(dataset.session, len(packs)))
    written = parquet_writer.run_writers(indices, merge_files(target, paths, arrange))
    return table.replace({file.name for pack in packs for file in pack}, written)


def pack_small_files(current: list[DataFile]) -> list[list[DataFile]]:
    """The groups of small files to merge: neighbours by key, `FEWEST` or more, up to about `LARGE` bytes."""
    packs: list[list[DataFile]] = [[]]
    for file in (file for file in current if file.size < SMALL):
        if sum(other.size for other in packs[-1]) + file.size > LARGE:
            packs.append([])
        packs[-1].append(file)
    return [pack for pack in packs if len(pack) >= FEWEST]


def merge_files(target: WriteTarget, packs: list[list[str]], arrange: Callable[[pa.Table], pa.Table]) -> Worker:
    """A worker: indices of `packs` -> `WRITTEN`; each pack's rows, put in order by `arrange`, become a file."""

    def work(indices: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for index in (index for batch in indices for index in batch["id"].to_pylist()):
            rows = pa.concat_tables([read_file(path, target.columns) for path in packs[index]])
            name = f"{target.token}-{index:05}.parquet"
            yield from parquet_writer.as_batches([parquet_writer.write_file(target, name, arrange(rows))])

    return work


def read_file(path: str, columns: pa.Schema) -> pa.Table:
    """A file's rows with a table's columns."""
    filesystem, inner = files.locate(addresses.from_hadoop(path))
    with filesystem.open(inner, "rb") as file:
        return pq.read_table(file).select(columns.names).cast(columns)


def sort_features(features: pa.Table) -> pa.Table:
    """Rows of features as `featurize` writes a file: by `key` and `id`, the test split last."""
    tested = pc.equal(features["split"], "test")
    order = features.select(["key", "id"]).append_column("tested", tested)
    return features.take(pc.sort_indices(order, [(name, "ascending") for name in ("tested", "key", "id")]))


def keep_order(rows: pa.Table) -> pa.Table:
    """Rows of any other table, as they are: their files are already in the order of their keys."""
    return rows


def merge_counts(dataset: Dataset, current: list[DataFile]) -> bool:
    """Merge the vocabulary's rows between two snapshots in use into one row per term; False if not worth it."""
    table = dataset.vocabulary
    batches = {batch for rows in table.scan(["batch"]) for batch in pc.unique(rows["batch"]).to_pylist()}
    used = sorted(snapshots_in_use(dataset))
    new = {batch: next((number for number in used if number >= batch), batch) for batch in batches}
    moved = {batch: number for batch, number in new.items() if batch != number}
    if max(sum(file.size < SMALL for file in current), 1 + len(moved)) < FEWEST:
        return False
    lost = [[before + 1, after - 1] for before, after in pairwise([0, *used]) if after - before > 1]
    rows = table.read()
    if moved:
        numbers = F.create_map(*(F.lit(value).cast("bigint") for pair in moved.items() for value in pair))
        rows = rows.withColumn("batch", F.coalesce(numbers[F.col("batch")], F.col("batch")))
    summed = rows.groupBy("batch", "term", "id").agg(F.sum("df").alias("df"), F.sum("count").alias("count"))
    target = table.write_target(order=("term",))
    num_files = 1 + sum(file.size for file in current) // LARGE
    written = parquet_writer.run_writers(summed.repartition(num_files, "term"), parquet_writer.table_sink(target))
    gaps = vocabulary.unite_ranges(vocabulary.merged_ranges(dataset) + lost)
    return table.replace({file.name for file in current}, written, {vocabulary.GAPS: json.dumps(gaps)})


def snapshots_in_use(dataset: Dataset) -> set[int]:
    """The snapshots whose vocabulary may be asked for again: the newest, and those of runs, finished or not.

    All snapshots, while a run is under way that has not recorded its snapshot yet.
    """
    published = dataset.snapshots.rows()["batch"].to_pylist()
    under_way = set(
        locks.held_runs(dataset.session, dataset.folder)
    )  # read first, so that a snapshot recorded meanwhile is seen below
    used = {max(published, default=0)}
    noted = set()
    for run in files.names(dataset.bundles_folder):
        snapshot = snapshot_of(dataset.bundle_folder(run))
        if snapshot is not None:
            used.add(snapshot)
            noted.add(run)
    used |= RunLog(dataset).snapshots()
    return set(published) if under_way - noted else used & set(published)
