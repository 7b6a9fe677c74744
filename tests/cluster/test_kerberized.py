"""Training on a real HDFS that wants Kerberos: with a container's delegation token, with a ticket, and with neither."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from tests.cluster import jars
from tests.cluster.kerberized import USER, Kerberized, kerberized
from tests.conftest import last_json
from tests.jobs import ROOT, environment, small

pytestmark = pytest.mark.cluster

ASK = "import sys; from pipelines.launch import hdfs_access; print(repr(hdfs_access.reason_unreachable(sys.argv[1])))"


@pytest.fixture(scope="module")
def cluster(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kerberized]:
    daemons, kdc = jars.class_path(), jars.class_path(jars.KDC)
    with kerberized(tmp_path_factory.mktemp("kerberized"), daemons, kdc) as started:
        yield started


@pytest.fixture(scope="module")
def token(cluster: Kerberized) -> dict[str, str]:
    """The environment of a container's processes."""
    return cluster.token(cluster.folder / "token")


def reason_unreachable(address: str, variables: dict[str, str]) -> str:
    """What a Python process says of an address, in an environment."""
    done = subprocess.run(
        [sys.executable, "-c", ASK, address],
        env=environment() | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.strip()[1:-1]


def test_a_process_with_a_containers_token_is_let_in(cluster: Kerberized, token: dict[str, str]) -> None:
    assert reason_unreachable(f"{cluster.address}/", token) == ""


def test_a_process_that_can_get_a_ticket_is_let_in(cluster: Kerberized) -> None:
    """The library takes one by the keys that are named."""
    variables = cluster.variables | {
        "KRB5_CLIENT_KTNAME": f"FILE:{cluster.keytab}",
        "KRB5CCNAME": f"FILE:{cluster.folder}/ticket",
    }
    assert reason_unreachable(f"{cluster.address}/", variables) == ""


def test_a_process_with_neither_says_so(cluster: Kerberized) -> None:
    said = reason_unreachable(cluster.address, cluster.variables)
    assert "no delegation token: HADOOP_TOKEN_FILE_LOCATION is not set" in said
    assert "\\n" not in said


def test_a_token_is_for_the_address_as_it_is_written(cluster: Kerberized, token: dict[str, str]) -> None:
    """Hadoop makes it for 127.0.0.1; hdfs-native looks for localhost."""
    said = reason_unreachable(cluster.address.replace("127.0.0.1", "localhost"), token)
    assert "a file of delegation tokens, of which none may be for this address" in said


def submit(
    cluster: Kerberized, folder: Path, variables: dict[str, str], *more: str
) -> subprocess.CompletedProcess[str]:
    """`spark-submit pipelines/train.py …` with text on the local disk and the lake on HDFS."""
    command = ["spark-submit", "--master", "local[2]", *more, str(ROOT / "pipelines" / "train.py"), *small(folder)]
    command += [f"lake={cluster.address}/lake", "train.ranks=2"]
    return subprocess.run(
        command, cwd="/", env=environment() | variables, capture_output=True, text=True, check=False, timeout=400
    )


def test_two_ranks_train_by_the_token_alone(cluster: Kerberized, token: dict[str, str], tmp_path: Path) -> None:
    done = submit(cluster, tmp_path, token)
    assert done.returncode == 0, done.stderr[-3000:]
    report = last_json(done.stdout)
    assert (report["train"]["ranks"], report["metrics"]["test"]["accuracy"]) == (2, 1.0)
    assert report["bundle"].startswith(f"{cluster.address}/lake/")


def test_without_a_token_the_launch_is_refused(cluster: Kerberized, tmp_path: Path) -> None:
    """The JVM has logged in, and would read; Python has nothing."""
    done = submit(cluster, tmp_path, cluster.variables, "--principal", USER, "--keytab", str(cluster.keytab))
    assert done.returncode == 2, done.stderr[-3000:]
    last = done.stderr.strip().splitlines()[-1]
    assert f"{cluster.address}/lake, which requires Kerberos: " in last
    assert "no delegation token: HADOOP_TOKEN_FILE_LOCATION is not set" in last
