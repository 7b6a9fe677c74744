"""featurize: from silver to gold. One pass cuts each text into terms; documents, vocabulary and a snapshot follow."""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from models.training import tfidf as weighting
from pipelines import clean, report, words
from pipelines import lake as lakes
from pipelines.command import main
from pipelines.config import Config
from pipelines.lake import CLEAN, FEATURES, SNAPSHOTS, VOCABULARY, Lake
from pipelines.progress import step

SLICE_BYTES = 4 << 20  # of text, cut at a time: bounds a worker's memory, whatever the documents' sizes

# A worker's output: rows of documents and rows of vocabulary in one stream, so that text is tokenized once.
CUT = pa.schema(
    {
        "id": pa.string(),
        "split": pa.string(),
        "labels": pa.list_(pa.string()),
        "target": pa.float64(),
        "terms": pa.list_(pa.int64()),
        "counts": pa.list_(pa.int32()),
        "sequence": pa.list_(pa.int32()),
        "term": pa.string(),
        "term_id": pa.int64(),
        "df": pa.int64(),
        "count": pa.int64(),
    }
)


def run(spark: SparkSession, config: Config) -> dict[str, Any]:
    """`update`, with its report."""
    return report.stage(spark, config, update(spark, config))


def update(spark: SparkSession, config: Config) -> dict[str, Any]:
    """Bring a feature set up to date with silver, batch by batch; `ingest` and `clean` run first."""
    lake = lakes.of(config)
    before = clean.update(spark, config)
    began = time.monotonic()
    done = lakes.last_batch(spark, lake.path(SNAPSHOTS))
    last = lakes.last_batch(spark, lake.path(CLEAN))
    batches = list(range(done + 1, last + 1))
    for batch in batches:
        write(spark, lake, batch, config.features)
    status = "done" if batches or before["status"] == "done" else "unchanged"
    taken = sorted({*before["batches"], *batches})
    return {
        "job": "featurize",
        "status": status,
        "batches": taken,
        "two_labels": before["two_labels"],
        "seconds": before["seconds"] | {"featurize": round(time.monotonic() - began, 2)},
    }


def write(spark: SparkSession, lake: Lake, batch: int, options: words.Options) -> None:
    """Featurize one batch: features, vocabulary, and last the snapshot that publishes both."""
    documents = lakes.of_batch(spark, lake, CLEAN, batch).select("id", "text", "split", "labels", "target")
    rows = documents.mapInArrow(cutter(options), from_arrow_schema(CUT)).persist(StorageLevel.MEMORY_AND_DISK)
    try:
        with step(spark, f"featurize: batch {batch}, documents"):
            lakes.append(features(rows, batch), lake, FEATURES, batch)
        with step(spark, f"featurize: batch {batch}, vocabulary"):
            lakes.append(vocabulary(rows, batch), lake, VOCABULARY, batch)
    finally:
        rows.unpersist()
    with step(spark, f"featurize: batch {batch}, snapshot"):
        lakes.append(counted(spark, lake, batch), lake, SNAPSHOTS, batch)


def cutter(options: words.Options) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """A worker's function: id, text, split, labels, target -> `CUT`."""

    def cut(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        partial: list[pa.Table] = []
        for batch in batches:
            for piece in _slices(batch):
                found = words.terms(piece["text"].to_pylist(), options)
                yield _documents(piece, found)
                partial.append(_vocabulary(found, piece["split"].to_numpy(zero_copy_only=False) == "train"))
        if partial:
            yield from _summed(partial)

    return cut


def features(rows: DataFrame, batch: int) -> DataFrame:
    """The documents among a worker's rows as `lake.FEATURES`, by key, so that a range of keys is a range of rows."""
    return (
        rows.where("id is not null")
        .select(F.lit(batch).cast("bigint").alias("batch"), F.xxhash64("id").alias("key"), "*")
        .sortWithinPartitions("key", "id")
        .select(*FEATURES.schema.names)
    )


def vocabulary(rows: DataFrame, batch: int) -> DataFrame:
    """The terms among a worker's rows as `lake.VOCABULARY`."""
    return (
        rows.where("term is not null")
        .groupBy("term", F.col("term_id").alias("id"))
        .agg(F.sum("df").alias("df"), F.sum("count").alias("count"))
        .withColumn("batch", F.lit(batch).cast("bigint"))
        .select(*VOCABULARY.schema.names)
    )


def counted(spark: SparkSession, lake: Lake, batch: int) -> DataFrame:
    """The row of `lake.SNAPSHOTS` that publishes everything up to a batch."""
    documents = lakes.read(spark, lake, FEATURES).where(F.col("batch") <= batch)
    versions = {table.place: lakes.version(spark, lake.path(table)) for table in (FEATURES, VOCABULARY)}
    return documents.agg(
        F.lit(batch).cast("bigint").alias("batch"),
        F.count("*").alias("documents"),
        F.count_if(F.col("split") == "train").alias("train"),
        F.count_if(F.col("split") == "test").alias("test"),
        *[F.lit(number).cast("bigint").alias(f"{place}_version") for place, number in versions.items()],
    )


def select_vocabulary(
    spark: SparkSession, lake: Lake, snapshot: dict[str, Any], options: weighting.Options
) -> DataFrame:
    """The terms a model reads, as (term, id, df) by term: by document frequency, then the most frequent ones.

    Of terms with equal counts the alphabetically first stay.

    Raises:
        UserError: two terms share an id.
    """
    terms = (
        lakes.read(spark, lake, VOCABULARY)
        .where(F.col("batch") <= snapshot["batch"])
        .groupBy("id")
        .agg(
            F.min("term").alias("term"),
            F.max("term").alias("other"),
            F.sum("df").alias("df"),
            F.sum("count").alias("n"),
        )
    )
    clash = F.raise_error(F.concat(F.lit("two terms share an id: "), "term", F.lit(" and "), "other"))
    checked = terms.withColumn("term", F.when(F.col("term") == F.col("other"), F.col("term")).otherwise(clash))
    kept = checked.where(F.col("df").between(options.min_df, options.max_df * snapshot["train"]))
    return kept.orderBy(F.desc("n"), "term").limit(options.size).select("term", "id", "df").orderBy("term")


def tfidf(spark: SparkSession, lake: Lake, snapshot: dict[str, Any], options: weighting.Options) -> DataFrame:
    """TF-IDF weights for SQL: (document, term, weight), equal to scikit-learn's `TfidfVectorizer`.

    weight = tf · idf, tf = count or 1 + ln(count), idf = ln((1 + n) / (1 + df)) + 1 (`smooth`) or ln(n / df) + 1, with
    n train documents; then divided by the document's Euclidean norm (`norm=l2`).
    """
    terms = select_vocabulary(spark, lake, snapshot, options)
    one = 1 if options.smooth else 0
    idf = F.log((snapshot["train"] + one) / (F.col("df") + one)) + 1
    frequency = F.log("count") + 1 if options.sublinear else F.col("count").cast("double")
    pairs = (
        lakes.read(spark, lake, FEATURES)
        .where(F.col("batch") <= snapshot["batch"])
        .select(
            F.col("id").alias("document"),
            F.explode(F.arrays_zip(F.col("terms").alias("id"), F.col("counts").alias("count"))),
        )
        .select("document", "col.id", "col.count")
    )
    weights = pairs.join(terms, "id").select("document", "term", (frequency * idf).alias("weight"))
    if options.norm == "none":
        return weights
    whole = Window.partitionBy("document")
    norm = F.sqrt(F.sum(F.col("weight") * F.col("weight")).over(whole))
    return weights.select("document", "term", (F.col("weight") / norm).alias("weight"))


def _slices(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """A record batch in pieces of about `SLICE_BYTES` of text."""
    sizes = np.cumsum(pc.fill_null(pc.binary_length(batch["text"]), 0).to_numpy(zero_copy_only=False))
    start = 0
    while start < batch.num_rows:
        before = sizes[start - 1] if start else 0
        end = max(int(np.searchsorted(sizes, before + SLICE_BYTES)), start + 1)
        yield batch.slice(start, end - start)
        start = end


def _documents(piece: pa.RecordBatch, found: words.Terms) -> pa.RecordBatch:
    offsets = pa.array(found.offsets, pa.int32())
    columns: dict[str, Any] = {name: piece[name] for name in ("id", "split", "labels", "target")}
    columns["terms"] = pa.ListArray.from_arrays(offsets, pa.array(found.ids[found.codes]))
    columns["counts"] = pa.ListArray.from_arrays(offsets, pa.array(found.counts, pa.int32()))
    positions = pa.array(found.word_offsets, pa.int32())
    columns["sequence"] = pa.ListArray.from_arrays(positions, pa.array(found.words, pa.int32()))
    return _cut_batch(columns, piece.num_rows)


def _vocabulary(found: words.Terms, train: Any) -> pa.Table:
    """Each term's train documents and occurrences in them; terms of other splits stand with zeros."""
    counted_here = np.repeat(train, np.diff(found.offsets))
    codes, size = found.codes[counted_here], len(found.ids)
    df = np.bincount(codes, minlength=size)
    count = np.bincount(codes, weights=found.counts[counted_here], minlength=size).astype(np.int64)
    return pa.table({"term": found.names, "term_id": found.ids, "df": df, "count": count})


def _summed(partial: list[pa.Table]) -> Iterator[pa.RecordBatch]:
    """The vocabularies of a task's slices as one."""
    table = pa.concat_tables(partial).group_by(["term", "term_id"]).aggregate([("df", "sum"), ("count", "sum")])
    table = table.rename_columns(["term", "term_id", "df", "count"])
    for batch in table.to_batches(max_chunksize=100_000):
        yield _cut_batch({name: batch[name] for name in table.column_names}, batch.num_rows)


def _cut_batch(columns: dict[str, Any], rows: int) -> pa.RecordBatch:
    """`columns` as a batch of `CUT`, null in the others."""
    arrays = [
        columns[field.name].cast(field.type) if field.name in columns else pa.nulls(rows, field.type) for field in CUT
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=CUT)


if __name__ == "__main__":
    main("featurize", run, __doc__)
