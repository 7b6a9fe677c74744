"""A report fits one screen, however many classes there are; nothing of it is cut but matrices and classes."""

import json
from pathlib import Path

import pytest

from pipelines.evaluation.prediction_metrics import RegressionEvaluation, single_label_metrics
from pipelines.job.screen import MOST_CLASSES, WIDTH, render
from pipelines.tracking.reports import RowCounts, TrainingMetrics, TrainingReport, TrainingSummary

LINES, COLUMNS = 24, 100  # of a terminal window


def report(classes: int, bundle: str = "file:///lake/set/bundles/20261128-120000-abcd") -> TrainingReport:
    """A training's report on a test document a class, each of which is taken for the first class."""
    names = [f"class {number}" for number in range(classes)]
    tested = single_label_metrics((([name], names[0]) for name in names), names)
    return TrainingReport(
        job="train",
        status="done",
        run="20261128-120000-abcd",
        model="mlp",
        source="files",
        dataset="set",
        rows=RowCounts(2225, 2224, 1, 100, 0),
        seconds={"session": 4.06, "ingest": 10.5, "clean": 4.5, "featurize": 2.8, "train": 23.76, "evaluate": 5.33},
        snapshot=1,
        settings="074f9769fd3b6d13",
        bundle=bundle,
        metrics=TrainingMetrics({"loss": 0.144, "accuracy": 0.9858, "macro_f1": 0.9841}, tested),
        train=TrainingSummary(
            ranks=1,
            shards=1,
            steps=855,
            resumed_at=0,
            epochs=15,
            loss=0.2399,
            documents=1898,
            parameters=4121349,
            memory_mb=509,
            stepping=9.3,
            seen=53775,
            seconds=12.2,
            failures=0,
            launching=11.5,
        ),
    )


@pytest.mark.parametrize("classes", [2, 5, 20, 3000])
def test_a_report_fits_one_screen(classes: int) -> None:
    lines = render(report(classes)).splitlines()
    assert len(lines) <= LINES
    assert max(map(len, lines)) <= COLUMNS == WIDTH
    shown = [line for line in lines if line.startswith("  class ")]
    assert len(shown) == min(classes, MOST_CLASSES)
    assert ("classes with a higher F1" in lines[-2]) == (classes > MOST_CLASSES)


def test_the_values_that_people_look_for_are_there() -> None:
    text = " ".join(render(report(5)).split())
    for value in (
        "train done, run 20261128-120000-abcd",
        "model mlp, source files, dataset set, snapshot 1",
        "read 2,225, kept 2,224, quarantined 1, duplicates 100",
        "loss 0.1440, accuracy 0.9858",
        "accuracy 0.2000, 95 % interval",
        "bundle file:///lake/set/bundles/20261128-120000-abcd",
    ):
        assert value in text, value


def test_a_long_address_stays_whole() -> None:
    address = "hdfs://name-node.example.org:8020/" + "a" * 120
    assert f" {address}" in render(report(2, address)).splitlines()[-1]


def test_a_number_has_its_metrics() -> None:
    tested = RegressionEvaluation(documents=7, rmse=1.5, mae=1.25, r2=0.5, rmse_of_mean=3.0)
    text = render(TrainingReport(**{**vars(report(2)), "metrics": TrainingMetrics(None, tested)}))
    assert "validation  no document" in text
    assert "RMSE 1.5000, MAE 1.2500, R² 0.5000, RMSE of the mean 3.0000, documents 7" in text


@pytest.mark.parametrize(("classes", "has_matrix"), [(50, True), (51, False)])
def test_a_large_confusion_matrix_is_left_to_the_table(classes: int, has_matrix: bool, tmp_path: Path) -> None:
    content = json.loads(report(classes).to_json())["metrics"]["test"]
    assert ("confusion" in content) == has_matrix
    assert len(content["classes"]) == classes


def test_a_report_is_read_back_as_it_was() -> None:
    before = report(3)
    assert TrainingReport.from_json(before.to_json()).to_dict() == before.to_dict()
