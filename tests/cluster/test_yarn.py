"""A real YARN on a real HDFS: code and environment travel to containers whose Python has none of ours."""

import os
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyspark
import pytest
from pyspark.sql import SparkSession

from models.training import files as store
from tests.cluster.daemons import LOOPBACK
from tests.cluster.hadoop import Hadoop, hadoop
from tests.cluster.jars import class_path
from tests.conftest import documents, last_json, write_json
from tests.jobs import ROOT, environment

pytestmark = pytest.mark.cluster

ENVIRONMENT, CODE = ROOT / "build" / "textmill-env.tar.gz", ROOT / "build" / "textmill.zip"
SPARK_JARS = Path(pyspark.__file__).parent / "jars"
BARE = Path(sys.base_prefix) / "bin" / "python3.11"
SIZES = {
    "spark.executor.instances": "2",
    "spark.executor.memory": "512m",
    "spark.executor.memoryOverhead": "1700m",  # a rank's processes
    "spark.driver.memory": "640m",
    "spark.yarn.jars": f"local:{SPARK_JARS}/*",  # Spark's own; every node of this cluster is this machine
}


@pytest.fixture(scope="module")
def cluster(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hadoop]:
    """Two NodeManagers, two DataNodes, and a hundred documents on HDFS."""
    folder = tmp_path_factory.mktemp("hadoop")
    with hadoop(folder, class_path(spark._jvm), hosts=(LOOPBACK, LOOPBACK), cores=2) as started:
        write_json(folder / "a.json", [*documents(100), [1]])
        store.write(f"{started.address}/in/a.json", (folder / "a.json").read_bytes())
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


def packed() -> dict[str, str]:
    """The packed environment; its Python's own libraries are the standard ones alone."""
    assert ENVIRONMENT.exists(), "make pack has not been called"
    assert subprocess.run([BARE, "-c", "import pyarrow"], capture_output=True, check=False).returncode
    return {
        "spark.yarn.dist.archives": f"{ENVIRONMENT}#environment",
        "spark.pyspark.python": "./environment/bin/python",
        "spark.pyspark.driver.python": sys.executable,
    }


def code_alone(folder: Path) -> dict[str, str]:
    """Our code, for a Python that has the libraries, but nothing of ours."""
    assert CODE.exists(), "make pack has not been called"
    venv.create(folder / "libraries", symlinks=True)
    libraries = next(Path(path) for path in sys.path if path.endswith("site-packages"))
    inside = folder / "libraries" / "lib" / "python3.11" / "site-packages"
    (inside / "libraries.pth").write_text(f"{libraries}\n")
    python = folder / "libraries" / "bin" / "python"
    for module, there in (("torch", True), ("models", False)):
        command = [python, "-c", f"import importlib.util as u, sys; sys.exit(not u.find_spec({module!r}))"]
        clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        assert (subprocess.run(command, cwd="/", env=clean, check=False).returncode == 0) is there, module
    return {
        "spark.yarn.dist.archives": f"{CODE}#textmill",
        "spark.yarn.appMasterEnv.PYTHONPATH": "textmill",
        "spark.executorEnv.PYTHONPATH": "textmill",
        "spark.pyspark.python": str(python),
    }


def assert_trained(cluster: Hadoop, report: dict[str, Any]) -> None:
    """Two ranks learnt the classes, and the bundle is on HDFS."""
    assert report["status"] == "done"
    assert report["train"]["ranks"] == 2
    assert report["metrics"]["test"]["accuracy"] == 1.0
    assert report["bundle"].startswith(f"{cluster.address}/lake/files/bundles/")
    assert "weights.safetensors" in store.names(report["bundle"])


def test_client_mode_with_a_packed_environment(cluster: Hadoop) -> None:
    done = submit(cluster, "client", packed())
    assert done.returncode == 0, done.stderr[-3000:]
    report = last_json(done.stdout)
    assert_trained(cluster, report)
    assert report["rows"] == {"read": 101, "kept": 100, "quarantined": 1, "duplicates": 0, "two_labels": 0}


def test_cluster_mode_with_our_code_alone(cluster: Hadoop, tmp_path: Path) -> None:
    """The driver is a container too: its report is in a file, and its end in the client's exit status."""
    settings, report = code_alone(tmp_path), f"{cluster.address}/report.json"
    done = submit(cluster, "cluster", settings, f"report={report}")
    assert done.returncode == 0, done.stderr[-3000:]
    assert_trained(cluster, last_json(store.read(report).decode()))
    failed = submit(cluster, "cluster", settings, f"report={report}", "snapshot=77")
    assert failed.returncode not in (0, None)
    assert last_json(store.read(report).decode())["status"] == "failed"
