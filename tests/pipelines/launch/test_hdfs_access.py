"""A Hadoop configuration that says Kerberos, and nobody behind it; tests/cluster/ has a real one."""

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

NOBODY = "hdfs://127.0.0.1:1/lake"
AUTHENTICATION = "hadoop.security.authentication"


@pytest.fixture
def kerberized(spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SparkSession]:
    """A session whose Hadoop wants Kerberos, and this process's hdfs-native as well."""
    write_sites(tmp_path, {CORE: {AUTHENTICATION: "kerberos"}, HDFS: IMPATIENT})
    monkeypatch.setenv("HADOOP_CONF_DIR", str(tmp_path))
    monkeypatch.delenv(hdfs_access.TOKENS, raising=False)
    hadoop = spark.sparkContext._jsc.hadoopConfiguration()
    hadoop.set(AUTHENTICATION, "kerberos")
    yield spark
    hadoop.set(AUTHENTICATION, "simple")


@pytest.mark.spark
def test_a_training_is_told_before_any_work(kerberized: SparkSession, tmp_path: Path) -> None:
    """Nobody answers, so it is no mistake: a scheduler tries again."""
    with pytest.raises(
        Outage, match=r"^the driver cannot reach hdfs://127\.0\.0\.1:1/lake, which wants Kerberos: "
    ) as told:
        train.run(kerberized, load([*small(tmp_path), f"lake={NOBODY}"]))
    assert "no delegation token: HADOOP_TOKEN_FILE_LOCATION is not set" in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.spark
def test_ranks_are_asked_where_they_will_run(kerberized: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here all is well; Spark's workers have no HADOOP_CONF_DIR, and do not know which host is meant."""
    asked = hdfs_access.refusal
    here: list[str] = []

    def well(address: str) -> str:
        here.append(address)
        return ""

    monkeypatch.setattr(hdfs_access, "refusal", well)
    well.__module__, well.__qualname__ = asked.__module__, asked.__qualname__  # workers load the real one by its name
    with pytest.raises(UserError, match=r"^ranks cannot reach hdfs:///lake, .* is not set, so it does not"):
        hdfs_access.check(kerberized, "hdfs:///lake", 2)
    assert here == ["hdfs:///lake"]


@pytest.mark.spark
def test_without_kerberos_nobody_is_asked(kerberized: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hdfs_access, "refusal", lambda _: pytest.fail("asked"))
    hdfs_access.check(kerberized, "file:///lake", 2)
    kerberized.sparkContext._jsc.hadoopConfiguration().set(AUTHENTICATION, "simple")
    hdfs_access.check(kerberized, NOBODY, 2)


def test_what_a_process_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HADOOP_CONF_DIR", str(tmp_path))
    monkeypatch.setenv(hdfs_access.TOKENS, str(tmp_path / "tokens"))
    monkeypatch.setattr(hdfs_access, "LIBRARY", "libnobody.so.2")
    assert hdfs_access.credentials() == [
        f"HADOOP_CONF_DIR is {tmp_path}",
        f"no delegation token: {tmp_path}/tokens is not there",
        "no tickets: libnobody.so.2 is not installed",
    ]
    (tmp_path / "tokens").touch()
    assert hdfs_access.credentials()[1].startswith("a file of delegation tokens, of which none may be for this address")
