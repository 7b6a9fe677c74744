"""What version 0.1.0 wrote is read by this one: its tables, bundles and stopped run (`make.py` says what they are).

As users do, by commands and from Python: these hold whatever the modules below the jobs are called.
"""

import hashlib
import json
import math
import shutil
import struct
from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from pipelines.config import load
from tests.compatibility.make import processor

pytestmark = pytest.mark.submit
ROOT = Path(__file__).resolve().parents[2]
OLD = Path(__file__).resolve().parent / "v0.1"
EXPECTED: dict[str, Any] = json.loads((OLD / "expected.json").read_text())
NOTES: list[str] = EXPECTED["arguments"]["notes"]
PLACE = Path(EXPECTED["place"])  # where its tables say that their files were
# Sums of floats are rounded in other ways by other processors: there results are close, here equal.
TOLERANCE = 0.0 if EXPECTED["processor"] == processor() else 1e-4


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the old lake, which the tests below change one after the other; its inputs lie where they lay."""
    for name in ("inputs/in", "lake/notes/bundles/finished"):  # equal for all who test here at the same time
        shutil.copytree(OLD / name, PLACE / name, dirs_exist_ok=True)
    return Path(shutil.copytree(OLD / "lake", tmp_path_factory.mktemp("compatibility") / "lake"))


def test_a_finished_run_is_found_again(spark: SparkSession, lake: Path) -> None:
    report = run(spark, "train", f"lake={lake}", *NOTES, *EXPECTED["arguments"]["finished"], "train.reuse=true")
    assert (report["status"], report["run"]) == ("unchanged", "finished")
    assert report["settings"] == EXPECTED["settings"]["finished"]
    assert report["rows"]["read"] == 0, "files were taken that are in the lake already"


def test_another_file_is_a_third_batch_and_old_rows_stay(spark: SparkSession, lake: Path) -> None:
    before = rows(lake)
    assert {place: len(found) for place, found in before.items()} == EXPECTED["tables"]
    more = f"source.path={OLD}/inputs/more"
    report = run(spark, "evaluate", f"lake={lake}", f"bundle={lake}/notes/bundles/finished", *NOTES, more)
    assert report["rows"] == {"read": 5, "kept": 4, "quarantined": 1, "duplicates": 1, "two_labels": 0}
    assert report["snapshot"] == 3
    after = rows(lake)
    assert after.keys() == before.keys()
    for place, found in before.items():
        assert not counted(found) - counted(after[place]), f"old rows of {place} are gone"
    for place in (name for name in before if name.startswith(("notes/bronze", "notes/silver", "notes/gold"))):
        assert {row["batch"] for row in after[place]} == {1, 2, 3}, place
    known, again = (
        {
            row["id"]: row
            for row in after["notes/predictions"]
            if (row["run"], row["snapshot"]) == ("finished", snapshot)
        }
        for snapshot in (2, 3)
    )
    assert len(known) > 5
    for name, row in known.items():
        assert_close(again[name] | {"snapshot": 2}, row)


def test_a_stopped_run_goes_on_to_the_same_end(spark: SparkSession, lake: Path) -> None:
    report = run(spark, "train", f"lake={lake}", "run=stopped", *NOTES, *EXPECTED["arguments"]["stopped"])
    assert 0 < report["train"]["resumed_at"] < report["train"]["steps"] == EXPECTED["whole"]["steps"]
    assert (report["snapshot"], report["settings"]) == (2, EXPECTED["settings"]["continued"])
    content = (lake / "notes/bundles/stopped/weights.safetensors").read_bytes()
    if not TOLERANCE:
        assert hashlib.sha256(content).hexdigest() == EXPECTED["whole"]["sha256"]
    assert_close(weights(content), weights((OLD / "whole.safetensors").read_bytes()))


@pytest.mark.parametrize("bundle", ["lake/notes/bundles/both", "bundles/target", "bundles/labels"])
def test_a_bundle_predicts_the_same(spark: SparkSession, tmp_path: Path, bundle: str) -> None:
    """`both` is an ensemble of the bundles `finished`, which reads TF-IDF, and `words`, which reads words."""
    new = ("source=files", "source.format=csv", f"source.path={OLD}/inputs/new")
    run(spark, "predict", f"bundle={OLD}/{bundle}", f"output={tmp_path}/out", *new)
    found = sorted(table(tmp_path / "out"), key=lambda row: int(row["row"]))
    assert all(row.pop("path").endswith("/new/n.csv") for row in found)
    assert_close(found, EXPECTED["predictions"][bundle.rpartition("/")[2]])


def test_maintain_keeps_what_is_there(spark: SparkSession, lake: Path) -> None:
    before = rows(lake)
    report = run(spark, "maintain", f"lake={lake}", "dataset=notes", "maintain.retention_hours=0")
    assert report["status"] == "done"
    assert {"runs", "predictions"} <= set(report["compacted"])
    after = rows(lake)
    after["notes/runs"] = [row for row in after["notes/runs"] if row["run"] != report["run"]]
    for place, found in before.items():
        if place.endswith("/vocabulary"):  # whose counts it may add up
            assert totals(found) == totals(after[place]) != Counter()
        else:
            assert counted(found) == counted(after[place]), place


def run(spark: SparkSession, job: str, *arguments: str) -> dict[str, Any]:
    """The report of a job in this process, which takes less time than a command of its own."""
    report: dict[str, Any] = import_module(f"pipelines.{job}").run(spark, load(arguments, job)).to_dict()
    return report


def table(path: Path) -> list[dict[str, Any]]:
    """A Delta table's rows, read without Spark."""
    found: list[dict[str, Any]] = DeltaTable(str(path)).to_pyarrow_table().to_pylist()
    return found


def rows(lake: Path) -> dict[str, list[dict[str, Any]]]:
    """The rows of each table of a lake."""
    return {str(log.parent.relative_to(lake)): table(log.parent) for log in sorted(lake.rglob("_delta_log"))}


def counted(found: list[dict[str, Any]]) -> Counter[str]:
    """Rows that can be compared whatever their order, floats to the last bit."""
    return Counter(map(repr, found))


def totals(vocabulary: list[dict[str, Any]]) -> Counter[tuple[str, str]]:
    """Each term's documents and occurrences."""
    found: Counter[tuple[str, str]] = Counter()
    for row in vocabulary:
        for name in ("df", "count"):
            found[row["term"], name] += row[name]
    return found


def weights(content: bytes) -> dict[str, Any]:
    """The numbers in a safetensors file, by the tensors' names."""
    (length,) = struct.unpack_from("<Q", content)
    header = json.loads(content[8 : 8 + length])
    found: dict[str, Any] = {}
    for name, told in header.items():
        if name != "__metadata__":
            assert told["dtype"] == "F32"
            start, end = (8 + length + offset for offset in told["data_offsets"])
            found[name] = list(struct.unpack(f"<{(end - start) // 4}f", content[start:end]))
    return found


def assert_close(found: Any, expected: Any, place: str = "") -> None:
    """Equal values of JSON; floats may differ by `TOLERANCE`."""
    assert type(found) is type(expected), place
    if isinstance(expected, dict):
        assert found.keys() == expected.keys(), place
        for name, value in expected.items():
            assert_close(found[name], value, f"{place}/{name}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), place
        for number, value in enumerate(expected):
            assert_close(found[number], value, f"{place}/{number}")
    elif isinstance(expected, float):
        assert math.isclose(found, expected, rel_tol=TOLERANCE, abs_tol=TOLERANCE), (place, found, expected)
    else:
        assert found == expected, place
