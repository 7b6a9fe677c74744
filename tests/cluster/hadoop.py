"""A real Hadoop on this machine, from its own JAR for small clusters: each daemon a process of its own.

HDFS: a NameNode and DataNodes. YARN: a ResourceManager and NodeManagers. Every daemon has a folder of its own with its
configuration, its data and its log; a host's DataNode and NodeManager share the host's address.
"""

import json
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import urlopen

import psutil
from hdfs_native import Client, WriteOptions

from tests.cluster import sites
from tests.cluster.daemons import LOOPBACK, Host, end, free_port, launch, wait_until
from tests.cluster.sites import HEAP, IMPATIENT
from tests.jobs import environment

HDFS, YARN = "org.apache.hadoop.hdfs.server", "org.apache.hadoop.yarn.server"
NAME_NODE, DATA_NODE = f"{HDFS}.namenode.NameNode", f"{HDFS}.datanode.DataNode"
RESOURCE_MANAGER = f"{YARN}.resourcemanager.ResourceManager"
NODE_MANAGER = f"{YARN}.nodemanager.NodeManager"


@dataclass
class Daemon:
    """One process of the cluster, which can be killed and started again in the same folder."""

    name: str
    folder: Path
    host: Host
    variables: dict[str, str]
    process: psutil.Popen | None = None

    @property
    def log(self) -> Path:
        """Its output since it was first started."""
        return self.folder / "log"

    def start(self) -> None:
        """Start the process, for the first time or again."""
        self.process = launch(self.log, self.name, host=self.host, **self.variables)

    def wait(self, ready: Callable[[], bool]) -> None:
        """Wait until it is ready."""
        assert self.process
        wait_until(ready, self.process, self.log)

    def kill(self) -> None:
        """SIGKILL it and the processes that it started, as if the host had lost power."""
        assert self.process
        family = [self.process, *self.process.children(recursive=True)]
        for process in family:
            process.kill()
        psutil.wait_procs(family, timeout=20)

    def end(self) -> None:
        """Terminate it in an orderly way."""
        if self.process:
            end(self.process)


@dataclass
class Hadoop:
    """`address` of HDFS (`hdfs://<host>:<port>`); `conf` is the clients' folder, for HADOOP_CONF_DIR."""

    address: str
    conf: Path
    name_node: Daemon
    data_nodes: list[Daemon] = field(default_factory=list)
    resource_manager: Daemon | None = None
    node_managers: list[Daemon] = field(default_factory=list)

    def daemons(self) -> list[Daemon]:
        """All daemons of the cluster, in the order in which they start."""
        managers = [self.resource_manager] if self.resource_manager else []
        return [self.name_node, *self.data_nodes, *managers, *self.node_managers]


@contextmanager
def hdfs(
    folder: Path,
    jars: str,
    *,
    hosts: Sequence[Host] = (LOOPBACK,),
    master: Host = LOOPBACK,
    settings: sites.Site | None = None,
) -> Iterator[Hadoop]:
    """An empty HDFS that accepts writes, with a DataNode on each host; its processes end with the block.

    `settings` are properties of HDFS for all daemons and clients.
    """
    address, replicas = f"hdfs://{master.address}:{free_port(master.address)}", min(2, len(hosts))
    own, everywhere = folder / "namenode", {sites.HDFS: settings or {}}
    site = sites.merged(sites.name_node(address, master, own, replicas), everywhere)
    started = Hadoop(address, folder / "conf", _daemon(own, NAME_NODE, master, jars, site))
    sites.write_sites(started.conf, sites.merged(sites.clients(address, replicas), everywhere))
    with ExitStack() as stack:
        stack.callback(lambda: [each.end() for each in reversed(started.daemons())])
        _format(started.name_node)
        started.name_node.start()
        started.name_node.wait(lambda: listens(address))
        for number, host in enumerate(hosts, 1):
            own = folder / f"datanode{number}"
            site = sites.merged(sites.data_node(address, host, own, replicas), everywhere)
            started.data_nodes.append(_daemon(own, DATA_NODE, host, jars, site))
            started.data_nodes[-1].start()
        started.data_nodes[-1].wait(lambda: takes_writes(address))
        yield started


@contextmanager
def hadoop(
    folder: Path, jars: str, *, hosts: Sequence[Host], master: Host = LOOPBACK, cores: int = 1
) -> Iterator[Hadoop]:
    """HDFS, and YARN with a NodeManager of `cores` cores on each host."""
    with hdfs(folder, jars, hosts=hosts, master=master) as started:
        own = folder / "resourcemanager"
        manager = sites.resource_manager(sites.clients(started.address, min(2, len(hosts))), master, own)
        started.resource_manager = _daemon(own, RESOURCE_MANAGER, master, jars, manager)
        sites.write_sites(started.conf, {sites.YARN: manager[sites.YARN]})
        started.resource_manager.start()
        page = manager[sites.YARN]["yarn.resourcemanager.webapp.address"]
        started.resource_manager.wait(lambda: running_nodes(page) == 0)
        for number, host in enumerate(hosts, 1):
            own = folder / f"nodemanager{number}"
            site = sites.node_manager(manager, host, own, cores)
            started.node_managers.append(_daemon(own, NODE_MANAGER, host, jars, site))
            started.node_managers[-1].start()
        started.node_managers[-1].wait(lambda: running_nodes(page) == len(hosts))
        yield started


def running_nodes(page: str) -> int:
    """How many NodeManagers are running, from the ResourceManager's REST interface; -1 while it does not answer."""
    try:
        with urlopen(f"http://{page}/ws/v1/cluster/metrics", timeout=10) as answer:
            return int(json.load(answer)["clusterMetrics"]["activeNodes"])
    except (OSError, ValueError):
        return -1


def listens(address: str) -> bool:
    """Whether the NameNode answers."""
    try:
        Client(address, IMPATIENT).get_file_info("/")
    except (OSError, RuntimeError):
        return False
    return True


def takes_writes(address: str) -> bool:
    """Whether a file can be written: safe mode ends a moment before the DataNode accepts its first block."""
    options = WriteOptions()
    options.overwrite = True
    try:
        with Client(address, IMPATIENT).create("/ready", options) as file:
            file.write(b"ready")
    except (OSError, RuntimeError):
        return False
    return True


def _daemon(folder: Path, name: str, host: Host, jars: str, site: sites.Sites) -> Daemon:
    sites.write_sites(folder / "conf", site)
    (folder / "tmp").mkdir()
    variables = {"HADOOP_CONF_DIR": str(folder / "conf"), "SPARK_DIST_CLASSPATH": jars}
    variables["JDK_JAVA_OPTIONS"] = f"-Djava.io.tmpdir={folder / 'tmp'}"  # a killed daemon leaves no files elsewhere
    return Daemon(name, folder, host, variables | HEAP)


def _format(first: Daemon) -> None:
    done = subprocess.run(
        [*first.host.prefix, "spark-class", NAME_NODE, "-format", "-nonInteractive"],
        env=environment() | first.variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-3000:]
