"""From silver to gold: tokenizes each text once, and writes features, vocabulary and a snapshot."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from pipelines.console.progress import spark_progress
from pipelines.lakehouse import parquet_writer
from pipelines.lakehouse.dataset import Dataset
from pipelines.lakehouse.parquet_scan import assigned_paths, distribute, read_rows
from pipelines.lakehouse.parquet_writer import TableWriter, Worker, WriteTarget, WrittenFile, repeat_integer
from pipelines.text import tokenizer

SILVER = ("id", "text", "content", "split", "labels", "target")
RUN_BYTES = 32 << 20  # of documents that are sorted together into a file of features; about twice as much in memory
SLICE_BYTES = 4 << 20  # of text that is tokenized at once: bounds a worker's memory, whatever the documents' sizes
PARTIAL_ROWS = 1_000_000  # of vocabulary that a task collects before it sums them

# A worker's output: files of features that it wrote, and rows of vocabulary. Both come from one pass over the text.
TOKENIZED = pa.schema(
    {"file": pa.string(), "term": pa.string(), "id": pa.int64(), "df": pa.int64(), "count": pa.int64()},
)


def featurize_new_batches(dataset: Dataset, options: tokenizer.Options) -> list[int]:
    """Bring the feature set up to date with silver, batch by batch; returns the batches that were featurized."""
    batches = list(range(1 + dataset.snapshots.last_batch(), 1 + dataset.clean_documents.last_batch()))
    for batch in batches:
        with spark_progress(dataset.session, f"featurize: batch {batch}"):
            featurize_batch(dataset, batch, options)
    return batches


def featurize_batch(dataset: Dataset, batch: int, options: tokenizer.Options) -> None:
    """Featurize one batch in one Spark job: features, vocabulary, and finally the snapshot that publishes both."""
    features, vocabulary = dataset.features.write_target(), dataset.vocabulary.write_target(order=("term",))
    paths = dataset.clean_documents.paths(batch, batch)
    written: list[WrittenFile] = []
    if paths:
        worker = tokenize_files(options, features, batch, paths)
        tokenized = distribute(dataset.session, paths).mapInArrow(worker, from_arrow_schema(TOKENIZED))
        summed = tokenized.groupBy("file", "term", "id").agg(F.sum("df").alias("df"), F.sum("count").alias("count"))
        written = parquet_writer.run_writers(summed, write_vocabulary(vocabulary, batch))
    dataset.features.commit(batch, written)
    dataset.vocabulary.commit(batch, written)
    dataset.snapshots.append(batch, pa.Table.from_pylist([snapshot_row(dataset, batch, written)]))


def snapshot_row(dataset: Dataset, batch: int, written: Sequence[WrittenFile]) -> dict[str, object]:
    """The row of `SNAPSHOTS` that publishes everything up to a batch: the previous snapshot plus the new files."""
    before = dataset.published(batch - 1)
    new = [file for file in written if file.table == dataset.features.schema.name]
    labels = {label for file in new for label in file.labels} | set(before.labels if before else ())
    return {
        "documents": sum(file.rows for file in new) + (before.documents if before else 0),
        "train": sum(file.splits.get("train", 0) for file in new) + (before.train if before else 0),
        "test": sum(file.splits.get("test", 0) for file in new) + (before.test if before else 0),
        "labels": sorted(labels),
        "features_version": dataset.features.version(),
        "vocabulary_version": dataset.vocabulary.version(),
    }


def tokenize_files(options: tokenizer.Options, target: WriteTarget, batch: int, paths: list[str]) -> Worker:
    """A worker: indices of files in `paths` -> `TOKENIZED`."""

    def work(indices: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        writer = TableWriter(target)
        partial: list[pa.Table] = []
        documents = (
            rows for path in assigned_paths(indices, paths) for rows in read_rows(path, SILVER, first=batch, last=batch)
        )
        for run in sort_in_runs(documents):
            labels = learnable_labels(run)
            for piece in _slices(run):
                tokens = tokenizer.tokenize(piece["text"].fill_null("").to_pylist(), options)
                yield from _file_rows(writer.add(_feature_rows(piece, tokens, batch)), labels)
                partial.append(_vocabulary_rows(tokens, piece["split"].to_numpy(zero_copy_only=False) == "train"))
            yield from _file_rows(writer.close(), labels)
            if sum(table.num_rows for table in partial) > PARTIAL_ROWS:
                yield from _pad_columns(_sum_by_term(partial))
                partial = []
        if partial:
            yield from _pad_columns(_sum_by_term(partial))

    return work


def sort_in_runs(documents: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Documents with their `key`, sorted by it and by `id` within a run of `RUN_BYTES`, test documents last.

    They are sorted before tokenization, because sorting rows of lists takes longer.
    """
    pending: list[pa.RecordBatch] = []
    for rows in documents:
        pending.append(rows)
        if sum(batch.nbytes for batch in pending) >= RUN_BYTES:
            yield _sort(pending)
            pending = []
    if any(batch.num_rows for batch in pending):
        yield _sort(pending)


def _sort(pending: list[pa.RecordBatch]) -> pa.RecordBatch:
    rows = pa.concat_batches(pending)
    rows = rows.append_column("key", pa.array(tokenizer.hash64(rows["id"])))
    rows = rows.append_column("tested", pc.equal(rows["split"], "test"))
    return rows.take(pc.sort_indices(rows, [(name, "ascending") for name in ("tested", "key", "id")]))


def learnable_labels(documents: pa.RecordBatch) -> tuple[str, ...]:
    """The labels that models may learn from these documents: those of documents outside the test split."""
    labelled = pc.greater(pc.list_value_length(documents["labels"]), 0)
    used = documents.filter(pc.and_(labelled, pc.not_equal(documents["split"], "test")))
    return tuple(pc.unique(pc.list_flatten(used["labels"])).to_pylist())


def write_vocabulary(target: WriteTarget, batch: int) -> Worker:
    """A worker: summed rows of `TOKENIZED` -> `WRITTEN`; terms are written, and files of features are passed on."""

    def work(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        writer = TableWriter(target)
        for rows in batches:
            is_term = pc.is_null(rows["file"])
            yield rows.filter(pc.invert(is_term)).select(["file"])
            table = pa.Table.from_batches([rows.filter(is_term)])
            numbered = table.append_column("batch", repeat_integer(batch, table.num_rows))
            yield from parquet_writer.as_batches(writer.add(numbered))
        yield from parquet_writer.as_batches(writer.close())

    return work


def _slices(documents: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Documents in slices of about `SLICE_BYTES` of text or content."""
    lengths = (pc.fill_null(pc.binary_length(documents[name]), 0).to_numpy() for name in ("text", "content"))
    sizes = np.cumsum(sum(length.astype(np.int64) for length in lengths))
    start = 0
    while start < documents.num_rows:
        before = sizes[start - 1] if start else 0
        end = max(int(np.searchsorted(sizes, before + SLICE_BYTES)), start + 1)
        yield documents.slice(start, end - start)
        start = end


def _feature_rows(documents: pa.RecordBatch, tokens: tokenizer.TokenizedBatch, batch: int) -> pa.Table:
    """Documents as `schemas.FEATURES`."""
    offsets = pa.array(tokens.offsets, pa.int32())
    positions = pa.array(tokens.word_offsets, pa.int32())
    copied = {name: documents[name] for name in ("key", "id", "split", "labels", "target", "content")}
    computed = {
        "batch": repeat_integer(batch, documents.num_rows),
        "terms": pa.ListArray.from_arrays(offsets, pa.array(tokens.term_ids[tokens.indices])),
        "counts": pa.ListArray.from_arrays(offsets, pa.array(tokens.counts, pa.int32())),
        "sequence": pa.ListArray.from_arrays(positions, pa.array(tokens.word_positions, pa.int32())),
    }
    return pa.table(copied | computed)


def _vocabulary_rows(tokens: tokenizer.TokenizedBatch, is_train: Any) -> pa.Table:
    """For each term the number of its train documents and of its occurrences there; 0 if only other splits have it."""
    counted = np.repeat(is_train, np.diff(tokens.offsets))
    indices, size = tokens.indices[counted], len(tokens.term_ids)
    df = np.bincount(indices, minlength=size)
    count = np.bincount(indices, weights=tokens.counts[counted], minlength=size).astype(np.int64)
    return pa.table({"term": tokens.terms, "id": tokens.term_ids, "df": df, "count": count})


def _sum_by_term(partial: list[pa.Table]) -> pa.Table:
    """The vocabularies of a task's slices as one."""
    table = pa.concat_tables(partial).group_by(["term", "id"]).aggregate([("df", "sum"), ("count", "sum")])
    return table.rename_columns(["term", "id", "df", "count"])


def _file_rows(written: Iterable[WrittenFile], labels: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
    for rows in parquet_writer.as_batches(replace(file, labels=labels) for file in written):
        yield from _pad_columns(pa.Table.from_batches([rows]))


def _pad_columns(table: pa.Table) -> Iterator[pa.RecordBatch]:
    """A table as record batches of `TOKENIZED`, with nulls for the columns that it lacks."""
    columns = [
        table[field.name].cast(field.type) if field.name in table.column_names else pa.nulls(len(table), field.type)
        for field in TOKENIZED
    ]
    yield from pa.table(columns, schema=TOKENIZED).to_batches(max_chunksize=100_000)
