"""Lakes that differ anywhere are not taken for equal."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from tests.lakes import assert_equal_lakes

Tables = dict[str, list[dict[str, Any]]]


def write(folder: Path, dataset: str, tables: Tables, *, weights: bytes = b"weights") -> None:
    """A data set of those tables, with one bundle."""
    for name, rows in tables.items():
        write_deltalake(str(folder / dataset / name), pa.Table.from_pylist(rows))
    bundle = folder / dataset / "bundles" / "first"
    bundle.mkdir(parents=True)
    (bundle / "weights.safetensors").write_bytes(weights)


def tables(dataset: str, run: str, *, seconds: float = 1.0, accuracy: float = 1.0) -> Tables:
    """What a training leaves."""
    report = {
        "run": run,
        "dataset": dataset,
        "bundle": f"file:///lake/{dataset}/bundles/first",
        "seconds": {"train": seconds},
        "metrics": {"test": {"accuracy": accuracy}},
    }
    speed = {"run": run, "step": 1, "name": "train.documents_per_second", "value": seconds}
    return {
        "silver/documents": [{"batch": 1, "id": "a", "text": "ship"}, {"batch": 1, "id": "b", "text": "{barn"}],
        "runs": [{"run": run, "job": "train", "report": json.dumps(report)}],
        "metrics": [{"run": run, "step": 1, "name": "train.loss", "value": 0.5}, speed],
    }


FIRST, SECOND = "20261128-072031-1308", "20261128-072027-2d0a"


def test_names_and_measurements_may_differ(tmp_path: Path) -> None:
    write(tmp_path, "one", tables("one", FIRST))
    write(tmp_path, "other", tables("other", SECOND, seconds=2.0))
    assert_equal_lakes(tmp_path, "one", "other")


@pytest.mark.parametrize(
    "changed",
    [
        {"metrics": [{"run": SECOND, "step": 1, "name": "train.loss", "value": 0.25}]},
        {"metrics": [{"run": SECOND, "step": 1, "name": "train.documents_per_second", "value": 1.0}]},
        {"runs": tables("other", SECOND, accuracy=0.5)["runs"]},
        {"runs": 2 * tables("other", SECOND)["runs"]},
        {"silver/documents": [{"batch": 1, "id": "a", "text": "ship"}, {"batch": 1, "id": "c", "text": "{barn"}]},
        {"predictions": [{"run": SECOND}]},
    ],
    ids=["a-figure", "no-metrics", "a-report", "a-run-twice", "an-id", "another-table"],
)
def test_tables_that_differ_are_noticed(tmp_path: Path, changed: Tables) -> None:
    write(tmp_path, "one", tables("one", FIRST))
    write(tmp_path, "other", tables("other", SECOND) | changed)
    with pytest.raises(AssertionError):
        assert_equal_lakes(tmp_path, "one", "other")


def test_weights_that_differ_are_noticed(tmp_path: Path) -> None:
    write(tmp_path, "one", tables("one", FIRST))
    write(tmp_path, "other", tables("other", SECOND), weights=b"others")
    with pytest.raises(AssertionError, match=r"first/weights\.safetensors"):
        assert_equal_lakes(tmp_path, "one", "other")
