"""Many small files of a table become a few: workers read some, and write their rows as one.

Files are put together when there are `FEW` small ones at least, so that each row is rewritten a few times while a table
grows, not each time that something comes in.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from models.storage import addresses, files
from models.storage.files import locate
from pipelines.lakehouse import delta_kernel, locks, parquet_scan, parquet_writer, tables, vocabulary
from pipelines.lakehouse.delta_kernel import DataFile
from pipelines.lakehouse.tables import FEATURES, RUNS, SNAPSHOTS, VOCABULARY, Lake, Table
from pipelines.tracking import run_identity

LARGE = 16 << 20  # bytes of a file that small ones make: five times as much in a worker's memory
SMALL = LARGE // 4
FEW = 4


def compact(spark: SparkSession, lake: Lake, table: Table) -> bool:
    """Compact a table, one commit at most; whether there was anything to do. The data set is held."""
    found = delta_kernel.listed(spark, lake.path(table), table.key)
    if table is VOCABULARY:
        return sum_up(spark, lake, found)
    packs = packed(found)
    if not packs:
        return False
    target = tables.target(lake, table)
    addresses = [[f"{lake.path(table)}/{item.name}" for item in pack] for pack in packs]
    arrange = in_order if table is FEATURES else as_they_come
    spread = spark.range(0, len(packs), 1, parquet_scan.tasks(spark, len(packs)))
    told = parquet_writer.written(spread, merger(target, addresses, arrange))
    return tables.replace(spark, lake, table, {item.name for pack in packs for item in pack}, told)


def packed(found: list[DataFile]) -> list[list[DataFile]]:
    """Which small files become one: neighbours by key, `FEW` or more, up to about `LARGE` bytes."""
    packs: list[list[DataFile]] = [[]]
    for item in (item for item in found if item.size < SMALL):
        if sum(other.size for other in packs[-1]) + item.size > LARGE:
            packs.append([])
        packs[-1].append(item)
    return [pack for pack in packs if len(pack) >= FEW]


def merger(
    target: parquet_writer.Target, packs: list[list[str]], arrange: Callable[[pa.Table], pa.Table]
) -> parquet_writer.Worker:
    """A worker's function: numbers of `packs` -> `TOLD`."""

    def merge(numbers: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for number in (number for batch in numbers for number in batch["id"].to_pylist()):
            whole = pa.concat_tables([content(path, target.columns) for path in packs[number]])
            name = f"{target.token}-{number:05}.parquet"
            yield from parquet_writer.told([parquet_writer.write(target, name, arrange(whole))])

    return merge


def content(path: str, columns: pa.Schema) -> pa.Table:
    """A file's rows with a table's columns."""
    filesystem, inner = locate(addresses.from_hadoop(path))
    with filesystem.open(inner, "rb") as file:
        return pq.read_table(file).select(columns.names).cast(columns)


def in_order(features: pa.Table) -> pa.Table:
    """Rows of features as `featurize` writes a file: the test split behind all others, by `key` and `id`."""
    tested = pc.equal(features["split"], "test")
    order = features.select(["key", "id"]).append_column("tested", tested)
    return features.take(pc.sort_indices(order, [(name, "ascending") for name in ("tested", "key", "id")]))


def as_they_come(rows: pa.Table) -> pa.Table:
    """Rows of any other table: files stand in the order of their keys."""
    return rows


def sum_up(spark: SparkSession, lake: Lake, found: list[DataFile]) -> bool:
    """Make one row a term of the vocabulary's rows between two snapshots that somebody needs."""
    batches = {
        number for rows in tables.scan(spark, lake, VOCABULARY, None, None, ["batch"]) for number in _batches(rows)
    }
    wanted = sorted(needed(spark, lake))
    new = {batch: next((number for number in wanted if number >= batch), batch) for batch in batches}
    moved = {batch: number for batch, number in new.items() if batch != number}
    if max(sum(item.size < SMALL for item in found), 1 + len(moved)) < FEW:
        return False
    lost = [[before + 1, after - 1] for before, after in pairwise([0, *wanted]) if after - before > 1]
    rows = tables.read(spark, lake, VOCABULARY)
    if moved:
        numbers = F.create_map(*(F.lit(value).cast("bigint") for pair in moved.items() for value in pair))
        rows = rows.withColumn("batch", F.coalesce(numbers[F.col("batch")], F.col("batch")))
    summed = rows.groupBy("batch", "term", "id").agg(F.sum("df").alias("df"), F.sum("count").alias("count"))
    target = tables.target(lake, VOCABULARY, order=("term",))
    pieces = 1 + sum(item.size for item in found) // LARGE
    told = parquet_writer.written(summed.repartition(pieces, "term"), parquet_writer.sink(target))
    more = {vocabulary.GAPS: json.dumps(vocabulary.united(vocabulary.gaps(spark, lake) + lost))}
    return tables.replace(spark, lake, VOCABULARY, {item.name for item in found}, told, more)


def needed(spark: SparkSession, lake: Lake) -> set[int]:
    """The snapshots whose vocabulary somebody may ask for again: the newest, and those of runs, finished or not.

    All of them, while a run is under way that has not noted its snapshot yet.
    """
    published = tables.rows(spark, lake, SNAPSHOTS)["batch"].to_pylist()
    under_way = set(locks.runs(spark, lake.folder))  # first: what it notes meanwhile is found then
    found = {max(published, default=0)}
    noted = set()
    for run in files.names(f"{lake.folder}/bundles"):
        snapshot = run_identity.snapshot(f"{lake.folder}/bundles/{run}")
        if snapshot is not None:
            found.add(snapshot)
            noted.add(run)
    reports = (json.loads(row) for row in tables.rows(spark, lake, RUNS)["report"].to_pylist())
    found.update(report["snapshot"] for report in reports if "snapshot" in report)
    return set(published) if under_way - noted else found & set(published)


def _batches(rows: pa.RecordBatch) -> list[int]:
    found: list[int] = pc.unique(rows["batch"]).to_pylist()
    return found
