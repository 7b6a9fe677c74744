"""Predictions belong to one bundle and one snapshot; a bundle goes on being what it was."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from models.training.task import Task
from pipelines import evaluate, featurize, train
from pipelines.config import Config
from pipelines.errors import UserError
from pipelines.job.resolve import training_settings
from pipelines.lakehouse.schemas import METRICS, PREDICTIONS, RUNS
from pipelines.launch import launcher
from pipelines.stages import training
from pipelines.tracking.run_identity import StartedRun, TrainingSettings, resume
from tests.conftest import documents, table, write_json

Configure = Callable[..., Config]
pytestmark = pytest.mark.submit


def test_bundles_and_snapshots_are_kept_apart(
    spark: SparkSession, tmp_path: Path, configured: Configure, trained: list[Task]
) -> None:
    """Two bundles of one name, an older snapshot after a newer one, a run that is asked for again."""
    source = [f"source.path={tmp_path}/in", "source.format=json", "source.label=label", "train.epochs=2"]
    write_json(tmp_path / "in" / "a.json", documents(100))
    good = train.run(spark, configured(*source)).to_dict()
    wrong = train.run(spark, configured(*source, "train.epochs=1", "train.lr=1e-9", "train.refit=false")).to_dict()
    write_json(tmp_path / "in" / "b.json", documents(100, start=100))
    featurize.run(spark, configured(*source))
    for name, run in (("one", good), ("two", wrong)):
        shutil.copytree(run["bundle"].removeprefix("file://"), tmp_path / name / "model")

    def evaluated(bundle: Any, snapshot: str) -> dict[str, Any]:
        return evaluate.run(spark, configured(*source, f"bundle={bundle}", f"snapshot={snapshot}")).to_dict()

    newest = evaluated(tmp_path / "one" / "model", "latest")
    assert (newest["status"], newest["snapshot"]) == ("done", 2)
    older = evaluated(tmp_path / "one" / "model", "1")
    assert older["status"] == "done"
    assert older["metrics"]["test"] == good["metrics"]["test"]
    assert evaluated(tmp_path / "two" / "model", "1")["metrics"]["test"] == wrong["metrics"]["test"]
    assert wrong["metrics"]["test"] != good["metrics"]["test"]
    assert evaluated(tmp_path / "one" / "model", "1")["status"] == "unchanged"
    assert evaluated(good["bundle"], "1")["status"] == "unchanged"
    counts = table(spark, configured(*source), PREDICTIONS).groupBy("run", "snapshot").count().collect()
    assert len(counts) == 5
    steps = table(spark, configured(*source), METRICS).where(f"run = '{good['run']}' and name = 'train.loss'")
    assert steps.where("step is not null").count() == good["train"]["steps"]
    kept = table(spark, configured(*source), RUNS).where("job = 'train'")
    assert {row["status"] for row in kept.collect()} == {"done"}

    with pytest.raises(UserError, match="is finished"):
        train.run(spark, configured(*source, f"run={good['run']}"))
    reused = train.run(spark, configured(*source, "train.reuse=true", "snapshot=1")).to_dict()
    assert (reused["status"], reused["run"]) == ("unchanged", good["run"])
    shutil.rmtree(good["bundle"].removeprefix("file://"))
    again = train.run(spark, configured(*source, "train.reuse=true", "snapshot=1")).to_dict()
    assert again["run"] != good["run"]
    assert len(trained) == 3


def test_a_driver_that_ends_before_the_evaluation_loses_nothing(
    spark: SparkSession, tmp_path: Path, configured: Configure, trained: list[Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_json(tmp_path / "in" / "a.json", documents(60))
    config = configured(
        f"source.path={tmp_path}/in", "source.format=json", "source.label=label", "train.epochs=1", "run=r"
    )
    with monkeypatch.context() as patched:
        patched.setattr(training, "evaluate_bundle", lambda *_: (_ for _ in ()).throw(OSError("killed")))
        with pytest.raises(OSError, match="killed"):
            train.run(spark, config)
    with monkeypatch.context() as patched:
        patched.setattr(launcher, "launch", lambda *_: pytest.fail("trained once more"))
        done = train.run(spark, config).to_dict()
    assert done["status"] == "done"
    assert done["train"]["steps"] > 0
    assert done["metrics"]["test"]["documents"] > 0
    with pytest.raises(UserError, match="run=r is finished"):
        train.run(spark, config)


def test_a_run_is_resumed_with_its_own_settings_alone(tmp_path: Path, configured: Configure) -> None:
    folder = f"file://{tmp_path}/run"

    def resumed(*arguments: str) -> tuple[TrainingSettings, str]:
        config = configured("source.path=/a", "run=r", *arguments)
        return resume("r", folder, training_settings(config), config.snapshot)

    assert resumed()[0].train.shards == 0
    started = training_settings(configured("source.path=/a", "train.ranks=2"))
    StartedRun(started.to_dict(), started.shards, 3).write(folder)
    settings, snapshot = resumed("train.ranks=1", "train.threads=2")
    assert (settings.train.shards, settings.train.ranks, snapshot) == (2, 1, "3")
    for wrong, message in [
        ("train.lr=0.5", r"started with other settings: train\.lr=0\.001"),
        ("model=logistic", r"started with other settings: .*model\.name=mlp"),
        ("tfidf.min_df=5", r"tfidf\.min_df="),
        ("train.ranks=3", r"train\.ranks=2 or fewer"),
        ("snapshot=2", "started with snapshot=3"),
    ]:
        with pytest.raises(UserError, match=message):
            resumed(wrong)
