"""compare: models trained on one snapshot, side by side: accuracy, cost, and which differences are more than chance."""

import dataclasses
import itertools
import math
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pyarrow.compute as pc
from pyspark.sql import SparkSession

from models.bundles import bundle as bundles
from models.bundles import weights
from models.bundles.manifest import FILE as MANIFEST
from models.dataset import vocabulary
from models.dataset.feature_reader import columns_for, stored_documents
from models.storage import files
from models.training import metrics
from pipelines import featurize, train
from pipelines.config import Config, load
from pipelines.errors import UserError
from pipelines.evaluation import bundle_scoring, comparison_table, prediction_metrics
from pipelines.job.cli import main
from pipelines.lakehouse import locks, parquet_scan, tables
from pipelines.lakehouse.tables import FEATURES, Lake
from pipelines.tracking import run_identity, run_log

LEVEL = 0.05  # below which a difference is called more than chance
SAMPLE = 2000  # test documents whose scoring is timed


def run(spark: SparkSession, config: Config) -> dict[str, Any]:
    """Train each of `models=` with `seeds=` seeds on one snapshot, and compare what they predict for its test split.

    With `grid=` each model's settings are searched first, by validation alone. What was trained by an earlier, equal
    comparison is taken from it, and a training that was stopped goes on. `output=` names a CSV file that gets a row a
    training, in the place of an older one of the same data set, features, model and seed.

    Raises:
        UserError: no models, an unknown one, a key of the grid that none of them has; see `train.run`.
    """
    check(config)
    lake, identity = tables.of(config), run_log.new_run()
    before = featurize.update(spark, config)
    # Held so that `maintain` knows that somebody reads; no other job has this name.
    with locks.run(spark, lake.folder, identity, config.overlapping):
        return held(spark, config, lake, identity, before)


def held(spark: SparkSession, config: Config, lake: Lake, identity: str, before: dict[str, Any]) -> dict[str, Any]:
    """`run`, the tables up to date, as the report `before` says."""
    snapshot = tables.snapshot(spark, lake, config.snapshot)
    began = time.monotonic()
    rows: list[dict[str, Any]] = []
    for name in config.models:
        chosen = search(spark, config, name, snapshot)
        for seed in range(config.seeds):
            done = trained(spark, variant(config, name, snapshot, *chosen, f"train.seed={seed}"), snapshot)
            rows.append(row(spark, lake, snapshot, done) | {"seed": seed, "settings": chosen})
    result = {
        "job": "compare",
        "status": "done",
        "run": identity,
        "source": config.names.source,
        "dataset": lake.dataset,
        "snapshot": snapshot["batch"],
        "trainings": rows,
        "models": comparison_table.summaries(rows),
        "differences": differences(spark, lake, snapshot, rows),
        "seconds": before["seconds"] | {"compare": round(time.monotonic() - began, 2)},
    }
    run_log.keep(spark, lake, result)
    if config.output:
        comparison_table.record(config, rows)
    return result


def check(config: Config) -> None:
    """Refuse what cannot be compared, before any work.

    Raises:
        UserError: so.
    """
    if not config.models:
        raise UserError("models=[<name>,...] is missing: the models to compare")
    if config.seeds < 1:
        raise UserError(f"seeds must be 1 or more, not {config.seeds}")
    if len(set(config.models)) < len(config.models):
        raise UserError("models= names one model twice")
    comparison_table.check(config.output)
    for name in config.models:
        _check_labels(load([*config.arguments, f"model={name}"]), name)
    for axis in config.grid:
        takers = [name for name in config.models if takes(config, name, axis)] or config.models[:1]
        for name, value in itertools.product(takers, values(axis)):
            _check_labels(load([*config.arguments, f"model={name}", value]), name)  # says what is wrong with it


def _check_labels(config: Config, name: str) -> None:
    if config.train.loss == "mse":
        raise UserError(f"models are compared by the labels that they find; {name} learns a number")


def values(axis: str) -> list[str]:
    """The arguments that an axis of the grid stands for: `key=a|b` is `key=a` and `key=b`.

    Raises:
        UserError: it has no value.
    """
    key, _, given = axis.partition("=")
    if not given:
        raise UserError(f"'{axis}' of grid= is not of the form key=value|value")
    return [f"{key}={value}" for value in given.split("|")]


def takes(config: Config, name: str, axis: str) -> bool:
    """Whether a model has an axis's key: `model.dropout=0.3|0.5` is nothing to one without dropout."""
    for value in values(axis):
        with suppress(UserError):
            load([*config.arguments, f"model={name}", value])
            return True
    return False


def variant(config: Config, name: str, snapshot: dict[str, Any], *arguments: str) -> Config:
    """The configuration of one training."""
    fixed = [f"model={name}", f"snapshot={snapshot['batch']}", "run=", "bundle=", "report=", "output="]
    return load([*config.arguments, *fixed, *arguments])


def search(spark: SparkSession, config: Config, name: str, snapshot: dict[str, Any]) -> list[str]:
    """The point of the grid whose validation accuracy is highest, of equal ones that of the lowest loss; none without
    a grid. Nothing is learnt of the test split: candidates are not evaluated on it.
    """
    axes = [values(axis) for axis in config.grid if takes(config, name, axis)]
    points = [list(point) for point in itertools.product(*axes)]
    if len(points) < 2:
        return points[0]
    found = []
    for point in points:
        candidate = variant(config, name, snapshot, "train.refit=false", *point)
        done = trained(spark, candidate, snapshot, job=train.SEARCH)
        reached = done["metrics"]["validation"]
        if reached is None:
            raise UserError("grid= needs documents for validation: split.validation=0 leaves none")
        found.append((-reached.get("accuracy", 0.0), reached["loss"], point))
    return min(found)[2]


def trained(spark: SparkSession, config: Config, snapshot: dict[str, Any], *, job: str = train.TRAIN) -> dict[str, Any]:
    """The report of a training, which an earlier comparison may have finished or begun."""
    identity = f"{job}-{config.names.model}-{config.train.seed}-{run_identity.digest(config, snapshot)}"
    done = run_log.finished(spark, tables.of(config), identity)
    return done or train.run(spark, dataclasses.replace(config, run=identity), job=job)


def row(spark: SparkSession, lake: Lake, snapshot: dict[str, Any], done: dict[str, Any]) -> dict[str, Any]:
    """One training's figures.

    Raises:
        UserError: there is no test document.
    """
    test, trained = done["metrics"]["test"], done["train"]
    if not test:
        raise UserError("there is no labelled test document to compare models on: see split.test")
    folder = done["bundle"]
    names = (weights.FILE, vocabulary.FILE, MANIFEST)
    return {
        "model": done["model"],
        "run": done["run"],
        "accuracy": test["accuracy"],
        "low": test["interval"][0],
        "high": test["interval"][1],
        "macro_f1": test["macro_f1"],
        "parameters": trained["parameters"],
        "train_seconds": done["seconds"]["train"],
        "trained_per_second": round(trained["seen"] / trained["stepping"]),
        "scored_per_second": round(scored_per_second(spark, lake, snapshot, folder)),
        "megabytes": round(sum(files.length(f"{folder}/{name}") for name in names) / 2**20, 1),
    }


def scored_per_second(spark: SparkSession, lake: Lake, snapshot: dict[str, Any], folder: str) -> float:
    """Test documents a second that a bundle scores in one process, from decoded rows; the better of two passes."""
    bundle = bundle_scoring.load(folder)
    columns = ["split", *columns_for(bundle.input_spec)]
    for path in tables.file_paths(spark, lake, FEATURES, last=snapshot["batch"]):
        for found in parquet_scan.rows(path, columns, last=snapshot["batch"]):
            tests = found.filter(pc.equal(found["split"], "test")).slice(0, SAMPLE)
            if tests.num_rows:
                return float(tests.num_rows / min(_seconds(bundle, tests) for _ in range(2)))
    return math.nan


def _seconds(bundle: bundles.Bundle | bundles.Ensemble, tests: Any) -> float:
    began = time.perf_counter()
    bundle.score(stored_documents(tests))
    return time.perf_counter() - began


def differences(
    spark: SparkSession, lake: Lake, snapshot: dict[str, Any], rows: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Each pair of models by their first seed: how many test documents only one of them has right, and McNemar's p.

    `more_than_chance` allows for the number of pairs (Holm, 1979).
    """
    first = [row for row in rows if row["seed"] == 0]
    right = {row["model"]: correct(spark, lake, snapshot, row["run"]) for row in first}
    pairs = []
    for one, other in itertools.combinations(right, 2):
        only = len(right[one] - right[other]), len(right[other] - right[one])
        pairs.append(
            {
                "one": one,
                "other": other,
                "only_one": only[0],
                "only_other": only[1],
                "p": metrics.mcnemar_p_value(*only),
            }
        )
    holds = True
    for place, pair in enumerate(sorted(pairs, key=lambda pair: float(pair["p"]))):
        holds = holds and pair["p"] * (len(pairs) - place) < LEVEL
        pair["more_than_chance"] = holds
    return pairs


def correct(spark: SparkSession, lake: Lake, snapshot: dict[str, Any], run: str) -> set[str]:
    """The ids of the test documents that a run has right."""
    found: set[str] = set()
    columns = ["id", "labels", "predicted", "predicted_labels"]
    for some in prediction_metrics.predictions(spark, lake, run, snapshot["batch"], columns):
        for row in some.to_pylist():
            several = row["predicted_labels"]
            right = row["labels"][0] == row["predicted"] if several is None else {*row["labels"]} == {*several}
            found.update([row["id"]] if right else [])
    return found


if __name__ == "__main__":
    main("compare", run, __doc__, show=comparison_table.table)
