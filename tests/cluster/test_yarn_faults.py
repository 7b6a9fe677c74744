"""On YARN: a host with a rank on it dies, or is cut off; the driver dies, here or in a container of its own."""

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from pyspark.sql import SparkSession

from tests.cluster import hosts
from tests.cluster.conftest import Hosts
from tests.cluster.containers import SIZES, code_alone
from tests.cluster.disturbed import Disturbed, show
from tests.cluster.hadoop import Daemon

pytestmark = [pytest.mark.cluster, pytest.mark.faults]

# A host that says nothing is given up after 20 seconds, not after Spark's two minutes.
IMPATIENT = {
    "spark.network.timeout": "20s",
    "spark.network.timeoutInterval": "5s",
    "spark.executor.heartbeatInterval": "3s",
}
EXECUTOR, MASTER, DRIVER = "YarnCoarseGrainedExecutorBackend", "ExecutorLauncher", "yarn.ApplicationMaster"


def on_yarn(several: Hosts, folder: Path, mode: str) -> Disturbed:
    """A run of two ranks, one on each host."""
    options = ["--master", "yarn", "--deploy-mode", mode]
    for name, value in (SIZES | code_alone(folder) | several.settings(mode) | IMPATIENT).items():
        options += ["--conf", f"{name}={value}"]
    more = ("train.timeout_s=15", "train.cache_gb=0.1")
    return Disturbed(several.cluster, folder, tuple(options), more, {"SPARK_LOCAL_IP": several.master.address})


@pytest.fixture
def disturbed(several: Hosts, tmp_path: Path) -> Disturbed:
    """Its driver is here."""
    return on_yarn(several, tmp_path, "client")


def with_a_rank_alone(several: Hosts) -> int:
    """The number of the host that has an executor, and not YARN's part of the application."""
    for number, manager in enumerate(several.cluster.node_managers):
        found = " ".join(word for _, words in containers(manager) for word in words)
        if EXECUTOR in found and MASTER not in found:
            return number
    raise AssertionError("no host has a rank alone")


def containers(manager: Daemon) -> Iterator[tuple[psutil.Process, list[str]]]:
    """All that runs in a NodeManager's containers, and their command lines."""
    assert manager.process
    for process in manager.process.children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # it ends while we look
            yield process, process.cmdline()


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


@pytest.mark.parametrize("moment", ["clean: batch 1", "training"])
def test_the_driver_is_killed_and_submitted_again(spark: SparkSession, disturbed: Disturbed, moment: str) -> None:
    disturbed.start()
    disturbed.until(moment)
    disturbed.kill()
    before = disturbed.at_rest()
    disturbed.start()
    show(f"driver on YARN killed and submitted again, {moment}", disturbed.recovery_s(before))
    disturbed.assert_like_undisturbed(spark, disturbed.end())


def test_the_drivers_container_is_killed(spark: SparkSession, several: Hosts, tmp_path: Path) -> None:
    """YARN starts it again, and the run goes on from its last checkpoint; the client never knows."""
    disturbed = on_yarn(several, tmp_path, "cluster")
    disturbed.start()
    disturbed.until("training")
    drivers = [
        process
        for manager in several.cluster.node_managers
        for process, words in containers(manager)
        if any(word.endswith(DRIVER) for word in words)
    ]
    assert drivers
    killed = time.monotonic()
    for process in drivers:
        process.kill()
    show("driver's container killed", disturbed.recovery_s(disturbed.at_rest(), killed))
    report = disturbed.end()
    assert report["train"]["resumed_at"] >= 9
    disturbed.assert_like_undisturbed(spark, report)
