"""From a snapshot to a trained and evaluated bundle: the ranks' task, their launch, the bundle, the metrics."""

import dataclasses
import io
import json
import time
from dataclasses import dataclass

import pyarrow.parquet as pq

from models.bundles import architecture, manifest
from models.bundles.bundle import publish
from models.bundles.manifest import Manifest, TaskDescription
from models.dataset.vocabulary import FILE as VOCABULARY_FILE
from models.ranks.exit_records import RankFailure
from models.storage import files
from models.training import checkpoint, history
from models.training.task import Task
from pipelines.console.progress import print_message, spark_progress
from pipelines.errors import UserError
from pipelines.lakehouse import locks
from pipelines.lakehouse.dataset import Dataset, Snapshot
from pipelines.lakehouse.locks import Overlap
from pipelines.lakehouse.vocabulary import select_terms
from pipelines.launch import launcher, rank_memory
from pipelines.stages.evaluation import EvaluatedBundle, evaluate_bundle
from pipelines.stages.update import TableUpdate
from pipelines.tracking.reports import DONE, FAILED, UNCHANGED, TrainingMetrics, TrainingReport, TrainingSummary
from pipelines.tracking.run_identity import FIGURES_FILE, StartedRun, TrainingSettings, resume
from pipelines.tracking.run_log import TRAIN, RunLog, new_run

LEFTOVERS = (checkpoint.FOLDER, "attempts")  # folders of a run that are of no use once it is done


@dataclass(frozen=True)
class TrainingRequest:
    """What to train, and as which run.

    `run`: the name of a run to start or to resume, empty for a new name; `snapshot`: a batch number or "latest".
    `several_labels`: the source gives documents several labels.
    `job`: "train", or "search" for a candidate that is not evaluated on the test split.
    """

    settings: TrainingSettings
    source: str
    run: str
    snapshot: str
    several_labels: bool
    overlap: Overlap
    job: str = TRAIN


def train(dataset: Dataset, request: TrainingRequest, update: TableUpdate) -> TrainingReport:
    """Train a model on a snapshot and evaluate it on the test split; `update` is what brought the tables up to date.

    An unfinished run goes on from its last checkpoint, with the snapshot that it started with.

    Raises:
        UserError: there are fewer than two labels, no train document or too few slots, `run` is finished or has other
            settings, or the loss is not finite.
        Busy: another job holds the run.
        RankFailure: as `launcher.launch`; the failure is kept in `runs`.
    """
    run = request.run or new_run()
    with locks.run_lock(dataset.session, dataset.folder, run, request.overlap) as waited:
        finished = RunLog(dataset).finished_training(run) if request.run else None
        if finished and waited:  # by the job that this one waited for
            return _unchanged(finished, update)
        if finished:
            raise UserError(f"run={run} is finished: its bundle is {dataset.bundle_folder(run)}")
        return _train_locked(dataset, request, run, update)


def _unchanged(finished: TrainingReport, update: TableUpdate) -> TrainingReport:
    """The report of a job that found its training finished and only brought the tables up to date."""
    return dataclasses.replace(finished, status=UNCHANGED, rows=update.rows, seconds=update.seconds)


def _train_locked(dataset: Dataset, request: TrainingRequest, run: str, update: TableUpdate) -> TrainingReport:
    """`train`, with the run's lock held."""
    folder = dataset.bundle_folder(run)
    settings, snapshot_key = resume(request.run, folder, request.settings, request.snapshot)
    snapshot = dataset.snapshot(snapshot_key)
    digest = settings.digest(snapshot.batch)
    reusable = RunLog(dataset).newest_training(digest) if settings.train.reuse and not request.run else None
    if reusable and manifest.FILE in files.names(reusable.bundle):
        return _unchanged(reusable, update)
    print_message(f"train: run={run}")  # the argument that resumes this run
    report = TrainingReport(
        job=request.job,
        status=DONE,
        run=run,
        model=settings.model,
        source=request.source,
        dataset=dataset.name,
        rows=update.rows,
        seconds=update.seconds,
        snapshot=snapshot.batch,
        settings=digest,
        bundle=folder,
    )
    began = time.monotonic()
    if manifest.FILE not in files.names(folder):
        _make_bundle(dataset, request, settings, snapshot, report)
    seconds = report.seconds | {"train": round(time.monotonic() - began, 2)}
    return _evaluate_and_record(dataset, request, snapshot, dataclasses.replace(report, seconds=seconds))


def _make_bundle(
    dataset: Dataset, request: TrainingRequest, settings: TrainingSettings, snapshot: Snapshot, report: TrainingReport
) -> None:
    """Launch the ranks, and turn the run's folder into a bundle.

    Raises:
        UserError: the ranks failed because of a mistake that the user can mend.
        RankFailure: as `launcher.launch`; either is kept in `runs`.
    """
    task = prepare_task(dataset, request, settings, snapshot, report.bundle)
    try:
        result = launcher.launch(dataset.session, task)
    except RankFailure as failure:
        RunLog(dataset).record(dataclasses.replace(report, status=FAILED, error=str(failure)))
        if failure.mistake:
            raise UserError(failure.cause.partition(": ")[2]) from failure
        raise
    figures = result.figures.to_dict() | {"failures": result.failures, "launching": result.launching}
    files.write(f"{task.folder}/{FIGURES_FILE}", json.dumps(figures).encode())
    scale = dataclasses.asdict(result.figures.target) if task.kind == "target" else {}
    bundle = Manifest(
        model=task.model,
        options=task.options,
        tfidf=dataclasses.asdict(task.tfidf),
        labels=[*task.labels],
        task=TaskDescription(task.kind, **scale),
        documents=task.documents,
        features={"name": settings.feature_set} | dataclasses.asdict(settings.features),
        snapshot={"dataset": settings.dataset} | snapshot.to_dict(),
        train=dataclasses.asdict(task.train),
    )
    publish(task.folder, bundle)


def _evaluate_and_record(
    dataset: Dataset, request: TrainingRequest, snapshot: Snapshot, report: TrainingReport
) -> TrainingReport:
    """Evaluate a new bundle (not that of a search), record the run, and remove what only the training needed."""
    folder, began = report.bundle, time.monotonic()
    figures = json.loads(files.read(f"{folder}/{FIGURES_FILE}"))
    figures.pop("target")  # it is in the bundle
    validation, tested = figures.pop("validation"), None
    if request.job == TRAIN:
        assert report.run
        models = (report.model,)
        content = manifest.read_manifest(folder, models=models)
        tested = evaluate_bundle(dataset, EvaluatedBundle(folder, content, report.run, models), snapshot)
    report = dataclasses.replace(
        report,
        metrics=TrainingMetrics(validation, tested),
        train=TrainingSummary(**figures),
        seconds=report.seconds | {"evaluate": round(time.monotonic() - began, 2)},
    )
    RunLog(dataset).record(report, history.read(folder))
    for leftover in LEFTOVERS:
        files.remove_folder(f"{folder}/{leftover}")
    return report


def prepare_task(
    dataset: Dataset, request: TrainingRequest, settings: TrainingSettings, snapshot: Snapshot, folder: str
) -> Task:
    """Write the vocabulary and the note that the run has started, and return the task for the ranks.

    Raises:
        UserError: the documents do not fit the loss, no term is left, or the executors have too little memory.
    """
    session, numeric = dataset.session, settings.train.kind == "target"
    if request.several_labels and settings.train.kind != "labels":
        raise UserError("source.label_separator gives documents several labels: set train.loss=binary")
    labels = [] if numeric else sorted(snapshot.labels)
    if len(labels) < 2 and not numeric:
        raise UserError(f"training needs two different labels or more; there is {', '.join(labels) or 'none'}")
    options = dataclasses.asdict(settings.model_options)
    with spark_progress(session, "train: vocabulary"):
        num_terms = _write_vocabulary(dataset, settings, snapshot, folder)
        if not num_terms and not architecture.input_spec(settings.model, options).image:
            raise UserError("no term is left: lower tfidf.min_df or raise tfidf.max_df, or there is no train document")
    StartedRun(settings.to_dict(), settings.shards, snapshot.batch).write(folder)
    task = Task(
        files=dataset.features.paths(last=snapshot.batch),
        batch=snapshot.batch,
        documents=snapshot.train,
        labels=labels,
        model=settings.model,
        options=options,
        tfidf=settings.tfidf,
        train=settings.train,
        test_share=settings.split.test,
        validation_share=settings.split.validation,
        salt=settings.split.salt,
        folder=folder,
    )
    rank_memory.check(session, task, num_terms)
    return launcher.with_thread_share(session, task)


def _write_vocabulary(dataset: Dataset, settings: TrainingSettings, snapshot: Snapshot, folder: str) -> int:
    """Write the terms that the model reads into the run's folder; returns their number."""
    terms = select_terms(dataset, snapshot, settings.tfidf)
    content = io.BytesIO()
    pq.write_table(terms, content)
    files.write(f"{folder}/{VOCABULARY_FILE}", content.getvalue())
    return int(terms.num_rows)
