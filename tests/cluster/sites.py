"""The configuration of Hadoop's daemons and clients: each daemon has its host's address, and ports of its own."""

from pathlib import Path

from tests import reaper
from tests.cluster.daemons import Host, free_port

Site = dict[str, str]
Sites = dict[str, Site]
CORE, HDFS, YARN, CAPACITY = "core-site.xml", "hdfs-site.xml", "yarn-site.xml", "capacity-scheduler.xml"

HEAP = {"SPARK_DRIVER_MEMORY": "256m"}  # spark-class gives this to a class that it does not know
# The client makes one attempt, and its caller repeats it; by default it would try for two minutes.
IMPATIENT = {"dfs.client.failover.max.attempts": "1"}
BY_CORES = "org.apache.hadoop.yarn.util.resource.DominantResourceCalculator"
# What a container inherits of its NodeManager's environment. The hosts have no names that lead to their addresses,
# so each passes on its own; and the reaper knows a container's processes by its variable.
PASSED_ON = ("JAVA_HOME", "HADOOP_CONF_DIR", "PATH", "LANG", "TZ", "SPARK_LOCAL_IP", reaper.VARIABLE)
NODE_MB = 8192  # what YARN may give away of a host's memory


def write_sites(conf: Path, sites: Sites) -> None:
    """Write Hadoop's configuration files."""
    conf.mkdir(parents=True, exist_ok=True)
    for file, properties in sites.items():
        lines = [
            f"<property><name>{name}</name><value>{value}</value></property>" for name, value in properties.items()
        ]
        (conf / file).write_text("\n".join(["<configuration>", *lines, "</configuration>", ""]))


def merged(one: Sites, other: Sites) -> Sites:
    """The settings of both sites; those of the second take precedence."""
    return {file: one.get(file, {}) | other.get(file, {}) for file in one | other}


def _any(host: Host) -> str:
    """Any free port, for a server that nobody needs to know beforehand."""
    return f"{host.address}:0"


def _free(host: Host) -> str:
    """A port that is known beforehand. If it is free here, it is free in a namespace with our daemons only."""
    return f"{host.address}:{free_port('' if host.prefix else host.address)}"


def clients(address: str, replicas: int) -> Sites:
    """The settings of clients, and of daemons as clients of each other."""
    return {
        CORE: {"fs.defaultFS": address},
        HDFS: IMPATIENT
        | {
            "dfs.replication": str(replicas),
            # With two or three DataNodes, one that dies during a write cannot be replaced: continue with the rest.
            "dfs.client.block.write.replace-datanode-on-failure.policy": "NEVER",
        },
    }


def name_node(address: str, host: Host, folder: Path, replicas: int) -> Sites:
    """The NameNode at `address`, with its data in `folder`."""
    sites = clients(address, replicas)
    sites[CORE] |= {"hadoop.tmp.dir": str(folder / "data")}
    sites[HDFS] |= {
        "dfs.namenode.http-address": _any(host),
        # Safe mode, in which nothing can be written, ends as soon as a DataNode has registered.
        "dfs.namenode.safemode.min.datanodes": "1",
        "dfs.namenode.safemode.extension": "0",
        # The DataNodes' names are in no DNS.
        "dfs.namenode.datanode.registration.ip-hostname-check": "false",
        # A lost DataNode is noticed after 15 seconds instead of ten minutes.
        "dfs.namenode.heartbeat.recheck-interval": "4000",
        "dfs.namenode.stale.datanode.interval": "4000",
        "dfs.namenode.avoid.read.stale.datanode": "true",
        "dfs.namenode.avoid.write.stale.datanode": "true",
    }
    return sites


def data_node(address: str, host: Host, folder: Path, replicas: int) -> Sites:
    """A DataNode on `host`, with its data in `folder`."""
    sites = clients(address, replicas)
    sites[CORE] |= {"hadoop.tmp.dir": str(folder / "data")}
    sites[HDFS] |= {
        "dfs.datanode.address": _any(host),
        "dfs.datanode.http.address": _any(host),
        "dfs.datanode.ipc.address": _any(host),
        "dfs.datanode.hostname": host.address,
        "dfs.heartbeat.interval": "1",
        "dfs.datanode.du.reserved": "0",
    }
    return sites


def resource_manager(hdfs: Sites, host: Host, folder: Path) -> Sites:
    """The ResourceManager on `host` with one queue; `hdfs` are the clients' settings."""
    names = ("address", "scheduler.address", "resource-tracker.address", "admin.address", "webapp.address")
    return hdfs | {
        CORE: hdfs[CORE] | {"hadoop.tmp.dir": str(folder / "data")},
        YARN: {f"yarn.resourcemanager.{name}": _free(host) for name in names}
        | {
            "yarn.resourcemanager.hostname": host.address,
            "yarn.node-attribute.fs-store.root-dir": str(folder / "attributes"),
            "yarn.scheduler.minimum-allocation-mb": "256",
            # A lost NodeManager is noticed after 15 seconds instead of ten minutes.
            "yarn.nm.liveness-monitor.expiry-interval-ms": "15000",
            "yarn.resourcemanager.nm.liveness-monitor.interval-ms": "1000",
        },
        CAPACITY: {
            "yarn.scheduler.capacity.root.queues": "default",
            "yarn.scheduler.capacity.root.default.capacity": "100",
            "yarn.scheduler.capacity.maximum-am-resource-percent": "0.5",
            # Count memory and cores: by default only memory is counted.
            "yarn.scheduler.capacity.resource-calculator": BY_CORES,
        },
    }


def node_manager(manager: Sites, host: Host, folder: Path, cores: int) -> Sites:
    """A NodeManager on `host`; `manager` are the ResourceManager's settings."""
    names = ("address", "localizer.address", "webapp.address", "collector-service.address")
    addresses = {f"yarn.nodemanager.{name}": _free(host) for name in names}
    return manager | {
        CORE: manager[CORE] | {"hadoop.tmp.dir": str(folder / "data")},
        YARN: manager[YARN]
        | addresses
        | {
            "yarn.nodemanager.hostname": host.address,
            "yarn.nodemanager.local-dirs": str(folder / "local"),
            "yarn.nodemanager.log-dirs": str(folder / "logs"),
            "yarn.nodemanager.resource.memory-mb": str(NODE_MB),
            "yarn.nodemanager.resource.cpu-vcores": str(cores),
            "yarn.nodemanager.env-whitelist": ",".join(PASSED_ON),
            "yarn.nodemanager.vmem-check-enabled": "false",  # a JVM reserves far more than it uses
            "yarn.nodemanager.disk-health-checker.max-disk-utilization-per-disk-percentage": "100",
            "yarn.nodemanager.delete.debug-delay-sec": "0",
        },
    }
