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
from pipelines.lakehouse.tables import METRICS, PREDICTIONS, RUNS
from pipelines.tracking import run_identity
from tests.conftest import documents, table, write_json

Configure = Callable[..., Config]
pytestmark = pytest.mark.submit


def test_bundles_and_snapshots_are_kept_apart(
    spark: SparkSession, tmp_path: Path, configured: Configure, trained: list[Task]
) -> None:
    """Two bundles of one name, an older snapshot after a newer one, a run that is asked for again."""
    source = [f"source.path={tmp_path}/in", "source.format=json", "source.label=label", "train.epochs=2"]
    write_json(tmp_path / "in" / "a.json", documents(100))
    good = train.run(spark, configured(*source))
    wrong = train.run(spark, configured(*source, "train.epochs=1", "train.lr=1e-9", "train.refit=false"))
    write_json(tmp_path / "in" / "b.json", documents(100, start=100))
    featurize.run(spark, configured(*source))
    for name, run in (("one", good), ("two", wrong)):
        shutil.copytree(run["bundle"].removeprefix("file://"), tmp_path / name / "model")

    def evaluated(bundle: Any, snapshot: str) -> dict[str, Any]:
        return evaluate.run(spark, configured(*source, f"bundle={bundle}", f"snapshot={snapshot}"))

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
    reused = train.run(spark, configured(*source, "train.reuse=true", "snapshot=1"))
    assert (reused["status"], reused["run"]) == ("unchanged", good["run"])
    shutil.rmtree(good["bundle"].removeprefix("file://"))
    again = train.run(spark, configured(*source, "train.reuse=true", "snapshot=1"))
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
        patched.setattr(evaluate, "score", lambda *_: (_ for _ in ()).throw(OSError("killed")))
        with pytest.raises(OSError, match="killed"):
            train.run(spark, config)
    with monkeypatch.context() as patched:
        patched.setattr(train.launcher, "launch", lambda *_: pytest.fail("trained once more"))
        done = train.run(spark, config)
    assert done["status"] == "done"
    assert done["train"]["steps"] > 0
    assert done["metrics"]["test"]["documents"] > 0
    with pytest.raises(UserError, match="run=r is finished"):
        train.run(spark, config)


def test_a_run_goes_on_with_its_own_settings_alone(tmp_path: Path, configured: Configure) -> None:
    folder = f"file://{tmp_path}/run"
    more = ["source.path=/a", "run=r"]
    assert run_identity.resumed(configured(*more), folder).train.shards == 0
    run_identity.begin(configured(*more, "train.ranks=2"), {"batch": 3}, folder)
    found = run_identity.resumed(configured(*more, "train.ranks=1", "train.threads=2"), folder)
    assert (found.train.shards, found.train.ranks, found.snapshot) == (2, 1, "3")
    for wrong, message in [
        ("train.lr=0.5", r"begun with other settings: train\.lr=0\.001"),
        ("model=logistic", r"begun with other settings: .*model\.name=mlp"),
        ("tfidf.min_df=5", r"tfidf\.min_df="),
        ("train.ranks=3", r"train\.ranks=2 or fewer"),
        ("snapshot=2", "begun with snapshot=3"),
    ]:
        with pytest.raises(UserError, match=message):
            run_identity.resumed(configured(*more, wrong), folder)
