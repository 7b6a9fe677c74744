"""What a pod would start, by Spark's contract with its images; there is no Kubernetes here."""

import subprocess
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from tests.jobs import ROOT, environment, little_text

ENTRYPOINT = ROOT / "conf" / "kubernetes" / "entrypoint.sh"
POD = {
    "SPARK_HOME": "/spark",
    "SPARK_CONF_DIR": "/opt/spark/conf",
    "SPARK_DRIVER_BIND_ADDRESS": "10.0.0.1",
    "SPARK_DRIVER_URL": "spark://CoarseGrainedScheduler@driver:7078",
    "SPARK_EXECUTOR_ID": "1",
    "SPARK_EXECUTOR_CORES": "2",
    "SPARK_EXECUTOR_MEMORY": "1024m",
    "SPARK_EXECUTOR_POD_IP": "10.0.0.2",
    "SPARK_EXECUTOR_POD_NAME": "textmill-exec-1",
    "SPARK_APPLICATION_ID": "spark-1",
    "SPARK_RESOURCE_PROFILE_ID": "0",
    "SPARK_JAVA_OPT_0": "-Dspark.driver.port=7078",
    "SPARK_JAVA_OPT_1": "-Da=b c",
}


def started(folder: Path, *arguments: str, **more: str) -> list[str]:
    """The command that tini is given, a word a line."""
    tini = folder / "tini"
    tini.write_text('#!/bin/sh\nfor word; do echo "$word"; done\n')
    tini.chmod(0o755)
    variables = POD | more | {"PATH": f"{folder}:/usr/bin:/bin"}
    done = subprocess.run(
        [str(ENTRYPOINT), *arguments], env=variables, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:2] == ["-s", "--"]
    return done.stdout.splitlines()[2:]


def test_a_driver(tmp_path: Path) -> None:
    given = [
        "--properties-file",
        "/opt/spark/conf/spark.properties",
        "local:///opt/textmill/pipelines/train.py",
        "a=b c",
    ]
    bind = ["--conf", "spark.driver.bindAddress=10.0.0.1", "--deploy-mode", "client"]
    assert started(tmp_path, "driver", *given) == ["/spark/bin/spark-submit", *bind, *given]


def test_an_executor(tmp_path: Path) -> None:
    command = started(tmp_path, "executor", HADOOP_CONF_DIR="/opt/hadoop/conf")
    assert command[:5] == ["java", "-Dspark.driver.port=7078", "-Da=b c", "-Xms1024m", "-Xmx1024m"]
    assert command[5:8] == [
        "-cp",
        "/opt/spark/conf:/opt/hadoop/conf:/spark/jars/*",
        "org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend",
    ]
    options = dict(zip(command[8::2], command[9::2], strict=True))
    assert options == {
        "--driver-url": "spark://CoarseGrainedScheduler@driver:7078",
        "--executor-id": "1",
        "--cores": "2",
        "--app-id": "spark-1",
        "--hostname": "10.0.0.2",
        "--resourceProfileId": "0",
        "--podName": "textmill-exec-1",
    }


def test_another_command(tmp_path: Path) -> None:
    assert started(tmp_path, "python", "-c", "print(1)") == ["python", "-c", "print(1)"]


@pytest.mark.submit
def test_delta_among_sparks_jars_needs_no_packages(spark: SparkSession, tmp_path: Path) -> None:
    """As in the image; here by the class path."""
    jars = str(spark.conf.get("spark.jars")).replace("file://", "").replace(",", ":")
    options = ["--conf", "spark.jars.packages=", "--driver-class-path", jars]
    job = [str(ROOT / "pipelines" / "ingest.py"), *little_text(tmp_path)]
    command = ["spark-submit", "--master", "local[1]", *options, *job]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    assert '"status": "done"' in done.stdout
