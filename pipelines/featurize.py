"""featurize: from silver to gold. One pass cuts each text into terms; documents, vocabulary and a snapshot follow."""

import time
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from models.dataset import tfidf as weighting
from pipelines import clean
from pipelines.config import Config
from pipelines.job.cli import main
from pipelines.job.progress import spark_progress
from pipelines.lakehouse import locks, parquet_scan, parquet_writer, tables, vocabulary
from pipelines.lakehouse.tables import CLEAN, FEATURES, SNAPSHOTS, VOCABULARY, Lake
from pipelines.text import tokenizer
from pipelines.tracking import run_log

SILVER = ("id", "text", "content", "split", "labels", "target")
RUN_BYTES = 32 << 20  # of documents that are sorted together: a file of features, some twice as large in memory
SLICE_BYTES = 4 << 20  # of text, cut at a time: bounds a worker's memory, whatever the documents' sizes
PARTIAL_ROWS = 1_000_000  # of vocabulary that a task keeps before it sums them

# A worker's output: the files of documents that it wrote, and rows of vocabulary: text is tokenized once.
CUT = pa.schema(
    {"file": pa.string(), "term": pa.string(), "id": pa.int64(), "df": pa.int64(), "count": pa.int64()},
)


def run(spark: SparkSession, config: Config) -> dict[str, Any]:
    """`update`, with its report."""
    return run_log.stage(spark, config, update(spark, config))


def update(spark: SparkSession, config: Config) -> dict[str, Any]:
    """Bring a feature set up to date with silver, batch by batch; `ingest` and `clean` run first.

    Raises:
        Busy: another job has the data set.
    """
    with locks.tables(spark, tables.of(config).folder, config.overlapping):
        return advance(spark, config)


def advance(spark: SparkSession, config: Config) -> dict[str, Any]:
    """`update` for one who holds the data set's lock already."""
    lake = tables.of(config)
    before = clean.advance(spark, config)
    began = time.monotonic()
    batches = list(range(1 + tables.last_batch(spark, lake, SNAPSHOTS), 1 + tables.last_batch(spark, lake, CLEAN)))
    for batch in batches:
        with spark_progress(spark, f"featurize: batch {batch}"):
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


def write(spark: SparkSession, lake: Lake, batch: int, options: tokenizer.Options) -> None:
    """Featurize one batch in one job: features, vocabulary, and last the snapshot that publishes both."""
    targets = tables.target(lake, FEATURES), tables.target(lake, VOCABULARY, order=("term",))
    paths = tables.file_paths(spark, lake, CLEAN, batch, batch)
    cut = parquet_scan.spread(spark, paths).mapInArrow(
        cutter(options, targets[0], batch, paths), from_arrow_schema(CUT)
    )
    summed = cut.groupBy("file", "term", "id").agg(F.sum("df").alias("df"), F.sum("count").alias("count"))
    told = parquet_writer.written(summed, gatherer(targets[1], batch)) if paths else []
    tables.commit(spark, lake, FEATURES, batch, told)
    tables.commit(spark, lake, VOCABULARY, batch, told)
    tables.keep(spark, lake, SNAPSHOTS, batch, pa.Table.from_pylist([counted(spark, lake, batch, told)]))


def cutter(
    options: tokenizer.Options, target: parquet_writer.Target, batch: int, paths: list[str]
) -> parquet_writer.Worker:
    """A worker's function: numbers of files in `paths` -> `CUT`."""

    def cut(numbers: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        writer = parquet_writer.Writer(target)
        partial: list[pa.Table] = []
        mine = parquet_scan.assigned(numbers, paths)
        documents = (rows for path in mine for rows in parquet_scan.rows(path, SILVER, first=batch, last=batch))
        for run in sorted_runs(documents):
            labels = {"labels": learnt(run)}
            for piece in _slices(run):
                found = tokenizer.tokenize(piece["text"].fill_null("").to_pylist(), options)
                yield from _files(item | labels for item in writer.add(_features(piece, found, batch)))
                partial.append(_vocabulary(found, piece["split"].to_numpy(zero_copy_only=False) == "train"))
            yield from _files(item | labels for item in writer.close())
            if sum(table.num_rows for table in partial) > PARTIAL_ROWS:
                yield from _cut(_summed(partial))
                partial = []
        if partial:
            yield from _cut(_summed(partial))

    return cut


def sorted_runs(documents: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Documents with their `key`, in the order of it and of `id` within a run of `RUN_BYTES`; test documents last.

    Sorted while they are texts: rows of lists take longer.
    """
    pending: list[pa.RecordBatch] = []
    for rows in documents:
        pending.append(rows)
        if sum(batch.nbytes for batch in pending) >= RUN_BYTES:
            yield _sorted(pending)
            pending = []
    if any(batch.num_rows for batch in pending):
        yield _sorted(pending)


def _sorted(pending: list[pa.RecordBatch]) -> pa.RecordBatch:
    rows = pa.concat_batches(pending)
    rows = rows.append_column("key", pa.array(tokenizer.hash64(rows["id"])))
    rows = rows.append_column("tested", pc.equal(rows["split"], "test"))
    return rows.take(pc.sort_indices(rows, [(name, "ascending") for name in ("tested", "key", "id")]))


def learnt(documents: pa.RecordBatch) -> list[str]:
    """The labels that models may learn from these documents: those of each that is not in the test split."""
    labelled = pc.greater(pc.list_value_length(documents["labels"]), 0)
    used = documents.filter(pc.and_(labelled, pc.not_equal(documents["split"], "test")))
    found: list[str] = pc.unique(pc.list_flatten(used["labels"])).to_pylist()
    return found


def gatherer(target: parquet_writer.Target, batch: int) -> parquet_writer.Worker:
    """A worker's function: `CUT`, summed -> `TOLD`: the terms are written, what is told of files is passed on."""

    def gather(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        writer = parquet_writer.Writer(target)
        for rows in batches:
            terms = pc.is_null(rows["file"])
            yield rows.filter(pc.invert(terms)).select(["file"])
            table = pa.Table.from_batches([rows.filter(terms)])
            yield from parquet_writer.told(writer.add(table.append_column("batch", _repeated(batch, table.num_rows))))
        yield from parquet_writer.told(writer.close())

    return gather


def counted(spark: SparkSession, lake: Lake, batch: int, told: list[parquet_writer.Told]) -> dict[str, Any]:
    """The row of `lake.SNAPSHOTS` that publishes everything up to a batch: the one before, and what is new."""
    before = tables.rows(spark, lake, SNAPSHOTS, batch - 1, batch - 1).to_pylist()
    new = [item for item in told if item["table"] == FEATURES.place]
    numbers = {
        "documents": sum(item["rows"] for item in new),
        "train": sum(item["splits"].get("train", 0) for item in new),
        "test": sum(item["splits"].get("test", 0) for item in new),
    }
    for earlier in before:
        numbers = {name: number + earlier[name] for name, number in numbers.items()}
    labels = {label for source in (*before, *new) for label in source["labels"]}
    return numbers | {
        "labels": sorted(labels),
        "features_version": tables.version(spark, lake, FEATURES),
        "vocabulary_version": tables.version(spark, lake, VOCABULARY),
    }


def tfidf(spark: SparkSession, lake: Lake, snapshot: dict[str, Any], options: weighting.Options) -> DataFrame:
    """TF-IDF weights for SQL: (document, term, weight), equal to scikit-learn's `TfidfVectorizer`.

    weight = tf · idf, tf = count or 1 + ln(count), idf = ln((1 + n) / (1 + df)) + 1 (`smooth`) or ln(n / df) + 1, with
    n train documents; then divided by the document's Euclidean norm (`norm=l2`).
    """
    terms = vocabulary.select(spark, lake, snapshot, options)
    one = 1 if options.smooth else 0
    idf = F.log((snapshot["train"] + one) / (F.col("df") + one)) + 1
    frequency = F.log("count") + 1 if options.sublinear else F.col("count").cast("double")
    pairs = (
        tables.read(spark, lake, FEATURES, last=snapshot["batch"])
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
    """A record batch in pieces of about `SLICE_BYTES` of text or content."""
    lengths = (pc.fill_null(pc.binary_length(batch[name]), 0).to_numpy() for name in ("text", "content"))
    sizes = np.cumsum(sum(length.astype(np.int64) for length in lengths))
    start = 0
    while start < batch.num_rows:
        before = sizes[start - 1] if start else 0
        end = max(int(np.searchsorted(sizes, before + SLICE_BYTES)), start + 1)
        yield batch.slice(start, end - start)
        start = end


def _features(piece: pa.RecordBatch, found: tokenizer.TokenizedBatch, batch: int) -> pa.Table:
    """Documents as `lake.FEATURES`."""
    offsets = pa.array(found.offsets, pa.int32())
    positions = pa.array(found.word_offsets, pa.int32())
    columns: dict[str, Any] = {name: piece[name] for name in ("key", "id", "split", "labels", "target", "content")}
    columns["batch"] = _repeated(batch, piece.num_rows)
    columns["terms"] = pa.ListArray.from_arrays(offsets, pa.array(found.term_ids[found.indices]))
    columns["counts"] = pa.ListArray.from_arrays(offsets, pa.array(found.counts, pa.int32()))
    columns["sequence"] = pa.ListArray.from_arrays(positions, pa.array(found.word_positions, pa.int32()))
    return pa.table(columns)


def _vocabulary(found: tokenizer.TokenizedBatch, train: Any) -> pa.Table:
    """Each term's train documents and occurrences in them; terms of other splits stand with zeros."""
    counted_here = np.repeat(train, np.diff(found.offsets))
    indices, size = found.indices[counted_here], len(found.term_ids)
    df = np.bincount(indices, minlength=size)
    count = np.bincount(indices, weights=found.counts[counted_here], minlength=size).astype(np.int64)
    return pa.table({"term": found.terms, "id": found.term_ids, "df": df, "count": count})


def _summed(partial: list[pa.Table]) -> pa.Table:
    """The vocabularies of a task's slices as one."""
    table = pa.concat_tables(partial).group_by(["term", "id"]).aggregate([("df", "sum"), ("count", "sum")])
    return table.rename_columns(["term", "id", "df", "count"])


def _files(told: Iterable[parquet_writer.Told]) -> Iterator[pa.RecordBatch]:
    for batch in parquet_writer.told(told):
        yield from _cut(pa.Table.from_batches([batch]))


def _cut(table: pa.Table) -> Iterator[pa.RecordBatch]:
    """A table as record batches of `CUT`, null in the columns that it lacks."""
    columns = [
        table[field.name].cast(field.type) if field.name in table.column_names else pa.nulls(len(table), field.type)
        for field in CUT
    ]
    yield from pa.table(columns, schema=CUT).to_batches(max_chunksize=100_000)


def _repeated(batch: int, rows: int) -> pa.Array:
    return pa.repeat(pa.scalar(batch, pa.int64()), rows)


if __name__ == "__main__":
    main("featurize", run, __doc__)
