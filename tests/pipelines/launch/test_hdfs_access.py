"""A Hadoop configuration that requires Kerberos, without a cluster behind it; tests/cluster/ has a real one."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from pipelines import train
from pipelines.config import load
from pipelines.errors import Outage, UserError
from pipelines.launch import hdfs_access
from tests.cluster.sites import CORE, HDFS, IMPATIENT, write_sites
from tests.jobs import small

UNREACHABLE = "hdfs://127.0.0.1:1/lake"
AUTHENTICATION = "hadoop.security.authentication"


@pytest.fixture
def kerberized(spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SparkSession]:
    """A session whose Hadoop requires Kerberos, as does this process's hdfs-native."""
    write_sites(tmp_path, {CORE: {AUTHENTICATION: "kerberos"}, HDFS: IMPATIENT})
    monkeypatch.setenv("HADOOP_CONF_DIR", str(tmp_path))
    monkeypatch.delenv(hdfs_access.TOKEN_FILE_VARIABLE, raising=False)
    hadoop = spark.sparkContext._jsc.hadoopConfiguration()
    hadoop.set(AUTHENTICATION, "kerberos")
    yield spark
    hadoop.set(AUTHENTICATION, "simple")


@pytest.mark.spark
def test_a_training_without_access_fails_before_any_work(kerberized: SparkSession, tmp_path: Path) -> None:
    """HDFS does not answer, which is an outage: a scheduler tries again."""
    with pytest.raises(
        Outage, match=r"^the driver cannot reach hdfs://127\.0\.0\.1:1/lake, which requires Kerberos: "
    ) as outage:
        train.run(kerberized, load([*small(tmp_path), f"lake={UNREACHABLE}"]))
    assert "no delegation token: HADOOP_TOKEN_FILE_LOCATION is not set" in str(outage.value)
    assert "\n" not in str(outage.value)


@pytest.mark.spark
def test_access_is_checked_in_sparks_python_workers(kerberized: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver has access; Spark's workers have no HADOOP_CONF_DIR, and so no host for `hdfs:///`."""
    original = hdfs_access.reason_unreachable
    checked_here: list[str] = []

    def reachable(address: str) -> str:
        checked_here.append(address)
        return ""

    monkeypatch.setattr(hdfs_access, "reason_unreachable", reachable)
    # Workers load the original by its name.
    reachable.__module__, reachable.__qualname__ = original.__module__, original.__qualname__
    with pytest.raises(UserError, match=r"^ranks cannot reach hdfs:///lake, .* is not set, so the process does not"):
        hdfs_access.check_access(kerberized, "hdfs:///lake", 2)
    assert checked_here == ["hdfs:///lake"]


@pytest.mark.spark
def test_without_kerberos_nothing_is_checked(kerberized: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hdfs_access, "reason_unreachable", lambda _: pytest.fail("checked"))
    hdfs_access.check_access(kerberized, "file:///lake", 2)
    kerberized.sparkContext._jsc.hadoopConfiguration().set(AUTHENTICATION, "simple")
    hdfs_access.check_access(kerberized, UNREACHABLE, 2)


def test_credentials_are_described(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HADOOP_CONF_DIR", str(tmp_path))
    monkeypatch.setenv(hdfs_access.TOKEN_FILE_VARIABLE, str(tmp_path / "tokens"))
    monkeypatch.setattr(hdfs_access, "KERBEROS_LIBRARY", "libnobody.so.2")
    assert hdfs_access.describe_credentials() == [
        f"HADOOP_CONF_DIR is {tmp_path}",
        f"no delegation token: {tmp_path}/tokens does not exist",
        "no tickets: libnobody.so.2 is not installed",
    ]
    (tmp_path / "tokens").touch()
    assert hdfs_access.describe_credentials()[1].startswith(
        "a file of delegation tokens, of which none may be for this address"
    )
