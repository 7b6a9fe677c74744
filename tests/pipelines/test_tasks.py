"""Any number of labels a document, and a number for a document: from a file to a prediction."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import SparkSession
from sklearn.metrics import f1_score, mean_absolute_error, r2_score

from models.training.task import Task
from pipelines import compare, evaluate, predict, train
from pipelines.config import Config
from pipelines.errors import UserError
from pipelines.lakehouse.schemas import PREDICTIONS, QUARANTINE, RAW_DOCUMENTS
from tests.conftest import table

Configure = Callable[..., Config]
pytestmark = pytest.mark.spark

WORTH = {"ship": 500.0, "wave": -120.0, "field": 40.0, "barn": 260.0}
TAGS = {"ship": "sea", "wave": "sea", "field": "land", "barn": "land", "storm": "weather"}


def write_rows(path: Path) -> list[dict[str, str]]:
    """Texts of three words out of five, with what they are worth and what they are about; three rows are bad."""
    draw = np.random.default_rng(0)
    rows = []
    for number in range(400):
        words = [str(word) for word in draw.choice(list(TAGS), 3, replace=False)]
        price = 1000 + sum(WORTH.get(word, 0.0) for word in words)
        text = f"{' '.join(words)} number{number}"
        rows.append({"text": text, "price": f"{price}", "tags": ", ".join(sorted({TAGS[word] for word in words}))})
    bad = [{"price": ""}, {"price": "much"}, {"price": "nan"}]
    path.parent.mkdir(parents=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["text", "price", "tags"])
        writer.writeheader()
        writer.writerows(rows + [{"text": f"bad {n}", "tags": "sea"} | row for n, row in enumerate(bad)])
    return rows


def test_a_number_is_learnt(spark: SparkSession, tmp_path: Path, configured: Configure, trained: list[Task]) -> None:
    rows = write_rows(tmp_path / "in" / "a.csv")
    source = [f"source.path={tmp_path}/in", "source.format=csv", "source.target=price", "model=linear"]
    result = train.run(spark, configured(*source, "tfidf.norm=none", "tfidf.min_df=2")).to_dict()
    assert result["rows"] == {"read": 403, "kept": 400, "quarantined": 3, "duplicates": 0, "two_labels": 0}
    reasons = table(spark, configured(*source), QUARANTINE).select("reason").toPandas()["reason"]
    assert sorted(reasons) == ["no target", "the target is not a number", "the target is not a number"]
    kept = {row["text"]: row["target"] for row in table(spark, configured(*source), RAW_DOCUMENTS).collect()}
    assert kept == {row["text"]: float(row["price"]) for row in rows}

    found = table(spark, configured(*source), PREDICTIONS).toPandas()
    assert found[["predicted", "probability", "predicted_labels"]].isna().all().all()
    true, said = found["target"], found["predicted_value"]
    figures = result["metrics"]["test"]
    assert figures["documents"] == len(found) > 20
    assert figures["mae"] == pytest.approx(mean_absolute_error(true, said))
    assert figures["r2"] == pytest.approx(r2_score(true, said))
    assert figures["r2"] > 0.95
    assert figures["rmse"] == pytest.approx(float(np.sqrt(((true - said) ** 2).mean())))
    assert figures["rmse_of_mean"] == pytest.approx(float(true.std(ddof=0)))
    assert 0 < result["metrics"]["validation"]["rmse"] < 0.3 * figures["rmse_of_mean"]

    manifest = json.loads(Path(result["bundle"].removeprefix("file://"), "model.json").read_text())
    assert (manifest["labels"], manifest["task"]["kind"]) == ([], "target")
    assert manifest["task"]["std"] == pytest.approx(figures["rmse_of_mean"], rel=0.3)
    done = predict.run(spark, configured(*source[:2], f"bundle={result['bundle']}", f"output={tmp_path}/out")).to_dict()
    assert done["rows"] == {"read": 403, "predicted": 403, "rejected": 0}  # prediction needs no target
    values = spark.read.format("delta").load(f"{tmp_path}/out").toPandas()["predicted_value"]
    assert 500 < values.min() < values.max() < 2000
    with pytest.raises(UserError, match="linear predicts a number"):
        compare.run(spark, configured(*source, "models=[logistic,linear]"))


def test_any_number_of_labels_is_learnt(
    spark: SparkSession, tmp_path: Path, configured: Configure, trained: list[Task]
) -> None:
    rows = write_rows(tmp_path / "in" / "a.csv")
    source = [f"source.path={tmp_path}/in", "source.format=csv", "source.label=tags", "source.label_separator=,"]
    more = ["model=logistic", "train.loss=binary", "train.epochs=40"]
    more += ["train.label_smoothing=0", "tfidf.min_df=2", "tfidf.norm=none"]
    result = train.run(spark, configured(*source, *more)).to_dict()
    kept = {row["text"]: row["labels"] for row in table(spark, configured(*source), RAW_DOCUMENTS).collect()}
    assert {text: ", ".join(labels) for text, labels in kept.items() if "bad" not in text} == {
        row["text"]: row["tags"] for row in rows
    }
    found = table(spark, configured(*source), PREDICTIONS).toPandas()
    assert found[["predicted", "probability", "predicted_value"]].isna().all().all()
    names = ["land", "sea", "weather"]
    true, said = (
        np.array([[name in labels for name in names] for labels in found[column]])
        for column in ("labels", "predicted_labels")
    )
    figures = result["metrics"]["test"]
    assert figures["documents"] == len(found) > 20
    assert figures["accuracy"] == (true == said).all(1).mean() > 0.9
    for average in ("micro", "macro"):
        assert figures[f"{average}_f1"] == pytest.approx(f1_score(true, said, average=average, zero_division=0))
        assert figures[f"{average}_f1"] > 0.9
    assert {name: figures["classes"][name]["support"] for name in names} == dict(
        zip(names, true.sum(0).tolist(), strict=True)
    )
    assert set(result["metrics"]["validation"]) == {"loss", "accuracy", "micro_f1", "macro_f1"}
    again = evaluate.run(spark, configured(*source, f"bundle={result['bundle']}")).to_dict()
    assert again["metrics"]["test"] == figures
    done = predict.run(spark, configured(*source[:2], f"bundle={result['bundle']}", f"output={tmp_path}/out")).to_dict()
    assert done["rows"] == {"read": 403, "predicted": 403, "rejected": 0}
    out = spark.read.format("delta").load(f"{tmp_path}/out")
    assert out.where("predicted_labels is null").count() == 0
    assert out.where("size(predicted_labels) > 1").count() > 100


def test_what_a_task_cannot_do_is_one_sentence(
    spark: SparkSession, tmp_path: Path, configured: Configure, trained: list[Task]
) -> None:
    write_rows(tmp_path / "in" / "a.csv")
    source = [f"source.path={tmp_path}/in", "source.format=csv"]
    wrong: dict[str, list[str]] = {
        "no column is named 'prize'": ["source.target=prize"],
        "two different labels or more": ["source.target=price"],
        "several labels: set train.loss=binary": ["source.label=tags", "source.label_separator=,"],
        "class_weights needs": ["source.label=tags", "train.loss=binary", "train.class_weights=balanced"],
    }
    for said, arguments in wrong.items():
        with pytest.raises(UserError, match=said):
            train.run(spark, configured(*source, *arguments))
    with pytest.raises(ValueError, match="no document with a target"):
        train.run(spark, configured(*source, "source.label=tags", "dataset=tags", "model=linear"))
    with pytest.raises(UserError, match=r"source\.target names a column"):
        configured(f"source.path={tmp_path}/in", "source.target=price")
