"""Two drivers on a real HDFS at once: its lease is the lock, and outlives a killed holder by a minute at most."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from models.storage import files
from pipelines import featurize, maintain
from pipelines.config import load
from pipelines.lakehouse import locks
from pipelines.lakehouse.locks import Overlap
from pipelines.lakehouse.schemas import FEATURES
from tests.cluster.hadoop import Hadoop, hdfs
from tests.cluster.jars import HADOOP, class_path
from tests.cluster.test_hdfs import Place
from tests.conftest import documents, last_json, opened
from tests.jobs import start, wait_for

pytestmark = pytest.mark.cluster
SOFT_LIMIT_S = 60  # of a lease whose holder is silent; fixed in HDFS


@pytest.fixture(scope="module")
def cluster(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hadoop]:
    with hdfs(tmp_path_factory.mktemp("hdfs"), class_path([HADOOP])) as started:
        yield started


def begun(place: Place, errors: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """`featurize` on HDFS, in a process group of its own."""
    return start("featurize", [*place.taken(), *arguments], errors, HADOOP_CONF_DIR=str(place.conf))


@pytest.mark.faults
def test_of_two_drivers_one_waits_and_a_killed_one_is_in_the_way_for_a_minute(
    spark: SparkSession, cluster: Hadoop, tmp_path: Path
) -> None:
    remote, local = Place(cluster.address, cluster.conf), Place(f"file://{tmp_path}")
    for place in (remote, local):
        place.put("in/a.json", [*documents(60), [1]], tmp_path)
    featurize.run(spark, load(local.taken()))

    killed = begun(remote, tmp_path / "killed.err")
    wait_for(tmp_path / "killed.err", "clean: batch", killed)
    os.killpg(killed.pid, signal.SIGKILL)
    died = time.monotonic()
    left = remote.submit("featurize", *remote.taken(), "overlap=leave")
    assert left.returncode == os.EX_TEMPFAIL, left.stderr[-3000:]
    folder = f"{remote.root}/lake/files"
    assert f"textmill: the data set {folder} is in use by featurize (process " in left.stderr

    running = [begun(remote, tmp_path / f"{name}.err") for name in "ab"]
    for job, name in zip(running, "ab", strict=True):
        assert job.wait(timeout=240) == 0, (tmp_path / f"{name}.err").read_text()[-3000:]
    assert SOFT_LIMIT_S - 35 < time.monotonic() - died < 3 * SOFT_LIMIT_S  # a lease is renewed every half minute
    reports = [last_json((tmp_path / f"{name}.out").read_text()) for name in "ab"]
    assert sorted(report["status"] for report in reports) == ["done", "unchanged"]
    assert remote.tables() == local.tables()
    for name in local.tables():
        assert remote.table(name) == local.table(name), name
    assert files.names(f"{folder}/{locks.FOLDER}") == []
    killed.wait(timeout=60)


def test_maintain(spark: SparkSession, cluster: Hadoop, tmp_path: Path) -> None:
    """Fewer files on HDFS, the same rows; what a run under way reads stays, and so does what nobody knows of yet."""
    place = Place(cluster.address, cluster.conf)
    source = [f"source.path={place.root}/many", "dataset=many"]
    config = load([*place.taken(), *source, "maintain.retention_hours=0"])
    for number in range(4):
        place.put(f"many/{number}.json", documents(20, start=number * 20), tmp_path)
        featurize.run(spark, config)
    tables = [name for name in place.tables() if name.startswith("lake/many/") and not name.endswith("/vocabulary")]
    before = {name: place.table(name) for name in tables}
    dataset = opened(spark, config)
    reads = dataset.features.paths()
    with locks.run_lock(spark, dataset.folder, "busy", Overlap("leave", 0)):
        assert maintain.run(spark, config).files[FEATURES.name] == (4, 1)
        assert sum(files.length(path) for path in reads) > 0
    assert maintain.run(spark, config).removed.files >= 4 * 7
    names = [name for name in files.names(dataset.features.path) if not name.startswith("_")]
    assert [f"{dataset.features.path}/{name}" for name in names] == dataset.features.paths()
    assert {name: place.table(name) for name in tables} == before
    assert maintain.run(spark, config).status == "unchanged"
