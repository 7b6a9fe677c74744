"""What a cluster may suffer while a job runs, each on live daemons: nothing is lost, and nothing is there twice."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from models.training import checkpoint
from models.training import files as store
from pipelines import train
from pipelines.config import load
from tests.cluster import hadoop as clusters
from tests.cluster.daemons import LOOPBACK
from tests.cluster.hadoop import Hadoop, hdfs
from tests.cluster.jars import HADOOP, class_path
from tests.conftest import documents, last_json, write_json
from tests.jobs import environment, start, wait_for

pytestmark = [pytest.mark.cluster, pytest.mark.faults]

RUN = ["train.ranks=2", "train.epochs=40", "train.patience=0", "train.checkpoint_steps=3", "train.timeout_s=60"]
TABLES = ("bronze/documents", "silver/documents")


@pytest.fixture
def cluster(spark: SparkSession, tmp_path: Path) -> Iterator[Hadoop]:
    """Two DataNodes that both hold every block, and a hundred documents."""
    with hdfs(tmp_path / "hdfs", class_path(spark._jvm, [HADOOP]), hosts=(LOOPBACK, LOOPBACK)) as started:
        write_json(tmp_path / "in" / "a.json", documents(100))
        store.write(f"{started.address}/in/a.json", (tmp_path / "in" / "a.json").read_bytes())
        yield started


def arguments(root: str, *more: str) -> list[str]:
    """A run named `disturbed` on the files and the lake of `root`."""
    source = ["source=files", f"source.path={root}/in", "source.format=json", "source.label=label"]
    return [*source, f"lake={root}/lake", "run=disturbed", *RUN, *more]


def started(cluster: Hadoop, errors: Path, *more: str) -> subprocess.Popen[bytes]:
    """The run, in processes of its own."""
    return start("train", arguments(cluster.address, *more), errors, HADOOP_CONF_DIR=str(cluster.conf))


def until_step(cluster: Hadoop, running: subprocess.Popen[bytes], errors: Path, step: int) -> None:
    """Until a checkpoint of that step or a later one is there."""
    deadline = time.monotonic() + 240
    while checkpoint.last_step(f"{cluster.address}/lake/files/bundles/disturbed") < step:
        assert running.poll() is None, errors.read_text()[-3000:]
        assert time.monotonic() < deadline
        time.sleep(0.1)


def finished(cluster: Hadoop, running: subprocess.Popen[bytes], errors: Path) -> dict[str, Any]:
    """The report of the run, which may have to be submitted again once."""
    if running.wait(timeout=400) != 0:
        running = started(cluster, errors)
        assert running.wait(timeout=400) == 0, errors.read_text()[-3000:]
    return last_json(errors.with_suffix(".out").read_text())


def assert_undisturbed(spark: SparkSession, cluster: Hadoop, report: dict[str, Any], tmp_path: Path) -> None:
    """The weights, the steps and the tables' rows are those of a run that nothing happened to."""
    whole = train.run(spark, load(arguments(f"file://{tmp_path}")))
    bundles = report["bundle"], whole["bundle"]
    assert report["train"]["steps"] == whole["train"]["steps"]
    assert store.read(f"{bundles[0]}/weights.safetensors") == store.read(f"{bundles[1]}/weights.safetensors")
    for table in TABLES:
        remote, local = (
            spark.read.format("delta").load(f"{root}/lake/files/{table}").drop("path")
            for root in (cluster.address, f"file://{tmp_path}")
        )
        assert sorted(map(repr, remote.collect())) == sorted(map(repr, local.collect())), table


def test_a_data_node_dies_while_a_model_trains(spark: SparkSession, cluster: Hadoop, tmp_path: Path) -> None:
    running = started(cluster, tmp_path / "err")
    until_step(cluster, running, tmp_path / "err", 9)
    cluster.data_nodes[0].kill()
    assert_undisturbed(spark, cluster, finished(cluster, running, tmp_path / "err"), tmp_path)


@pytest.mark.parametrize("stage", ["ingest: batch 1", "clean: batch 1", "featurize: batch 1"])
def test_a_data_node_dies_while_tables_are_written(
    spark: SparkSession, cluster: Hadoop, tmp_path: Path, stage: str
) -> None:
    running = started(cluster, tmp_path / "err")
    wait_for(tmp_path / "err", stage, running)
    cluster.data_nodes[0].kill()
    assert_undisturbed(spark, cluster, finished(cluster, running, tmp_path / "err"), tmp_path)


@pytest.mark.parametrize("moment", ["clean: batch 1", "training"])
def test_the_name_node_is_killed_and_comes_back(
    spark: SparkSession, cluster: Hadoop, tmp_path: Path, moment: str
) -> None:
    running = started(cluster, tmp_path / "err")
    if moment == "training":
        until_step(cluster, running, tmp_path / "err", 9)
    else:
        wait_for(tmp_path / "err", moment, running)
    cluster.name_node.kill()
    time.sleep(3)
    cluster.name_node.start()
    cluster.name_node.wait(lambda: clusters.takes_writes(cluster.address))
    assert_undisturbed(spark, cluster, finished(cluster, running, tmp_path / "err"), tmp_path)


def test_safe_mode_is_told_of(cluster: Hadoop, tmp_path: Path) -> None:
    """Nothing can be written: a bounded wait, one sentence, status 1; afterwards the same command goes through."""
    command = ["spark-class", "org.apache.hadoop.hdfs.tools.DFSAdmin", "-safemode"]
    variables = environment() | cluster.name_node.variables | {"HADOOP_CONF_DIR": str(cluster.conf)}
    subprocess.run([*command, "enter"], env=variables, check=True, timeout=120, capture_output=True)
    running = started(cluster, tmp_path / "err", "train.epochs=2")
    assert running.wait(timeout=300) == 1
    last = (tmp_path / "err").read_text().strip().splitlines()[-1]
    assert last.startswith("textmill: "), last
    assert "safe mode" in last
    subprocess.run([*command, "leave"], env=variables, check=True, timeout=120, capture_output=True)
    running = started(cluster, tmp_path / "err", "train.epochs=2")
    assert running.wait(timeout=300) == 0, (tmp_path / "err").read_text()[-3000:]
