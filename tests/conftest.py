"""One Spark session for all tests, started by the first that asks for it."""

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from pyspark.sql import DataFrame, SparkSession

from pipelines.config import CONF, Config, load
from pipelines.lakehouse.dataset import Dataset
from pipelines.lakehouse.schemas import VOCABULARY, TableSchema
from tests import reaper

if TYPE_CHECKING:
    from models.training.task import Task

# What differs between two runs that made equal tables: when a batch came, and where a file lies.
VOLATILE = ("batch", "run", "modified", "features_version", "vocabulary_version")
# For JVMs that live seconds: the compiler that is quick to compile, no other threads to collect garbage, and no
# verification of JARs whose checksums are known. Nor is code generated for each query, which costs more than it saves
# over a hundred documents. A job of that size takes 16 processor seconds instead of 26.
SHORT_LIVED = (
    "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:+UnlockDiagnosticVMOptions -XX:-BytecodeVerificationRemote"
    " -Dspark.sql.codegen.wholeStage=false"
)


def pytest_configure() -> None:
    """Whatever this process starts from now on ends with it; each worker of pytest-xdist is a process of its own."""
    reaper.start()
    os.environ.update(SPARK_SUBMIT_OPTS=SHORT_LIVED, SPARK_LAUNCHER_OPTS=SHORT_LIVED)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the files that start processes; those that submit come first, so that no worker is left with them alone."""
    for item in items:
        if starts_processes(item):
            item.add_marker("processes")
    items.sort(key=lambda item: item.get_closest_marker("submit") is None)


def starts_processes(item: pytest.Item) -> bool:
    """Whether a test's file imports what starts processes."""
    names = vars(item.module) if isinstance(item, pytest.Function) else {}
    return "subprocess" in names or "run_ranks" in names


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    """The project's own Spark configuration, on two cores."""
    os.environ["SPARK_CONF_DIR"] = str(CONF)
    from pipelines.job import session

    os.environ["MASTER"] = "local[2]"
    started = session.start("tests")
    yield started
    started.stop()


@pytest.fixture
def configured(tmp_path: Path) -> Callable[..., Config]:
    """`load` with a lake of the test's own, on the user's files."""

    def configure(*arguments: str) -> Config:
        return load([f"lake={tmp_path}/lake", "source=files", *arguments])

    return configure


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> "list[Task]":
    """What was trained: here in this process, in a second; launches have tests of their own."""
    from pipelines.launch import launcher  # imports torch, which many tests do without

    tasks: list[Task] = []

    def launch(_: SparkSession, task: "Task") -> launcher.LaunchResult:
        from models.training import loop

        tasks.append(task)
        return launcher.LaunchResult(loop.fit(task), failures=0, launching=0.0)

    monkeypatch.setattr(launcher, "launch", launch)
    return tasks


def opened(spark: SparkSession, config: Config) -> Dataset:
    """A configuration's data set."""
    from pipelines.job.resolve import configured_dataset  # imports torch, too

    return configured_dataset(spark, config)


def table(spark: SparkSession, config: Config, wanted: TableSchema) -> DataFrame:
    """A table of a configuration's lake, as any user of Delta reads it."""
    return spark.read.format("delta").load(opened(spark, config).table(wanted).path)


def content(frame: DataFrame, without: tuple[str, ...] = VOLATILE) -> list[str]:
    """All rows of a table in all columns but the volatile ones, in an order of their own."""
    kept = [name for name in frame.columns if name not in without]
    return sorted(row[0] for row in frame.selectExpr(f"to_json(struct({', '.join(kept)}))").collect())


def stored_rows(
    spark: SparkSession, config: Config, wanted: TableSchema, without: tuple[str, ...] = VOLATILE
) -> list[str]:
    """As `content` of a table, read by delta-rs: another reader of Delta than the project's, in a tenth of the time."""
    path = opened(spark, config).table(wanted).path.removeprefix("file://")
    rows = pa.table(DeltaTable(path).to_pyarrow_table())
    rows = rows.drop_columns([name for name in without if name in rows.column_names])
    return sorted(json.dumps(row, sort_keys=True, default=repr) for row in rows.to_pylist())


def term_counts(spark: SparkSession, config: Config) -> Counter[tuple[str, int, str]]:
    """How many documents have each term, and how often it occurs, whatever the batch."""
    counts: Counter[tuple[str, int, str]] = Counter()
    for row in map(json.loads, stored_rows(spark, config, VOCABULARY, ())):
        for name in ("df", "count"):
            counts[row["term"], row["id"], name] += row[name]
    return counts


def versions(lake: Path) -> dict[str, int]:
    """How many commits each Delta table below a folder has."""
    logs = lake.rglob("_delta_log")
    return {str(log.parent.relative_to(lake)): len(list(log.glob("*.json"))) for log in logs}


def write_json(path: Path, rows: list[Any]) -> None:
    """JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def documents(count: int, *, start: int = 0) -> list[dict[str, str]]:
    """Short labelled texts of two classes that a model can tell apart, each distinct."""
    topics = {"sea": "ship harbour wave sail", "land": "tractor field barn wheat"}
    rows = []
    for number in range(start, start + count):
        label = ("sea", "land")[number % 2]
        rows.append({"text": f"{topics[label]} number{number} {'again ' * (number % 5)}".strip(), "label": label})
    return rows


def last_json(output: str) -> dict[str, Any]:
    """The object in the last line of a job's standard output."""
    found: dict[str, Any] = json.loads(re.split(r"\n", output.strip())[-1])
    return found
