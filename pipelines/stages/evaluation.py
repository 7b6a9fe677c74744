"""A bundle's predictions for a snapshot's test split, and exact metrics computed from the table that holds them."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from models.bundles.manifest import Manifest
from models.dataset.feature_reader import columns_for, stored_documents
from pipelines.console.progress import spark_progress
from pipelines.evaluation import bundle_scoring
from pipelines.evaluation.prediction_metrics import Evaluation, metrics_of_run
from pipelines.lakehouse import parquet_writer
from pipelines.lakehouse.dataset import Dataset, Snapshot
from pipelines.lakehouse.parquet_scan import assigned_paths, distribute, read_rows
from pipelines.lakehouse.parquet_writer import Worker


@dataclass(frozen=True)
class EvaluatedBundle:
    """A bundle to evaluate: its folder, its manifest, its name in the data set, and the models that it may hold."""

    folder: str
    manifest: Manifest
    run: str
    models: tuple[str, ...]


def name_bundle(dataset: Dataset, folder: str, manifest: Manifest) -> str:
    """A bundle's name in this data set: that of its run if it was trained here, else one with its manifest's digest."""
    parent, _, name = folder.rpartition("/")
    if parent == dataset.bundles_folder:
        return name
    return f"{name}-{hashlib.sha256(json.dumps(manifest.to_dict(), sort_keys=True).encode()).hexdigest()[:8]}"


def is_evaluated(dataset: Dataset, run: str, snapshot: Snapshot) -> bool:
    """Whether the table has a bundle's predictions for a snapshot."""
    return dataset.predictions.last_batch(f"{run}/{snapshot.batch}") > 0


def evaluate_bundle(dataset: Dataset, bundle: EvaluatedBundle, snapshot: Snapshot) -> Evaluation | None:
    """Predict a snapshot's labelled test documents (or those with a target) into `predictions`, unless they are there.

    Returns:
        The metrics; None if there are no such documents.
    """
    if not is_evaluated(dataset, bundle.run, snapshot):
        with spark_progress(dataset.session, "evaluate: test documents"):
            paths = dataset.features.paths(last=snapshot.batch)
            target = dataset.predictions.write_target()
            predict = predict_files(bundle, snapshot.batch, paths, target.columns)
            worker = parquet_writer.chain_workers(predict, parquet_writer.table_sink(target))
            written = parquet_writer.run_writers(distribute(dataset.session, paths), worker)
            dataset.predictions.commit(bundle.run, written, transaction=(f"{bundle.run}/{snapshot.batch}", 1))
    return metrics_of_run(dataset, bundle.run, snapshot.batch, bundle.manifest.task.kind, bundle.manifest.labels)


def predict_files(bundle: EvaluatedBundle, snapshot: int, paths: list[str], columns: pa.Schema) -> Worker:
    """A worker: indices of files in `paths` -> `schemas.PREDICTIONS`, for test documents whose truth is known."""
    folder, run, models = bundle.folder, bundle.run, bundle.models

    def work(indices: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        model = bundle_scoring.cached_bundle(folder, models)
        columns_read = ["id", "split", "labels", "target", *columns_for(model.input_spec)]
        for path in assigned_paths(indices, paths):
            for rows in read_rows(path, columns_read, last=snapshot):
                labelled = pc.greater(pc.list_value_length(rows["labels"]), 0)
                known = pc.is_valid(rows["target"]) if model.kind == "target" else labelled
                if model.input_spec.image:
                    known = pc.and_(known, pc.is_valid(rows["content"]))
                tests = rows.filter(pc.and_(known, pc.equal(rows["split"], "test")))
                identity = [pa.scalar(run), pa.scalar(snapshot, pa.int64())]
                repeated = [pa.repeat(value, tests.num_rows) for value in identity]
                truth = [tests[name] for name in ("id", "labels", "target")]
                answers = bundle_scoring.answer(model, stored_documents(tests)).columns
                yield pa.RecordBatch.from_arrays([*repeated, *truth, *answers], schema=columns)

    return work
