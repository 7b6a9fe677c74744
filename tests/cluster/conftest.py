"""A cluster of two hosts, for those tests that need more than one address."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from pyspark.sql import SparkSession

from models.storage import files
from tests.cluster import hosts
from tests.cluster.daemons import Host
from tests.cluster.hadoop import Hadoop, hadoop
from tests.cluster.jars import class_path
from tests.conftest import documents, write_json


@dataclass(frozen=True)
class Hosts:
    """The cluster, this machine's address in it, and the two hosts."""

    cluster: Hadoop
    master: Host
    nodes: list[Host]

    def settings(self, mode: str = "client") -> dict[str, str]:
        """Spark's, for an executor on each host: of YARN's 8 GB two do not fit on one. A client's driver is here."""
        apart = {"spark.executor.memoryOverhead": "4g", "spark.yarn.am.memory": "512m"}
        here = {"spark.driver.host": self.master.address, "spark.pyspark.driver.python": sys.executable}
        return apart | (here if mode == "client" else {})


@pytest.fixture(scope="module")
def several(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    """Two hosts in network namespaces, a DataNode and a NodeManager on each."""
    folder = tmp_path_factory.mktemp("hosts")
    with (
        hosts.hosts(2) as (master, nodes),
        hadoop(folder, class_path(), hosts=nodes, master=master, cores=2) as started,
    ):
        write_json(folder / "a.json", documents(400))
        files.write(f"{started.address}/in/a.json", (folder / "a.json").read_bytes())
        yield Hosts(started, master, nodes)
