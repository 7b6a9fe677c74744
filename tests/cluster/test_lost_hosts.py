"""A host with a rank on it dies, or is cut off: all ranks are launched again, from the last checkpoint."""

import time
from pathlib import Path

import psutil
import pytest
from pyspark.sql import SparkSession

from tests.cluster import hosts
from tests.cluster.conftest import Hosts
from tests.cluster.containers import SIZES, code_alone
from tests.cluster.disturbed import Disturbed, show

pytestmark = [pytest.mark.cluster, pytest.mark.faults]

# A host that says nothing is given up after 20 seconds, not after Spark's two minutes.
IMPATIENT = {"spark.network.timeout": "20s", "spark.executor.heartbeatInterval": "3s"}
EXECUTOR, MASTER = "YarnCoarseGrainedExecutorBackend", "ExecutorLauncher"


@pytest.fixture
def disturbed(several: Hosts, tmp_path: Path) -> Disturbed:
    """A run on YARN whose driver is here; a rank on each host."""
    options = ["--master", "yarn", "--deploy-mode", "client"]
    for name, value in (SIZES | code_alone(tmp_path) | several.settings() | IMPATIENT).items():
        options += ["--conf", f"{name}={value}"]
    variables = {"SPARK_LOCAL_IP": several.master.address}
    more = ("train.timeout_s=15", "train.cache_gb=0.1")
    return Disturbed(several.cluster, tmp_path, tuple(options), more, variables)


def with_a_rank_alone(several: Hosts) -> int:
    """The number of the host that has an executor, and not YARN's part of the application."""
    for number, manager in enumerate(several.cluster.node_managers):
        assert manager.process
        found = " ".join(word for each in manager.process.children(recursive=True) for word in cmdline(each))
        if EXECUTOR in found and MASTER not in found:
            return number
    raise AssertionError("no host has a rank alone")


def cmdline(process: psutil.Process) -> list[str]:
    """Its words; none where it ends while we look."""
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


def test_a_node_manager_dies_with_a_rank(spark: SparkSession, several: Hosts, disturbed: Disturbed) -> None:
    """And all else on its host but the DataNode. It comes back after some seconds, empty."""
    disturbed.start()
    disturbed.until("training")
    before = disturbed.marks()
    lost = several.cluster.node_managers[with_a_rank_alone(several)]
    lost.kill()
    time.sleep(3)
    lost.start()
    show("NodeManager killed with a rank", disturbed.recovery_s(before))
    report = disturbed.end()
    assert report["train"]["failures"] == 1
    disturbed.assert_like_undisturbed(spark, report)


def test_two_ranks_cannot_reach_each_other(spark: SparkSession, several: Hosts, disturbed: Disturbed) -> None:
    """A host is cut off from all others, for longer than a rank waits; then it is back."""
    disturbed.start()
    disturbed.until("training")
    before = disturbed.marks()
    lost = several.nodes[with_a_rank_alone(several)]
    hosts.cut(lost)
    time.sleep(45)
    hosts.join(lost)
    show("host cut off for 45 s, from its return", disturbed.recovery_s(before))
    report = disturbed.end()
    assert report["train"]["failures"] >= 1
    disturbed.assert_like_undisturbed(spark, report)
