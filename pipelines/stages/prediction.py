"""Predictions for new documents from a bundle alone: a row for each row, without touching a lake."""

import dataclasses
from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from models.dataset.encoder import StoredDocuments
from models.dataset.ragged import Ragged
from pipelines.console.progress import spark_progress
from pipelines.errors import UserError
from pipelines.evaluation import bundle_scoring
from pipelines.lakehouse.delta_log import is_delta_table
from pipelines.lakehouse.parquet_scan import num_tasks
from pipelines.lakehouse.parquet_writer import Worker
from pipelines.readers.listing import list_files
from pipelines.readers.probe import probe_new_files
from pipelines.readers.raw_documents import WorkerStep
from pipelines.stages.ingestion import ConfiguredSource
from pipelines.text import tokenizer
from pipelines.text.normalisation import normalise_text
from pipelines.tracking.reports import PredictedRows

OUTPUT = pa.schema(
    {
        "path": pa.string(),
        "row": pa.int64(),
        "id": pa.string(),
        **{field.name: field.type for field in bundle_scoring.ANSWERS},
        "reason": pa.string(),
    }
)
TRUTH_KEYS = ("label", "split", "target")  # options of a source that predictions do not need


def predict_source(session: SparkSession, source: ConfiguredSource, output: str, worker: Worker) -> PredictedRows:
    """Predict every row of a source into the Delta table `output`, which is replaced as a whole.

    A row that cannot be read has a reason instead of a prediction.

    Raises:
        UserError: there is nothing at the source's path, or it is empty.
    """
    unlabelled = without_truth(source)
    planned = probe_new_files(session, source.module, unlabelled.options)
    with spark_progress(session, f"predict: {planned.num_rows:,} files"):
        rows = predict_files(session, unlabelled, planned, worker)
        rows.write.format("delta").mode("overwrite").save(output)
    totals = session.read.format("delta").load(output).agg(F.count("*"), F.count("reason")).first()
    assert totals
    read, rejected = totals
    return PredictedRows(read, read - rejected, rejected)


def predict_files(session: SparkSession, source: ConfiguredSource, planned: pa.Table, worker: Worker) -> DataFrame:
    """The planned files' rows as `OUTPUT`; a file that cannot be read is one row."""
    readable = planned.filter(pc.is_null(planned["problem"])).select(["path", "name"])
    plan = session.createDataFrame(readable).repartition(num_tasks(session, readable.num_rows))
    rows = source.module.read_documents(session, plan, source.options, WorkerStep(worker, OUTPUT))
    broken = session.createDataFrame(planned.select(["path", "problem"])).where("problem is not null")
    return rows.unionByName(broken.withColumnRenamed("problem", "reason"), allowMissingColumns=True)


def score_rows(folder: str, models: tuple[str, ...], options: tokenizer.Options) -> Worker:
    """A worker: `RAW_DOCUMENT` -> `OUTPUT`, by the bundle in `folder`; `options` tokenize its text."""

    def work(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        bundle = bundle_scoring.cached_bundle(folder, models)
        column = "content" if bundle.input_spec.image else "text"
        for batch in batches:
            missing = pc.if_else(
                pc.is_null(batch[column]), f"no {'image' if bundle.input_spec.image else 'text'}", None
            )
            reason = pc.coalesce(batch["reason"], missing)
            readable = pc.is_null(reason)
            answers = bundle_scoring.answer(bundle, _as_stored(batch.filter(readable), options))
            row_of = pc.if_else(readable, pc.subtract(pc.cumulative_sum(readable.cast(pa.int64())), 1), None)
            identity = [batch[name] for name in ("path", "row", "id")]
            predicted = [values.take(row_of) for values in answers.columns]
            yield pa.RecordBatch.from_arrays([*identity, *predicted, reason], schema=OUTPUT)

    return work


def _as_stored(rows: pa.RecordBatch, options: tokenizer.Options) -> StoredDocuments:
    """`raw_documents.RAW_DOCUMENT` as a bundle reads it."""
    texts = [normalise_text(text or "") for text in rows["text"].to_pylist()]
    batch = tokenizer.tokenize(texts, options)
    terms = Ragged((batch.term_ids[batch.indices], batch.counts), batch.offsets)
    return StoredDocuments(terms, Ragged((batch.word_positions,), batch.word_offsets), rows["content"])


def without_truth(source: ConfiguredSource) -> ConfiguredSource:
    """The source without labels, splits and targets, so that a missing label rejects no row."""
    types = {field.name: field.type for field in dataclasses.fields(source.options)}
    unset = {name: False if types[name] is bool else None for name in TRUTH_KEYS if name in types}
    return ConfiguredSource(source.name, dataclasses.replace(source.options, **unset))


def check_output(session: SparkSession, output: str) -> None:
    """Refuse to replace anything but an earlier output.

    Raises:
        UserError: the folder exists and is not an earlier output.
    """
    try:
        existing = list_files(output)
    except FileNotFoundError:
        return
    columns = session.read.format("delta").load(output).columns if is_delta_table(session, output) else None
    if existing and columns != OUTPUT.names:
        raise UserError(f"output={output} is not an earlier output of predict; name a new folder")
