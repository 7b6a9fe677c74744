"""A real YARN on a real HDFS: code and environment travel to containers whose Python has none of ours."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from models.storage import files
from tests.cluster.containers import ENVIRONMENT, SIZES, code_alone, packed
from tests.cluster.daemons import LOOPBACK
from tests.cluster.hadoop import Hadoop, hadoop
from tests.cluster.jars import class_path
from tests.conftest import documents, last_json, write_json
from tests.jobs import ROOT, environment

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def cluster(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hadoop]:
    """Two NodeManagers, two DataNodes, and a hundred documents on HDFS."""
    folder = tmp_path_factory.mktemp("hadoop")
    with hadoop(folder, class_path(), hosts=(LOOPBACK, LOOPBACK), cores=2) as started:
        write_json(folder / "a.json", [*documents(100), [1]])
        files.write(f"{started.address}/in/a.json", (folder / "a.json").read_bytes())
        yield started


def submit(cluster: Hadoop, mode: str, settings: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """`spark-submit --master yarn --deploy-mode <mode> pipelines/train.py …` with two ranks."""
    command = ["spark-submit", "--master", "yarn", "--deploy-mode", mode]
    for name, value in (SIZES | settings).items():
        command += ["--conf", f"{name}={value}"]
    command += [
        str(ROOT / "pipelines" / "train.py"),
        *taken(cluster),
        "train.ranks=2",
        "train.cache_gb=0.1",
        *arguments,
    ]
    variables = environment() | {"HADOOP_CONF_DIR": str(cluster.conf), "SPARK_LOCAL_IP": "127.0.0.1"}
    return subprocess.run(command, cwd="/", env=variables, capture_output=True, text=True, check=False, timeout=580)


def taken(cluster: Hadoop) -> list[str]:
    """The arguments that name the source and the lake."""
    source = ["source=files", f"source.path={cluster.address}/in", "source.format=json", "source.label=label"]
    return [*source, f"lake={cluster.address}/lake", "train.epochs=3"]


def assert_trained(cluster: Hadoop, report: dict[str, Any]) -> None:
    """Two ranks learnt the classes, and the bundle is on HDFS."""
    assert report["status"] == "done"
    assert report["train"]["ranks"] == 2
    assert report["metrics"]["test"]["accuracy"] == 1.0
    assert report["bundle"].startswith(f"{cluster.address}/lake/files/bundles/")
    assert "weights.safetensors" in files.names(report["bundle"])


def test_client_mode_with_a_packed_environment(cluster: Hadoop) -> None:
    """It lies on HDFS, where everybody may read it: each node brings it once, and keeps it for what comes later."""
    files.write(f"{cluster.address}/textmill/{ENVIRONMENT.name}", ENVIRONMENT.read_bytes())
    done = submit(cluster, "client", packed(f"hdfs:///textmill/{ENVIRONMENT.name}"))
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    report = last_json(done.stdout)
    assert_trained(cluster, report)
    assert report["rows"] == {"read": 101, "kept": 100, "quarantined": 1, "duplicates": 0, "two_labels": 0}
    for manager in cluster.node_managers:
        assert len(list(manager.folder.glob(f"local/filecache/*/{ENVIRONMENT.name}"))) == 1, "not kept for all"


def test_cluster_mode_with_our_code_alone(cluster: Hadoop, tmp_path: Path) -> None:
    """The driver is a container too: its report is in a file, and its end in the client's exit status."""
    settings, report = code_alone(tmp_path), f"{cluster.address}/report.json"
    done = submit(cluster, "cluster", settings, f"report={report}")
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    assert_trained(cluster, last_json(files.read(report).decode()))
    assert "(state: RUNNING)" in done.stderr, "the client tells nothing of a run that is elsewhere"
    assert "Uploading" not in done.stderr
    failed = submit(cluster, "cluster", settings, f"report={report}", "snapshot=77")
    assert failed.returncode not in (0, None)
    assert last_json(files.read(report).decode())["status"] == "failed"


def test_what_yarn_refuses_is_one_sentence(cluster: Hadoop) -> None:
    done = submit(cluster, "client", {"spark.yarn.queue": "nowhere"})
    assert done.returncode == 2, done.stderr[-3000:]
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("textmill: Spark does not start: Failed to submit application_")
    assert last.endswith("to unknown queue: nowhere")
    assert "Traceback" not in done.stderr
