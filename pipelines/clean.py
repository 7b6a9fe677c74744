"""clean: from bronze to silver. Normalised text, exact duplicates dropped, every document in a split."""

import hashlib
import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from models.training import files as store
from pipelines import ingest, report, writing
from pipelines import lake as lakes
from pipelines.command import main
from pipelines.config import Config, Split, UserError
from pipelines.lake import CLEAN, DOCUMENTS, Lake
from pipelines.progress import step
from pipelines.words import normalised

SPLIT_KEY = "textmill.split"


def run(spark: SparkSession, config: Config) -> dict[str, Any]:
    """`update`, with its report."""
    return report.stage(spark, config, update(spark, config))


def update(spark: SparkSession, config: Config) -> dict[str, Any]:
    """Bring silver up to date with bronze, batch by batch; `ingest` runs first.

    Raises:
        UserError: the data set was divided by another `split.*`.
    """
    lake = lakes.of(config)
    check_split(spark, lake, config.split)
    before = ingest.update(spark, config)
    began = time.monotonic()
    batches = list(range(1 + lakes.last_batch(spark, lake, CLEAN), 1 + lakes.last_batch(spark, lake, DOCUMENTS)))
    two_labels = 0
    for batch in batches:
        with step(spark, f"clean: batch {batch}"):
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

    Workers write every document into files that are not committed yet, and hand on what decides about it: texts stay
    where they are. Spark finds the duplicates; the files that hold some are written again without them.
    """
    target = lakes.target(lake, CLEAN)
    raw = lakes.read(spark, lake, DOCUMENTS, batch, batch)
    keys = raw.mapInArrow(cleaner(split, target), from_arrow_schema(KEYS))
    if batch > 1:
        # Two readers: what is new, and which of the older documents have the same texts.
        keys = keys.persist(StorageLevel.MEMORY_AND_DISK)
        older = lakes.read(spark, lake, CLEAN, last=batch - 1)
        older = older.select("batch", "id", "labels", "split", "published", "digest")
        same = older.join(keys.select("digest"), "digest", "left_semi")
        rows = keys.unionByName(same, allowMissingColumns=True)
    else:
        rows = keys
    told = writing.written(decided(rows, batch), settler(target))
    keys.unpersist()
    settings = {SPLIT_KEY: json.dumps(asdict(split), sort_keys=True)}
    kept = [item for item in told if item["rows"]]
    lakes.commit(spark, lake, CLEAN, batch, kept, more=settings)
    for name in {item["candidate"] for item in told} - {item["name"] for item in kept}:
        store.remove(f"{target.folder}/{name}")
    return sum(item["two_labels"] for item in told)


# What decides about a document: where its row lies among the files written, and what is compared with others'.
KEYS = pa.schema(
    {
        "name": pa.string(),
        "position": pa.int64(),
        "batch": pa.int64(),
        "id": pa.string(),
        "path": pa.string(),
        "row": pa.int64(),
        "labels": pa.list_(pa.string()),
        "split": pa.string(),
        "published": pa.bool_(),
        "digest": pa.string(),
    }
)


def cleaner(split: Split, target: writing.Target) -> writing.Worker:
    """A worker's function: `lake.DOCUMENTS` -> `KEYS`, the documents themselves written to `target`."""

    def clean(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        writer = writing.Writer(target)
        for batch in batches:
            rows = cleaned(batch, split)
            name, start = writer.name, writer.rows
            for _ in writer.add(rows):
                pass  # the file's description follows once its rows are decided
            places = {"name": [name] * len(rows), "position": range(start, start + len(rows))}
            columns = [pa.array(places[field.name]) if field.name in places else rows[field.name] for field in KEYS]
            yield from pa.table(columns, schema=KEYS).to_batches()
        for _ in writer.close():
            pass

    return clean


def cleaned(batch: pa.RecordBatch, split: Split) -> pa.Table:
    """Documents with normalised texts, and with the digest and the split that follow from them."""
    texts = normalised(batch["text"])
    digests = [hashlib.sha256(text.encode()).hexdigest() for text in texts.to_pylist()]
    published = batch["split"].to_pylist()
    splits = [given or drawn(digest, split) for given, digest in zip(published, digests, strict=True)]
    columns = {name: batch[name] for name in ("batch", "id", "path", "row", "labels", "target")}
    columns |= {"text": texts, "split": pa.array(splits), "digest": pa.array(digests)}
    columns["published"] = pc.is_valid(batch["split"])
    return pa.table(columns)


def settler(target: writing.Target) -> writing.Worker:
    """A worker's function: `decided` rows -> `TOLD`; a file that holds duplicates is written again without them."""

    def settle(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for row in batch.to_pylist():
                more = {"candidate": row["name"], "two_labels": row["two_labels"]}
                yield from writing.told([_settled(target, row["name"], row["dropped"]) | more])

    return settle


def _settled(target: writing.Target, name: str, dropped: list[int]) -> writing.Told:
    content = store.read(f"{target.folder}/{name}")
    if not dropped:
        return writing.describe(target, name, pq.read_table(pa.BufferReader(content), columns=["split"]), len(content))
    rows = pq.read_table(pa.BufferReader(content), schema=target.columns)
    stays = np.ones(rows.num_rows, np.bool_)
    stays[dropped] = False
    return writing.write(target, f"{name.removesuffix('.parquet')}-distinct.parquet", rows.filter(pa.array(stays)))


def decided(rows: DataFrame, batch: int) -> DataFrame:
    """For each file written: the places of the rows that are duplicates, and how many texts have two labels."""
    ours = ranked(rows, batch).where(F.col("batch") == batch)
    return ours.groupBy("name").agg(
        F.collect_list(F.when(~survives(), F.col("position"))).alias("dropped"),
        F.count_if("two_labels").alias("two_labels"),
    )


def drawn(digest: str, split: Split) -> str:
    """The split of a text without a published one: a hash of the text and the salt decides.

    Validation documents are drawn from train when a model reads, by class (`models.training.documents`).
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
    labelled = F.when(F.size("labels") > 0, F.col("labels"))
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
    settings = json.loads(lakes.properties(spark, lake, CLEAN).get(SPLIT_KEY, "null"))
    if settings and settings != asdict(split):
        given = " ".join(f"split.{key}={value}" for key, value in settings.items())
        raise UserError(f"the data set '{lake.dataset}' was divided with {given}; take these, or another dataset=")


if __name__ == "__main__":
    main("clean", run, __doc__)
