"""A real HDFS that requires Kerberos, with a Kerberos server of its own: Hadoop's MiniKdc, a NameNode, a DataNode."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import sites
from tests.cluster.daemons import LOOPBACK, daemon, free_port, wait_until
from tests.cluster.hadoop import DATA_NODE, NAME_NODE
from tests.cluster.sites import CORE, HDFS, HEAP, Sites
from tests.jobs import environment

REALM = "EXAMPLE.COM"
USER = "textmill"
SERVICE = "hdfs/localhost"  # of both daemons; the name that 127.0.0.1 has everywhere

# Spark gets a delegation token for the user who has logged in; this writes it to a file, as YARN does for a container.
FETCH = """
from pyspark.sql import SparkSession
import sys
spark = SparkSession.builder.getOrCreate()
jvm, conf = spark._jvm, spark.sparkContext._jsc.hadoopConfiguration()
credentials = jvm.org.apache.hadoop.security.UserGroupInformation.getCurrentUser().getCredentials()
assert credentials.numberOfTokens() == 1, [str(token) for token in credentials.getAllTokens()]
credentials.writeTokenStorageFile(jvm.org.apache.hadoop.fs.Path("file://" + sys.argv[1]), conf)
"""


@dataclass(frozen=True)
class Kerberized:
    """`address` is that of HDFS; `folder` contains everything else."""

    address: str
    folder: Path

    @property
    def keytab(self) -> Path:
        """The keys of all users."""
        return self.folder / "keytab"

    @property
    def variables(self) -> dict[str, str]:
        """The environment of a job on a machine that is configured for Kerberos, without a ticket or token."""
        ticket = f"FILE:{self.folder}/no-ticket"
        return {"HADOOP_CONF_DIR": str(self.folder / "conf"), "KRB5CCNAME": ticket} | known(self.folder)

    def token(self, path: Path) -> dict[str, str]:
        """`variables` with a delegation token in a file, as in a YARN container."""
        script = self.folder / "fetch.py"
        script.write_text(FETCH)
        login = ["--principal", f"{USER}@{REALM}", "--keytab", str(self.keytab)]
        done = subprocess.run(
            ["spark-submit", "--master", "local[1]", *login, str(script), str(path)],
            env=environment() | self.variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return self.variables | {"HADOOP_TOKEN_FILE_LOCATION": str(path)}


def known(folder: Path) -> dict[str, str]:
    """The variables that name the Kerberos configuration, for C libraries and for JVMs."""
    path = f"{folder}/krb5.conf"
    return {"KRB5_CONFIG": path, "JAVA_TOOL_OPTIONS": f"-Djava.security.krb5.conf={path}"}


@contextmanager
def kdc(folder: Path, jars: str) -> Iterator[None]:
    """A Kerberos server with the daemons' and the user's keys, on a free port of the loopback interface."""
    log, properties = folder / "kdc.log", folder / "kdc.properties"
    settings = {
        "org.name": REALM.split(".", maxsplit=1)[0],
        "org.domain": "COM",
        "kdc.bind.address": "127.0.0.1",
        "kdc.port": "0",
        "transport": "TCP",
        "instance": "tests",
        "debug": "false",
        "max.ticket.lifetime": "86400000",
        "min.ticket.lifetime": "3600000",
        "max.renewable.lifetime": "604800000",
    }
    properties.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
    command = ["org.apache.hadoop.minikdc.MiniKdc", str(folder), str(properties), str(folder / "keytab")]
    with daemon(log, *command, SERVICE, "HTTP/localhost", USER, SPARK_DIST_CLASSPATH=jars, **HEAP) as process:
        wait_until(lambda: "created keytab" in log.read_text(errors="replace"), process, log)
        yield


@contextmanager
def kerberized(folder: Path, jars: str, kdc_jars: str) -> Iterator[Kerberized]:
    """An empty HDFS; its processes and its Kerberos server end with the block."""
    started = Kerberized(f"hdfs://127.0.0.1:{free_port()}", folder)
    folders = {name: folder / name for name in ("namenode", "datanode")}
    shared = kerberos_settings(started)
    name_node = sites.merged(sites.name_node(started.address, LOOPBACK, folders["namenode"], 1), shared)
    data_node = sites.merged(sites.data_node(started.address, LOOPBACK, folders["datanode"], 1), shared)
    sites.write_sites(folders["namenode"] / "conf", name_node)
    sites.write_sites(folders["datanode"] / "conf", data_node)
    sites.write_sites(folder / "conf", sites.merged(sites.clients(started.address, 1), shared))
    with kdc(folder, kdc_jars):
        variables = known(folder) | {"SPARK_DIST_CLASSPATH": jars} | HEAP
        first, second = (variables | {"HADOOP_CONF_DIR": str(each / "conf")} for each in folders.values())
        command = ["spark-class", NAME_NODE, "-format", "-nonInteractive"]
        done = subprocess.run(
            command, env=environment() | first, capture_output=True, text=True, check=False, timeout=90
        )
        assert done.returncode == 0, done.stderr[-3000:]
        logs = [each / "log" for each in folders.values()]
        with daemon(logs[0], NAME_NODE, **first) as one, daemon(logs[1], DATA_NODE, **second) as other:
            block = folders["datanode"] / "data"
            wait_until(lambda: any(block.rglob("VERSION")), one, logs[0])
            wait_until(lambda: any(block.rglob("finalized")), other, logs[1])
            yield started


def kerberos_settings(cluster: Kerberized) -> Sites:
    """The settings with which HDFS requires Kerberos, while its daemons use unprivileged ports."""
    principal = f"{SERVICE}@{REALM}"
    daemons = {
        f"dfs.{name}.{key}": value
        for name in ("namenode", "datanode")
        for key, value in (("kerberos.principal", principal), ("keytab.file", str(cluster.keytab)))
    }
    return {
        CORE: {"hadoop.security.authentication": "kerberos", "hadoop.security.authorization": "true"},
        HDFS: daemons
        | {
            "dfs.block.access.token.enable": "true",
            "dfs.web.authentication.kerberos.principal": f"HTTP/localhost@{REALM}",
            "dfs.web.authentication.kerberos.keytab": str(cluster.keytab),
            "ignore.secure.ports.for.testing": "true",
            "dfs.permissions.enabled": "false",
        },
    }
