"""What HDFS and a driver may suffer while a job runs, on live daemons: nothing is lost, and nothing is there twice."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from tests.cluster.daemons import LOOPBACK
from tests.cluster.disturbed import Disturbed, show
from tests.cluster.hadoop import Hadoop, hdfs, takes_writes
from tests.cluster.jars import HADOOP, class_path
from tests.jobs import environment

pytestmark = [pytest.mark.cluster, pytest.mark.faults]

PATIENT = {"dfs.client.failover.max.attempts": "15"}  # as by default: a NameNode that is away is asked for minutes
AWAY_S = 900
WRITING = ["ingest: batch 1", "clean: batch 1", "featurize: batch 1"]


@pytest.fixture
def cluster(spark: SparkSession, tmp_path: Path) -> Iterator[Hadoop]:
    """Two DataNodes that both hold every block."""
    jars = class_path([HADOOP])
    with hdfs(tmp_path / "hdfs", jars, hosts=(LOOPBACK, LOOPBACK), settings=PATIENT) as started:
        yield started


@pytest.fixture
def disturbed(cluster: Hadoop, tmp_path: Path) -> Disturbed:
    return Disturbed(cluster, tmp_path)


@pytest.mark.parametrize("moment", [*WRITING, "training"])
def test_a_data_node_dies(spark: SparkSession, disturbed: Disturbed, moment: str) -> None:
    disturbed.start()
    disturbed.until(moment)
    before = disturbed.marks()
    disturbed.cluster.data_nodes[0].kill()
    show(f"DataNode killed, {moment}", disturbed.recovery_s(before))
    disturbed.assert_like_undisturbed(spark, disturbed.end())


@pytest.mark.parametrize("moment", ["clean: batch 1", "training"])
def test_the_name_node_is_killed_and_comes_back(spark: SparkSession, disturbed: Disturbed, moment: str) -> None:
    name_node = disturbed.cluster.name_node
    disturbed.start()
    disturbed.until(moment)
    before = disturbed.marks()
    name_node.kill()
    time.sleep(3)
    name_node.start()
    name_node.wait(lambda: takes_writes(disturbed.cluster.address))
    show(f"NameNode killed and started again, {moment}", disturbed.recovery_s(before))
    disturbed.assert_like_undisturbed(spark, disturbed.end())


@pytest.mark.parametrize("moment", ["looking", *WRITING, "training", "evaluate"])
def test_the_driver_is_killed_and_submitted_again(spark: SparkSession, disturbed: Disturbed, moment: str) -> None:
    disturbed.start()
    disturbed.until(moment)
    disturbed.kill()
    before = disturbed.at_rest()
    disturbed.start()
    show(f"driver killed and submitted again, {moment}", disturbed.recovery_s(before))
    disturbed.assert_like_undisturbed(spark, disturbed.end())


def test_safe_mode_is_told_of(spark: SparkSession, disturbed: Disturbed) -> None:
    """Nothing can be written: status 1 and one sentence; afterwards the same command goes through."""
    administer(disturbed.cluster, "-safemode", "enter")
    disturbed.start()
    assert_told(disturbed, "HDFS is in safe mode")
    administer(disturbed.cluster, "-safemode", "leave")
    disturbed.start()
    disturbed.assert_like_undisturbed(spark, disturbed.end())


@pytest.mark.parametrize("moment", ["clean: batch 1", "training"])
def test_hdfs_is_away(spark: SparkSession, disturbed: Disturbed, moment: str) -> None:
    """It is gone in the middle of a run, and stays so: a bounded wait, status 1 and one sentence."""
    name_node = disturbed.cluster.name_node
    disturbed.start()
    disturbed.until(moment)
    name_node.kill()
    began = time.monotonic()
    assert_told(disturbed, "HDFS does not answer")
    show(f"HDFS away for good, {moment}: until the job ends with status 1", time.monotonic() - began)
    name_node.start()
    name_node.wait(lambda: takes_writes(disturbed.cluster.address))
    disturbed.start()
    disturbed.assert_like_undisturbed(spark, disturbed.end())


def administer(cluster: Hadoop, *arguments: str) -> None:
    """`hdfs dfsadmin <arguments>`."""
    variables = environment() | cluster.name_node.variables | {"HADOOP_CONF_DIR": str(cluster.conf)}
    command = ["spark-class", "org.apache.hadoop.hdfs.tools.DFSAdmin", *arguments]
    subprocess.run(command, env=variables, check=True, timeout=120, capture_output=True)


def assert_told(disturbed: Disturbed, trouble: str) -> None:
    """The run ends with status 1, and with what is the trouble as its last words."""
    assert disturbed.running
    assert disturbed.running.wait(timeout=AWAY_S) == 1, disturbed.said()
    last = disturbed.said().strip().splitlines()[-1]
    assert last.startswith(f"textmill: {trouble}"), disturbed.said()
