"""clean: from bronze to silver. Normalised text, exact duplicates dropped, every document in a split."""

import hashlib
import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from pipelines import ingest
from pipelines.config import Config, Split
from pipelines.errors import UserError
from pipelines.job.cli import main
from pipelines.job.progress import spark_progress
from pipelines.lakehouse import locks, parquet_scan, parquet_writer, tables
from pipelines.lakehouse.tables import CLEAN, DOCUMENTS, Lake
from pipelines.text.normalisation import normalise_array
from pipelines.tracking import run_log

SPLIT_KEY = "textmill.split"
BRONZE = ["id", "text", "content", "labels", "target", "split", "digest"]  # what silver takes of a document
OLDER = ("batch", "id", "labels", "split", "published", "digest")  # what is compared of those that are clean already


def run(spark: SparkSession, config: Config) -> dict[str, Any]:
    """`update`, with its report."""
    return run_log.stage(spark, config, update(spark, config))


def update(spark: SparkSession, config: Config) -> dict[str, Any]:
    """Bring silver up to date with bronze, batch by batch; `ingest` runs first.

    Raises:
        UserError: the data set was divided by another `split.*`.
        Busy: another job has the data set.
    """
    with locks.tables(spark, tables.of(config).folder, config.overlapping):
        return advance(spark, config)


def advance(spark: SparkSession, config: Config) -> dict[str, Any]:
    """`update` for one who holds the data set's lock already."""
    lake = tables.of(config)
    check_split(spark, lake, config.split)
    before = ingest.advance(spark, config)
    began = time.monotonic()
    batches = list(range(1 + tables.last_batch(spark, lake, CLEAN), 1 + tables.last_batch(spark, lake, DOCUMENTS)))
    two_labels = 0
    for batch in batches:
        with spark_progress(spark, f"clean: batch {batch}"):
            two_labels += write(spark, lake, batch, config.split)
    return {
        "job": "clean",
        "status": "done" if batches or before["status"] == "done" else "unchanged",
        "batches": sorted({*before["batches"], *batches}),
        "two_labels": two_labels,
        "seconds": before["seconds"] | {"clean": round(time.monotonic() - began, 2)},
    }


def write(spark: SparkSession, lake: Lake, batch: int, split: Split) -> int:
    """Clean one batch and append it; how many of its texts stand under two labels or more.

    Spark finds the duplicates by what decides about a document, without its text: bronze has the digest. Workers then
    read each file of bronze, and write what stays of it.
    """
    target = tables.target(lake, CLEAN)
    paths = {path.rsplit("/", 1)[-1]: path for path in tables.file_paths(spark, lake, DOCUMENTS, batch, batch)}
    settings = {SPLIT_KEY: json.dumps(asdict(split), sort_keys=True)}
    if not paths:  # every row was rejected
        tables.commit(spark, lake, CLEAN, batch, [], more=settings)
        return 0
    rows = keys(tables.read(spark, lake, DOCUMENTS, batch, batch))
    if batch > 1:
        older = tables.read(spark, lake, CLEAN, last=batch - 1).select(*OLDER)
        same = older.join(rows.select("digest"), "digest", "left_semi")
        rows = rows.unionByName(same, allowMissingColumns=True)
    # Their number is given, or Spark would let one task do all of so few rows.
    spread = decided(rows, batch).repartition(parquet_scan.tasks(spark, len(paths)), "name")
    told = parquet_writer.written(spread, cleaner(split, target, batch, paths))
    tables.commit(spark, lake, CLEAN, batch, told, more=settings)
    return sum(item.get("two_labels", 0) for item in told)


def keys(documents: DataFrame) -> DataFrame:
    """What decides about a document of bronze, and where it lies: its file's name and its place in the file."""
    return documents.select(
        F.col("_metadata.file_name").alias("name"),
        F.col("_metadata.row_index").alias("position"),
        *("batch", "id", "path", "row", "labels", "split", "digest"),
        F.col("split").isNotNull().alias("published"),
    )


def decided(rows: DataFrame, batch: int) -> DataFrame:
    """For each file of the batch: the places of the rows that are duplicates, and how many texts have two labels."""
    ours = ranked(rows, batch).where(F.col("batch") == batch)
    return ours.groupBy("name").agg(
        F.collect_list(F.when(~survives(), F.col("position"))).alias("dropped"),
        F.count_if("two_labels").alias("two_labels"),
    )


def cleaner(split: Split, target: parquet_writer.Target, batch: int, paths: dict[str, str]) -> parquet_writer.Worker:
    """A worker's function: `decided` rows -> `TOLD`; `paths` says where the file of a name lies."""

    def clean(files: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        writer = parquet_writer.Writer(target)
        for row in (row for some in files for row in some.to_pylist()):
            for documents in parquet_scan.rows(
                paths[row["name"]], BRONZE, first=batch, last=batch, without=row["dropped"]
            ):
                yield from parquet_writer.told(writer.add(cleaned(documents, split)))
            yield from parquet_writer.told([{"table": None, "two_labels": row["two_labels"]}])
        yield from parquet_writer.told(writer.close())

    return clean


def cleaned(documents: pa.RecordBatch, split: Split) -> pa.Table:
    """Documents with normalised texts, each in a split."""
    splits = [
        given or drawn(digest, split)
        for given, digest in zip(documents["split"].to_pylist(), documents["digest"].to_pylist(), strict=True)
    ]
    columns = {name: documents[name] for name in ("batch", *BRONZE)}
    texts = normalise_array(documents["text"].fill_null(""))
    texts = pc.if_else(pc.is_valid(documents["text"]), texts, pa.scalar(None, pa.string()))
    columns |= {"text": texts, "split": pa.array(splits, pa.string())}
    return pa.table(columns | {"published": pc.is_valid(documents["split"])})


def drawn(digest: str, split: Split) -> str:
    """The split of a text without a published one: a hash of the text and the salt decides.

    Validation documents are drawn from train when a model reads, by class (`models.dataset.index`).
    """
    draw = hashlib.sha256(f"{split.salt}:{digest}".encode()).digest()
    return "test" if int.from_bytes(draw[:8]) < split.test * 2**64 else "train"


def ranked(rows: DataFrame, batch: int) -> DataFrame:
    """Where each row of a batch stands among all of its text, the older documents and its own, by (batch, id).

    `first_of_id`: no row before it has its id. `two_labels`: its text stands under two labels or more; true in the last
    row of such a text alone, which is always one of the batch.
    """
    tested = F.col("published") & (F.col("split") == "test")
    text = Window.partitionBy("digest")
    ordered = text.orderBy("batch", "id", "path", "row")
    labelled = F.when(F.size("labels") > 0, F.array_sort("labels"))
    older_ids = F.collect_set(F.when(F.col("batch") < batch, F.col("id"))).over(text)
    repeated = F.coalesce(F.lag("id").over(ordered) == F.col("id"), F.lit(False))
    conflict = F.min(labelled).over(text) != F.max(labelled).over(text)
    return rows.select(
        "*",
        tested.alias("tested"),
        F.row_number().over(ordered).alias("nth_text"),
        (~repeated & ~F.array_contains(older_ids, F.col("id"))).alias("first_of_id"),
        F.max(tested).over(text).alias("text_is_tested"),
        (conflict & F.lead("id").over(ordered).isNull()).alias("two_labels"),
    )


def survives() -> Column:
    """Of equal texts, `ranked`, the first stays.

    A published test document is dropped only where its id came before, so that published figures stay comparable; a
    text that stands in a published test split is dropped from every other split.
    """
    alone = (F.col("nth_text") == 1) & ~F.col("text_is_tested")
    return F.when(F.col("tested"), F.col("first_of_id")).otherwise(alone)


def check_split(spark: SparkSession, lake: Lake, split: Split) -> None:
    """Refuse to mix two divisions in one data set."""
    settings = json.loads(tables.properties(spark, lake, CLEAN).get(SPLIT_KEY, "null"))
    if settings and settings != asdict(split):
        given = " ".join(f"split.{key}={value}" for key, value in settings.items())
        raise UserError(f"the data set '{lake.dataset}' was divided with {given}; take these, or another dataset=")


if __name__ == "__main__":
    main("clean", run, __doc__)
