"""predict: new documents to labels, with a bundle alone. One row in, one row out; nothing in the lake is touched."""

import dataclasses
import time
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from models.dataset.encoder import StoredDocuments
from models.dataset.ragged import Ragged
from models.storage import addresses
from pipelines import ingest
from pipelines.config import Config, component
from pipelines.errors import UserError
from pipelines.evaluation import bundle_scoring
from pipelines.job.cli import main
from pipelines.job.progress import step
from pipelines.lakehouse import delta_kernel, parquet_scan
from pipelines.lakehouse.parquet_writer import Worker
from pipelines.readers import listing
from pipelines.readers.raw_documents import Step
from pipelines.text import tokenizer

OUTPUT = pa.schema(
    {
        "path": pa.string(),
        "row": pa.int64(),
        "id": pa.string(),
        **{field.name: field.type for field in bundle_scoring.ANSWERS},
        "reason": pa.string(),
    }
)


def run(spark: SparkSession, config: Config) -> dict[str, Any]:
    """Predict every row of a source into the Delta table `output=`, which is replaced as a whole.

    A row that cannot be read has no prediction but a reason.

    Raises:
        UserError: `bundle=` or `output=` is missing or cannot be used; nothing at the source's path.
    """
    if not config.bundle or not config.output:
        raise UserError("bundle=<folder> and output=<table> are both needed")
    manifest = bundle_scoring.manifest(config.bundle)
    folder, output = bundle_scoring.folder(config.bundle), addresses.absolute(config.output).rstrip("/")
    bundle_scoring.loaded(folder)  # a broken bundle is told of here, not by a worker
    check_output(spark, output)
    began = time.monotonic()
    planned = ingest.probed(spark, dataclasses.replace(config, source=unlabelled(config.source)))
    with step(spark, f"predict: {planned.num_rows:,} files"):
        rows = predicted(spark, config, planned, folder, bundle_scoring.features(manifest))
        rows.write.format("delta").mode("overwrite").save(output)
    totals = spark.read.format("delta").load(output).agg(F.count("*"), F.count("reason")).first()
    assert totals
    return {
        "job": "predict",
        "status": "done",
        "model": manifest.model,
        "source": config.names.source,
        "rows": {"read": totals[0], "predicted": totals[0] - totals[1], "rejected": totals[1]},
        "seconds": {"predict": round(time.monotonic() - began, 2)},
        "bundle": folder,
        "output": output,
    }


def predicted(
    spark: SparkSession, config: Config, planned: pa.Table, folder: str, options: tokenizer.Options
) -> DataFrame:
    """The planned files' rows as `OUTPUT`; a file that cannot be read is one row."""
    source = component("source", config.names.source)
    good = planned.filter(pc.is_null(planned["problem"])).select(["path", "name"])
    spread = spark.createDataFrame(good).repartition(parquet_scan.tasks(spark, good.num_rows))
    rows = source.read(spark, spread, unlabelled(config.source), Step(scorer(folder, options), OUTPUT))
    bad = spark.createDataFrame(planned.select(["path", "problem"])).where("problem is not null")
    return rows.unionByName(bad.withColumnRenamed("problem", "reason"), allowMissingColumns=True)


def scorer(folder: str, options: tokenizer.Options) -> Worker:
    """A worker's function: `reading.RAW` -> `OUTPUT`."""

    def score(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        bundle = bundle_scoring.loaded(folder)
        read = "content" if bundle.input_spec.image else "text"
        for batch in batches:
            missing = pc.if_else(pc.is_null(batch[read]), f"no {'image' if bundle.input_spec.image else 'text'}", None)
            reason = pc.coalesce(batch["reason"], missing)
            readable = pc.is_null(reason)
            answers = bundle_scoring.answers(bundle, _stored(batch.filter(readable), options))
            place = pc.if_else(readable, pc.subtract(pc.cumulative_sum(readable.cast(pa.int64())), 1), None)
            said = [column.take(place) for column in answers.columns]
            named = [batch[name] for name in ("path", "row", "id")]
            yield pa.RecordBatch.from_arrays([*named, *said, reason], schema=OUTPUT)

    return score


def _stored(rows: pa.RecordBatch, options: tokenizer.Options) -> StoredDocuments:
    """`reading.RAW` as a bundle wants it."""
    found = tokenizer.terms([tokenizer.normalise(text or "") for text in rows["text"].to_pylist()], options)
    terms = Ragged((found.ids[found.codes], found.counts), found.offsets)
    return StoredDocuments(terms, Ragged((found.words,), found.word_offsets), rows["content"])


def unlabelled(options: Any) -> Any:
    """The source's options without what prediction has no use for, so that a missing label rejects no row."""
    known = {field.name: field.type for field in dataclasses.fields(options)}
    unwanted = {name: False if known[name] is bool else None for name in ("label", "split", "target") if name in known}
    return dataclasses.replace(options, **unwanted)


def check_output(spark: SparkSession, output: str) -> None:
    """Refuse to replace anything but an earlier output.

    Raises:
        UserError: something else is there.
    """
    try:
        found = listing.listing(output)
    except FileNotFoundError:
        return
    columns = spark.read.format("delta").load(output).columns if delta_kernel.version(spark, output) >= 0 else None
    if found and columns != OUTPUT.names:
        raise UserError(f"output={output} holds something else; name a new folder")


if __name__ == "__main__":
    main("predict", run, __doc__)
