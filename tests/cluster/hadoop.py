"""A real HDFS on this machine: one NameNode and one DataNode, from Hadoop's own JAR for small clusters."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from hdfs_native import Client, WriteOptions
from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession

from tests.cluster.daemons import daemon, free_port, wait_until
from tests.jobs import environment

JAR = "org.apache.hadoop:hadoop-client-minicluster:3.5.0"  # the version of Hadoop that pyspark 4.2.0 ships
SERVER = "org.apache.hadoop.hdfs.server"
# One attempt and its answer at once: whoever calls repeats it himself. By default the client tries for two minutes.
IMPATIENT = {"dfs.client.failover.max.attempts": "1"}


@dataclass(frozen=True)
class Hdfs:
    """Where it is (`hdfs://<host>:<port>`), and the folder of its configuration, for HADOOP_CONF_DIR."""

    address: str
    conf: Path


def minicluster(spark: SparkSession) -> str:
    """The JAR of HDFS's daemons, fetched once by Spark's own resolver, then found in its cache.

    Not among Spark's packages: it would be on every job's class path. What it depends on ships with Spark.
    """
    wanted = spark._jvm.java.net.URI.create(f"ivy://{JAR}?transitive=false")
    try:
        return str(spark._jvm.org.apache.spark.util.DependencyUtils.resolveMavenDependencies(wanted).head())
    except Py4JJavaError:
        pytest.fail(f"{JAR} is neither in Spark's Ivy cache nor to be had: the tests on HDFS need it once", False)


@contextmanager
def hdfs(folder: Path, jar: str) -> Iterator[Hdfs]:
    """An empty HDFS that takes writes; its processes end with the block, its files lie in `folder`."""
    address, conf = f"hdfs://127.0.0.1:{free_port()}", folder / "conf"
    configure(conf, address, folder / "data")
    variables = {"HADOOP_CONF_DIR": str(conf), "SPARK_DIST_CLASSPATH": jar, "SPARK_DRIVER_MEMORY": "256m"}
    name = f"{SERVER}.namenode.NameNode"
    formatted = subprocess.run(
        ["spark-class", name, "-format", "-nonInteractive"],
        env=environment() | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert formatted.returncode == 0, formatted.stderr[-3000:]
    with (
        daemon(folder / "namenode.log", name, **variables) as first,
        daemon(folder / "datanode.log", f"{SERVER}.datanode.DataNode", **variables) as second,
    ):
        wait_until(lambda: listens(address), first, folder / "namenode.log")
        wait_until(lambda: takes_writes(address), second, folder / "datanode.log")
        yield Hdfs(address, conf)


def configure(conf: Path, address: str, data: Path) -> None:
    """The two files that Hadoop reads: the loopback interface alone, and free ports wherever one may be asked for."""
    local = "127.0.0.1:0"
    write_site(conf / "core-site.xml", {"fs.defaultFS": address, "hadoop.tmp.dir": str(data)})
    write_site(
        conf / "hdfs-site.xml",
        IMPATIENT
        | {
            "dfs.replication": "1",
            "dfs.namenode.http-address": local,
            "dfs.datanode.address": local,
            "dfs.datanode.http.address": local,
            "dfs.datanode.ipc.address": local,
            # Safe mode, in which nothing can be written, lasts until the DataNode is there, and no longer.
            "dfs.namenode.safemode.min.datanodes": "1",
            "dfs.namenode.safemode.extension": "0",
        },
    )


def write_site(path: Path, properties: dict[str, str]) -> None:
    """A configuration file of Hadoop's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"<property><name>{name}</name><value>{value}</value></property>" for name, value in properties.items()]
    path.write_text("\n".join(["<configuration>", *lines, "</configuration>", ""]))


def listens(address: str) -> bool:
    """Whether the NameNode answers."""
    try:
        Client(address, IMPATIENT).get_file_info("/")
    except (OSError, RuntimeError):
        return False
    return True


def takes_writes(address: str) -> bool:
    """Whether a file can be written: safe mode ends a moment before the DataNode takes its first block."""
    options = WriteOptions()
    options.overwrite = True
    try:
        with Client(address, IMPATIENT).create("/ready", options) as file:
            file.write(b"ready")
    except (OSError, RuntimeError):
        return False
    return True
