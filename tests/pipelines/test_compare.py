"""Models side by side: what is equal is not trained again, and nothing is chosen by the test split."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from models.training import metrics
from models.training.task import Task
from pipelines import compare, ensemble
from pipelines.config import Config, load
from pipelines.errors import UserError
from pipelines.evaluation import comparison_table
from pipelines.lakehouse.schemas import PREDICTIONS, RUNS
from tests.conftest import documents, table, write_json

Configure = Callable[..., Config]
pytestmark = pytest.mark.spark


def test_models_are_compared_once(
    spark: SparkSession, tmp_path: Path, configured: Configure, trained: list[Task]
) -> None:
    rows = documents(200)
    for number in range(0, 200, 7):  # some that no model can tell
        rows[number]["label"] = "other"
    write_json(tmp_path / "in" / "a.json", rows)
    source = [f"source.path={tmp_path}/in", "source.format=json", "source.label=label", "train.epochs=2"]
    (tmp_path / "results.csv").write_text(
        "dataset,features,model,seed,accuracy,command\nfiles,words,mlp,1,0.0,old\nr8,words,mlp,0,0.97,kept\n"
    )
    config = configured(*source, "models=[logistic,mlp]", "seeds=2", "split.test=0.3", f"output={tmp_path}/results.csv")
    with pytest.raises(UserError, match="is not a comparison's CSV file"):
        compare.run(spark, config)
    assert not trained
    old = ",".join(["files", "words", "mlp", "1", *["0"] * (len(comparison_table.HEADER) - 5), "old"])
    (tmp_path / "results.csv").write_text(
        "\n".join([",".join(comparison_table.HEADER), old, old.replace("files", "r8")]) + "\n"
    )
    report = compare.run(spark, config)
    result = report.to_dict()
    assert [(task.model, task.train.seed) for task in trained] == [
        ("logistic", 0),
        ("logistic", 1),
        ("mlp", 0),
        ("mlp", 1),
    ]
    assert len({task.batch for task in trained}) == 1
    for row in result["trainings"]:
        predicted = table(spark, config, PREDICTIONS).where(f"run = '{row['run']}'")
        hits = predicted.where("labels[0] = predicted").count()
        assert row["accuracy"] == hits / predicted.count()
    assert {row["model"]: row["seeds"] for row in result["models"]} == {"logistic": 2, "mlp": 2}
    (pair,) = result["differences"]
    first = {row["model"]: row["run"] for row in result["trainings"] if row["seed"] == 0}
    one, other = (
        {
            row["id"]
            for row in table(spark, config, PREDICTIONS)
            .where(f"run = '{first[name]}' and labels[0] = predicted")
            .select("id")
            .collect()
        }
        for name in ("logistic", "mlp")
    )
    assert (pair["only_one"], pair["only_other"]) == (len(one - other), len(other - one))
    assert pair["p"] == metrics.mcnemar_p_value(len(one - other), len(other - one))
    shown = compare.render(report).splitlines()
    assert shown[0].split()[:3] == ["model", "seeds", "accuracy"]
    assert [line.split()[0] for line in shown[1:3]] == ["logistic", "mlp"]

    with (tmp_path / "results.csv").open() as stream:
        kept = {(row["dataset"], row["model"], row["seed"]): row for row in csv.DictReader(stream)}
    assert len(kept) == 5
    assert kept["r8", "mlp", "1"]["command"] == "old"
    for row in result["trainings"]:
        assert float(kept["files", row["model"], str(row["seed"])]["accuracy"]) == row["accuracy"]
    command = kept["files", "mlp", "1"]["command"].split()
    assert command[:2] == ["spark-submit", "pipelines/train.py"]
    assert command[-2:] == ["model=mlp", "train.seed=1"]
    assert load(command[2:]).train.epochs == 2

    again = compare.run(spark, config).to_dict()
    assert len(trained) == 4
    assert [row["accuracy"] for row in again["trainings"]] == [row["accuracy"] for row in result["trainings"]]

    folders = ",".join(f"{tmp_path}/lake/files/bundles/{run}" for run in first.values())
    united = ensemble.run(spark, configured(*source, "split.test=0.3", f"bundles=[{folders}]")).to_dict()
    predicted = table(spark, config, PREDICTIONS).where(f"run = '{united['run']}'")
    assert united["metrics"]["test"]["documents"] == predicted.count() > 40
    with pytest.raises(UserError, match=f"run={first['mlp']} already exists"):
        ensemble.run(spark, configured(*source, "split.test=0.3", f"bundles=[{folders}]", f"run={first['mlp']}"))
    with pytest.raises(UserError, match="two bundles or more"):
        ensemble.run(spark, configured(*source, "split.test=0.3", f"bundles=[{folders.split(',')[0]}]"))


def test_a_grid_is_searched_by_validation_alone(
    spark: SparkSession, tmp_path: Path, configured: Configure, trained: list[Task]
) -> None:
    """Of a useless learning rate and a good one; a model without dropout is not asked for its dropout."""
    write_json(tmp_path / "in" / "a.json", documents(200))
    source = [f"source.path={tmp_path}/in", "source.format=json", "source.label=label", "train.epochs=3"]
    grid = "grid=[train.lr=1e-9|0.01,model.dropout=0.1|0.3]"
    config = configured(*source, "models=[logistic,mlp]", grid)
    result = compare.run(spark, config).to_dict()
    searched = [(task.model, task.train.lr, task.options.get("dropout")) for task in trained]
    expected = [("logistic", rate, None) for rate in (1e-9, 0.01)] + [("logistic", 0.01, None)]
    assert searched[:3] == expected
    assert searched[3:7] == [("mlp", rate, dropout) for rate in (1e-9, 0.01) for dropout in (0.1, 0.3)]
    assert len(searched) == 8
    assert searched[7] in [("mlp", 0.01, dropout) for dropout in (0.1, 0.3)]
    assert result["trainings"][0]["settings"] == ["train.lr=0.01"]
    scored = {row["run"] for row in table(spark, config, PREDICTIONS).select("run").distinct().collect()}
    assert scored == {row["run"] for row in result["trainings"]}
    jobs = [row["job"] for row in table(spark, config, RUNS).collect()]
    assert (jobs.count("search"), jobs.count("train")) == (6, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], r"^models=\[<name>,\.\.\.\] is missing"),
        (["models=[mlq]"], "no model is named 'mlq'; did you mean 'mlp'"),
        (["models=[mlp,mlp]"], "names a model twice"),
        (["models=[mlp]", "seeds=0"], "seeds must be 1 or more"),
        (["models=[mlp]", "grid=[train.lr]"], "'train.lr' of grid= is not of the form"),
        (["models=[mlp]", "grid=[train.ls=1|2]"], "unknown key 'train.ls'; did you mean 'train.loss'"),
        (["models=[logistic]", "grid=[model.dropout=0.1|0.2]"], "model.dropout belongs to model=.*, not to logistic"),
        (["models=[logistic,mlp]", "grid=[model.dropout=0.1|2]"], "model.dropout must be from 0 to below 1"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    spark: SparkSession, tmp_path: Path, configured: Configure, arguments: list[str], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        compare.run(spark, configured(f"source.path={tmp_path}", *arguments))
    assert not (tmp_path / "lake").exists()


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [(0, 0, 1.0), (5, 5, 1.0), (0, 5, 0.0625), (1, 9, 22 / 1024), (10, 30, 0.002221), (600, 700, 0.0060158)],
)
def test_mcnemar(one: int, other: int, expected: float) -> None:
    """The last two by scipy.stats.binomtest."""
    assert (
        metrics.mcnemar_p_value(one, other) == metrics.mcnemar_p_value(other, one) == pytest.approx(expected, rel=1e-3)
    )
