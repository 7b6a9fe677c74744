"""DataNodes whose disk is full: the others are written to; where there is none, the job says so and loses nothing."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from tests.cluster.daemons import LOOPBACK, Host
from tests.cluster.disturbed import Disturbed, show
from tests.cluster.hadoop import Hadoop, hdfs
from tests.cluster.jars import HADOOP, class_path
from tests.cluster.test_faults import assert_told

pytestmark = [pytest.mark.cluster, pytest.mark.faults]

DISK_MB = 32
SMALL = {  # or not one block would fit
    "dfs.blocksize": str(1 << 20),
    "dfs.datanode.round-robin-volume-choosing-policy.additional-available-space": "0",
}


def with_a_small_disk(folder: Path) -> Host:
    """A host whose `folder` is a small disk of its own, which nobody else sees, and which is gone with the daemon."""
    folder.mkdir(parents=True)
    mounted = f'mount -t tmpfs -o size={DISK_MB}m tmpfs {folder} && exec "$@"'
    return replace(LOOPBACK, prefix=("unshare", "--mount", "sh", "-c", mounted, "sh"))


@pytest.fixture
def small(spark: SparkSession, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Hadoop]:
    """A DataNode on a small disk, and those of `request`."""
    jars = class_path([HADOOP])
    hosts = (with_a_small_disk(tmp_path / "hdfs" / "datanode1" / "data"), *request.param)
    with hdfs(tmp_path / "hdfs", jars, hosts=hosts, settings=SMALL) as started:
        yield started


def filler(cluster: Hadoop) -> Path:
    """A file on the small disk, seen from here."""
    small = cluster.data_nodes[0]
    assert small.process
    return Path(f"/proc/{small.process.pid}/root{small.folder}/data/filler")


def fill(cluster: Hadoop) -> None:
    """Leave no room on the small disk."""
    with pytest.raises(OSError, match="No space left"):
        filler(cluster).write_bytes(bytes(DISK_MB << 20))


@pytest.mark.parametrize("moment", ["clean: batch 1", "training"])
@pytest.mark.parametrize("small", [[LOOPBACK]], indirect=True)
def test_a_full_disk_is_passed_over(spark: SparkSession, small: Hadoop, tmp_path: Path, moment: str) -> None:
    """The other DataNode takes what is written from then on."""
    disturbed = Disturbed(small, tmp_path)
    disturbed.start()
    disturbed.until(moment)
    before = disturbed.marks()
    fill(small)
    show(f"one DataNode's disk full, {moment}", disturbed.recovery_s(before))
    disturbed.assert_like_undisturbed(spark, disturbed.end())


@pytest.mark.parametrize("moment", ["clean: batch 1", "training"])
@pytest.mark.parametrize("small", [[]], indirect=True)
def test_no_room_at_all_is_told_of(spark: SparkSession, small: Hadoop, tmp_path: Path, moment: str) -> None:
    """Status 1 and one sentence; once there is room again, the same command goes through."""
    disturbed = Disturbed(small, tmp_path)
    disturbed.start()
    disturbed.until(moment)
    fill(small)
    assert_told(disturbed, "HDFS has no DataNode with room")
    filler(small).unlink()
    disturbed.start()
    disturbed.assert_like_undisturbed(spark, disturbed.end())
