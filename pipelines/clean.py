"""clean: from bronze to silver. Normalised text, exact duplicates dropped, every document in a split."""

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, Observation, SparkSession, Window
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from pipelines import ingest, report
from pipelines import lake as lakes
from pipelines.command import main
from pipelines.config import Config, Split, UserError
from pipelines.lake import CLEAN, DOCUMENTS, QUARANTINE, Lake
from pipelines.progress import step
from pipelines.words import normalise

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
    done = lakes.last_batch(spark, lake.path(CLEAN))
    last = min(lakes.last_batch(spark, lake.path(table)) for table in (DOCUMENTS, QUARANTINE))
    batches = list(range(done + 1, last + 1))
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
    """Clean one batch and append it; how many of its texts stand under two labels or more."""
    raw = lakes.of_batch(spark, lake, DOCUMENTS, batch)
    rows = raw.mapInArrow(cleaner(split), from_arrow_schema(CLEANED))
    if batch > 1:
        older = lakes.read(spark, lake, CLEAN).where(F.col("batch") < batch)
        rows = rows.unionByName(
            older.select("batch", "id", "labels", "split", "published", "digest"), allowMissingColumns=True
        )
    settings = {SPLIT_KEY: json.dumps(asdict(split), sort_keys=True)}
    seen = Observation("texts")
    conflicting = (F.col("nth_text") == 1) & F.col("text_is_new") & F.col("two_labels")
    marked = ranked(rows, batch).observe(seen, F.count_if(conflicting).alias("two_labels"))
    kept = survivors(marked).where(F.col("batch") == batch)
    lakes.append(kept.withColumn("split", F.col("split").alias("split", metadata=settings)), lake, CLEAN, batch)
    return int(seen.get["two_labels"])


CLEANED = pa.schema(
    {
        "batch": pa.int64(),
        "id": pa.string(),
        "path": pa.string(),
        "row": pa.int64(),
        "text": pa.string(),
        "labels": pa.list_(pa.string()),
        "target": pa.float64(),
        "split": pa.string(),
        "published": pa.bool_(),
        "digest": pa.string(),
    }
)


def cleaner(split: Split) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """A worker's function: `lake.DOCUMENTS` -> `CLEANED`, row by row."""

    def clean(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            texts = [normalise(text) for text in batch["text"].to_pylist()]
            digests = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
            published = batch["split"].to_pylist()
            splits = [given or drawn(digest, split) for given, digest in zip(published, digests, strict=True)]
            columns = {name: batch[name] for name in ("batch", "id", "path", "row", "labels", "target")}
            columns |= {"text": texts, "split": splits, "digest": digests}
            columns["published"] = [given is not None for given in published]
            yield pa.RecordBatch.from_pydict(columns, schema=CLEANED)

    return clean


def drawn(digest: str, split: Split) -> str:
    """The split of a text without a published one: a hash of the text and the salt decides.

    Validation documents are drawn from train when a model reads, by class (`models.training.documents`).
    """
    draw = hashlib.sha256(f"{split.salt}:{digest}".encode()).digest()
    return "test" if int.from_bytes(draw[:8]) < split.test * 2**64 else "train"


def ranked(rows: DataFrame, batch: int) -> DataFrame:
    """Where each row of a batch stands among all of its text, the older documents and its own, by (batch, id).

    `first_of_id`: no row before it has its id. `two_labels`: the text stands under two labels or more. All of it is
    found in one sort, for the rows carry their texts.
    """
    tested = F.col("published") & (F.col("split") == "test")
    text = Window.partitionBy("digest")
    ordered = text.orderBy("batch", "id", "path", "row")
    labelled = F.when(F.size("labels") > 0, F.col("labels"))
    older_ids = F.collect_set(F.when(F.col("batch") < batch, F.col("id"))).over(text)
    repeated = F.coalesce(F.lag("id").over(ordered) == F.col("id"), F.lit(False))
    return rows.select(
        "*",
        tested.alias("tested"),
        F.row_number().over(ordered).alias("nth_text"),
        (~repeated & ~F.array_contains(older_ids, F.col("id"))).alias("first_of_id"),
        F.max(tested).over(text).alias("text_is_tested"),
        (F.max("batch").over(text) == batch).alias("text_is_new"),
        (F.min(labelled).over(text) != F.max(labelled).over(text)).alias("two_labels"),
    )


def survivors(rows: DataFrame) -> DataFrame:
    """Of equal texts, `ranked`, the first stays.

    A published test document is dropped only where its id came before, so that published figures stay comparable; a
    text that stands in a published test split is dropped from every other split.
    """
    first = F.when(F.col("tested"), F.col("first_of_id")).otherwise((F.col("nth_text") == 1) & ~F.col("text_is_tested"))
    return rows.where(first).select(*CLEAN.schema.names)


def check_split(spark: SparkSession, lake: Lake, split: Split) -> None:
    """Refuse to mix two divisions in one data set."""
    if not lakes.exists(spark, lake.path(CLEAN)):
        return
    field = lakes.read(spark, lake, CLEAN).schema["split"]
    settings = json.loads(field.metadata.get(SPLIT_KEY, "null"))
    if settings != asdict(split):
        given = " ".join(f"split.{key}={value}" for key, value in (settings or {}).items())
        raise UserError(f"the data set '{lake.dataset}' was divided with {given}; take these, or another dataset=")


if __name__ == "__main__":
    main("clean", run, __doc__)
