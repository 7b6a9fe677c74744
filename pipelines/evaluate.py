"""evaluate: a bundle on a snapshot's test split. Predictions go to a table; exact figures come from that table."""

import time
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from models.training import metrics
from pipelines import featurize, report, scoring, writing
from pipelines import lake as lakes
from pipelines.command import main
from pipelines.config import Config, UserError
from pipelines.lake import FEATURES, PREDICTIONS, Lake
from pipelines.progress import step


def run(spark: SparkSession, config: Config) -> dict[str, Any]:
    """Evaluate `bundle=` on `snapshot=`; the tables are brought up to date first.

    Raises:
        UserError: no bundle is given, or it cannot be used.
    """
    if not config.bundle:
        raise UserError("bundle=<folder> is missing: the bundle to evaluate")
    manifest = scoring.manifest(config.bundle)
    config = scoring.with_features(config, manifest)
    lake = lakes.of(config)
    before = report.rows(spark, config, featurize.update(spark, config))
    snapshot = lakes.snapshot(spark, lake, config.snapshot)
    began = time.monotonic()
    identity = scoring.folder(config.bundle).rsplit("/", 1)[-1]
    known = lakes.last_batch(spark, lake, PREDICTIONS, identity) >= snapshot["batch"]
    scores = score(spark, lake, scoring.folder(config.bundle), snapshot, identity)
    result = {
        "job": "evaluate",
        "status": "unchanged" if known else "done",
        "run": identity,
        "model": manifest["model"],
        "source": config.names.source,
        "dataset": lake.dataset,
        "metrics": {"test": scores},
        "rows": before["rows"],
        "seconds": before["seconds"] | {"evaluate": round(time.monotonic() - began, 2)},
        "snapshot": snapshot["batch"],
        "bundle": scoring.folder(config.bundle),
    }
    if not known:
        report.keep(spark, lake, result)
    return result


def score(
    spark: SparkSession, lake: Lake, folder: str, snapshot: dict[str, Any], identity: str
) -> dict[str, Any] | None:
    """Predict the labelled test documents of a snapshot into `predictions`, and count.

    None where there is no labelled test document.
    """
    tests = lakes.read(spark, lake, FEATURES, last=snapshot["batch"])
    tests = tests.where((F.col("split") == "test") & (F.size("labels") > 0))
    target = lakes.target(lake, PREDICTIONS)

    def predict(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        bundle = scoring.loaded(folder)
        for batch in batches:
            terms, counts = batch["terms"], batch["counts"]
            best, probability = scoring.best(
                bundle,
                terms.flatten().to_numpy(),
                counts.flatten().to_numpy().astype(np.int64),
                terms.offsets.to_numpy().astype(np.int64) - terms.offsets[0].as_py(),
            )
            run, number = pa.scalar(identity), pa.scalar(snapshot["batch"], pa.int64())
            named = [pa.repeat(value, batch.num_rows) for value in (run, number)]
            columns = [*named, batch["id"], batch["labels"], best, probability]
            yield pa.RecordBatch.from_arrays(columns, schema=target.columns)

    if lakes.last_batch(spark, lake, PREDICTIONS, identity) < snapshot["batch"]:
        with step(spark, "evaluate: test documents"):
            scored = tests.select("id", "labels", "terms", "counts")
            told = writing.written(scored, writing.chained(predict, writing.sink(target)))
            lakes.commit(spark, lake, PREDICTIONS, identity, told, transaction=(identity, snapshot["batch"]))
    return counted(spark, lake, identity, snapshot["batch"], scoring.manifest(folder)["labels"])


def counted(spark: SparkSession, lake: Lake, identity: str, batch: int, labels: list[str]) -> dict[str, Any] | None:
    """Exact figures of a run's predictions for a snapshot; a label that the bundle lacks counts as wrong."""
    rows = lakes.read(spark, lake, PREDICTIONS, identity, identity).where(F.col("snapshot") == batch)
    pairs = rows.groupBy(F.col("labels")[0].alias("label"), "predicted").count().collect()
    if not pairs:
        return None
    names = sorted({*labels, *(pair["label"] for pair in pairs)})
    confusion = np.zeros((len(names), len(names)), np.int64)
    for pair in pairs:
        confusion[names.index(pair["label"]), names.index(pair["predicted"])] += pair["count"]
    classes = metrics.per_class(confusion)
    unknown = [names.index(name) for name in names if name not in labels]
    return metrics.summary(confusion) | {
        "documents": int(confusion.sum()),
        "unknown_label": int(confusion[unknown].sum()),
        "classes": {
            name: {figure: float(values[number]) for figure, values in classes.items()}
            for number, name in enumerate(names)
        },
        "confusion": confusion.tolist(),
    }


if __name__ == "__main__":
    main("evaluate", run, __doc__)
