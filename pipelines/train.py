"""train: from raw text to a trained and evaluated model. Brings the tables up to date, trains, evaluates."""

import dataclasses
import io
import json
import time
from typing import Any

import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from models.bundles import architecture, bundle
from models.bundles.manifest import FILE as MANIFEST
from models.bundles.manifest import Manifest, TaskDescription
from models.dataset.vocabulary import FILE as VOCABULARY_FILE
from models.ranks.exit_records import RankFailure
from models.storage import files
from models.training import checkpoint, history
from models.training.task import Task
from pipelines import evaluate, featurize
from pipelines.config import Config
from pipelines.errors import UserError
from pipelines.job import progress
from pipelines.job.cli import main
from pipelines.job.progress import step
from pipelines.lakehouse import locks, tables, vocabulary
from pipelines.lakehouse.tables import FEATURES, Lake
from pipelines.launch import launcher, rank_memory
from pipelines.tracking import run_identity, run_log

TRAIN, SEARCH = run_log.TRAININGS


def run(spark: SparkSession, config: Config, *, job: str = TRAIN) -> dict[str, Any]:
    """Train a model on the newest snapshot (or `snapshot=`) and evaluate it on the test split (not for a search).

    `run=` of a run that did not finish goes on from its last checkpoint, with the snapshot that it began with. While it
    trains, other jobs may take new text; none can train the same run.

    Raises:
        UserError: no labelled train document, one label only, `run=` names a finished run or one of other settings, too
            few slots, a loss that is no number.
        Busy: another job has the data set or the run.
        RankFailure: see `launcher.launch`; it is kept in `runs`.
    """
    lake = tables.of(config)
    launcher.check(spark, config.train.ranks, lake.root)
    before = run_log.rows(spark, config, featurize.update(spark, config))
    identity = config.run or run_log.new_run()
    with locks.run(spark, lake.folder, identity, config.overlapping) as waited:
        done = run_log.finished(spark, lake, identity) if config.run else None
        if done and waited:  # by the job that we waited for
            return unchanged(done, before)
        if done:
            raise UserError(f"run={identity} is finished: its bundle is {lake.folder}/bundles/{identity}")
        return held(spark, config, lake, identity, before, job)


def unchanged(done: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """The report of a finished training, where this job has only brought the tables up to date."""
    return done | {"status": "unchanged", "rows": before["rows"], "seconds": before["seconds"]}


def held(
    spark: SparkSession, config: Config, lake: Lake, identity: str, before: dict[str, Any], job: str
) -> dict[str, Any]:
    """`run`, the run held and the tables up to date, as the report `before` says."""
    folder = f"{lake.folder}/bundles/{identity}"
    config = run_identity.resumed(config, folder)
    snapshot = tables.snapshot(spark, lake, config.snapshot)
    settings = run_identity.digest(config, snapshot)
    finished = run_log.find(spark, lake, settings) if config.train.reuse and not config.run else None
    if finished and MANIFEST in files.names(finished["bundle"]):
        return unchanged(finished, before)
    progress.say(f"train: run={identity}")  # by which it can go on
    result = {
        "job": job,
        "status": "done",
        "run": identity,
        "model": config.names.model,
        "source": config.names.source,
        "dataset": lake.dataset,
        "rows": before["rows"],
        "seconds": before["seconds"],
        "snapshot": snapshot["batch"],
        "settings": settings,
        "bundle": folder,
    }
    began = time.monotonic()
    if MANIFEST not in files.names(folder):
        task = prepare(spark, config, lake, snapshot, folder)
        try:
            figures = launcher.launch(spark, task)
        except RankFailure as failure:
            run_log.keep(spark, lake, result | {"status": "failed", "error": str(failure)})
            if failure.mistake:
                raise UserError(failure.cause.partition(": ")[2]) from failure
            raise
        files.write(f"{folder}/{run_identity.FIGURES}", json.dumps(figures).encode())
        publish(config, snapshot, task, figures["target"])
    figures = json.loads(files.read(f"{folder}/{run_identity.FIGURES}"))
    figures.pop("target")  # stands in the bundle
    trained = time.monotonic()
    scores = evaluate.score(spark, lake, folder, snapshot, identity) if job == TRAIN else None
    seconds = {"train": round(trained - began, 2), "evaluate": round(time.monotonic() - trained, 2)}
    result |= {
        "metrics": {"validation": figures.pop("validation"), "test": scores},
        "train": figures,
        "seconds": result["seconds"] | seconds,
    }
    run_log.keep(spark, lake, result, history.read(folder))
    for leftover in (checkpoint.FOLDER, "attempts"):
        files.remove_folder(f"{folder}/{leftover}")
    return result


def prepare(spark: SparkSession, config: Config, lake: Lake, snapshot: dict[str, Any], folder: str) -> Task:
    """Write the vocabulary that the model reads, and say what each rank needs to know."""
    if getattr(config.source, "label_separator", None) and config.train.loss != "binary":
        raise UserError("source.label_separator gives documents several labels: train.loss=binary learns them")
    labels = sorted(snapshot["labels"]) if config.train.loss != "mse" else []
    if len(labels) < 2 and config.train.loss != "mse":
        raise UserError(f"training needs documents with two labels or more; there are {labels or 'none'}")
    spec = architecture.input_spec(config.names.model, dataclasses.asdict(config.model))
    with step(spark, "train: vocabulary"):
        terms = vocabulary.chosen(spark, lake, snapshot, config.tfidf)
        if not terms.num_rows and not spec.image:
            raise UserError("no term is left: tfidf.min_df and tfidf.max_df leave none, or no document is for training")
        content = io.BytesIO()
        pq.write_table(terms, content)
        files.write(f"{folder}/{VOCABULARY_FILE}", content.getvalue())
    run_identity.begin(config, snapshot, folder)
    task = Task(
        files=tables.file_paths(spark, lake, FEATURES, last=snapshot["batch"]),
        batch=snapshot["batch"],
        documents=snapshot["train"],
        labels=labels,
        model=config.names.model,
        options=dataclasses.asdict(config.model),
        tfidf=config.tfidf,
        train=config.train,
        test_share=config.split.test,
        validation_share=config.split.validation,
        salt=config.split.salt,
        folder=folder,
    )
    rank_memory.check(spark, task, terms.num_rows)
    return launcher.placed(spark, task)


def publish(config: Config, snapshot: dict[str, Any], task: Task, scale: dict[str, float]) -> None:
    """Make the run's folder a bundle, which needs no lake; `scale` is the target's."""
    manifest = Manifest(
        model=task.model,
        options=task.options,
        tfidf=dataclasses.asdict(task.tfidf),
        labels=[*task.labels],
        task=TaskDescription(task.kind, **(scale if task.kind == "target" else {})),
        documents=task.documents,
        features={"name": config.names.features} | dataclasses.asdict(config.features),
        snapshot={"dataset": config.dataset_name} | {key: snapshot[key] for key in snapshot if key != "labels"},
        train=dataclasses.asdict(task.train),
    )
    bundle.publish(task.folder, manifest)


if __name__ == "__main__":
    main("train", run, __doc__)
