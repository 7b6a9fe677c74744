"""What Hadoop's daemons and clients are configured with: each daemon on its host's address, with ports of its own."""

from pathlib import Path

from tests import reaper
from tests.cluster.daemons import Host, free_port

Site = dict[str, str]
Sites = dict[str, Site]
CORE, HDFS, YARN, CAPACITY = "core-site.xml", "hdfs-site.xml", "yarn-site.xml", "capacity-scheduler.xml"

HEAP = {"SPARK_DRIVER_MEMORY": "256m"}  # spark-class gives this to a class that it does not know
# One attempt and its answer at once: whoever calls repeats it himself. By default the client tries for two minutes.
IMPATIENT = {"dfs.client.failover.max.attempts": "1"}
BY_CORES = "org.apache.hadoop.yarn.util.resource.DominantResourceCalculator"
# What a container inherits of its NodeManager's environment. The hosts have no names that lead to their addresses,
# so each passes on its own; and the reaper knows a container's processes by its variable.
PASSED_ON = ("JAVA_HOME", "HADOOP_CONF_DIR", "PATH", "LANG", "TZ", "SPARK_LOCAL_IP", reaper.VARIABLE)
NODE_MB = 8192  # what YARN may give away of a host's memory


def write_sites(conf: Path, sites: Sites) -> None:
    """Configuration files of Hadoop's."""
    conf.mkdir(parents=True, exist_ok=True)
    for file, properties in sites.items():
        lines = [
            f"<property><name>{name}</name><value>{value}</value></property>" for name, value in properties.items()
        ]
        (conf / file).write_text("\n".join(["<configuration>", *lines, "</configuration>", ""]))


def merged(one: Sites, other: Sites) -> Sites:
    """Both sites' settings; the second's count."""
    return {file: one.get(file, {}) | other.get(file, {}) for file in one | other}


def _any(host: Host) -> str:
    """Whatever port is free, for those that nobody must know beforehand."""
    return f"{host.address}:0"


def _free(host: Host) -> str:
    """A port that others are told of. One that is free here is free in a namespace that has our daemons alone."""
    return f"{host.address}:{free_port('' if host.prefix else host.address)}"


def clients(address: str, replicas: int) -> Sites:
    """For whoever reads and writes on HDFS."""
    return {
        CORE: {"fs.defaultFS": address},
        HDFS: IMPATIENT
        | {
            "dfs.replication": str(replicas),
            # Of two or three DataNodes, one that dies while it is written to cannot be replaced: go on with the others.
            "dfs.client.block.write.replace-datanode-on-failure.policy": "NEVER",
        },
    }


def name_node(address: str, host: Host, place: Path, replicas: int) -> Sites:
    """The NameNode at `address`, with its data in `place`."""
    sites = clients(address, replicas)
    sites[CORE] |= {"hadoop.tmp.dir": str(place / "data")}
    sites[HDFS] |= {
        "dfs.namenode.http-address": _any(host),
        # Safe mode, in which nothing can be written, lasts until a DataNode is there, and no longer.
        "dfs.namenode.safemode.min.datanodes": "1",
        "dfs.namenode.safemode.extension": "0",
        # There is no DNS here that would know the DataNodes' names.
        "dfs.namenode.datanode.registration.ip-hostname-check": "false",
        # A DataNode that is gone is known to be so after a quarter of a minute, not after ten.
        "dfs.namenode.heartbeat.recheck-interval": "4000",
        "dfs.namenode.stale.datanode.interval": "4000",
        "dfs.namenode.avoid.read.stale.datanode": "true",
        "dfs.namenode.avoid.write.stale.datanode": "true",
    }
    return sites


def data_node(address: str, host: Host, place: Path, replicas: int) -> Sites:
    """A DataNode on `host`, with its data in `place`."""
    sites = clients(address, replicas)
    sites[CORE] |= {"hadoop.tmp.dir": str(place / "data")}
    sites[HDFS] |= {
        "dfs.datanode.address": _any(host),
        "dfs.datanode.http.address": _any(host),
        "dfs.datanode.ipc.address": _any(host),
        "dfs.datanode.hostname": host.address,
        "dfs.heartbeat.interval": "1",
        "dfs.datanode.du.reserved": "0",
    }
    return sites


def resource_manager(hdfs: Sites, host: Host, place: Path) -> Sites:
    """The ResourceManager on `host`, one queue for all; `hdfs` is what the clients have."""
    names = ("address", "scheduler.address", "resource-tracker.address", "admin.address", "webapp.address")
    return hdfs | {
        CORE: hdfs[CORE] | {"hadoop.tmp.dir": str(place / "data")},
        YARN: {f"yarn.resourcemanager.{name}": _free(host) for name in names}
        | {
            "yarn.resourcemanager.hostname": host.address,
            "yarn.node-attribute.fs-store.root-dir": str(place / "attributes"),
            "yarn.scheduler.minimum-allocation-mb": "256",
            # A NodeManager that is gone is known to be so after a quarter of a minute, not after ten.
            "yarn.nm.liveness-monitor.expiry-interval-ms": "15000",
            "yarn.resourcemanager.nm.liveness-monitor.interval-ms": "1000",
        },
        CAPACITY: {
            "yarn.scheduler.capacity.root.queues": "default",
            "yarn.scheduler.capacity.root.default.capacity": "100",
            "yarn.scheduler.capacity.maximum-am-resource-percent": "0.5",
            # By memory and cores: by default containers of one core each are counted by memory alone.
            "yarn.scheduler.capacity.resource-calculator": BY_CORES,
        },
    }


def node_manager(manager: Sites, host: Host, place: Path, cores: int) -> Sites:
    """A NodeManager on `host`; `manager` is what the ResourceManager has."""
    names = ("address", "localizer.address", "webapp.address", "collector-service.address")
    addresses = {f"yarn.nodemanager.{name}": _free(host) for name in names}
    return manager | {
        CORE: manager[CORE] | {"hadoop.tmp.dir": str(place / "data")},
        YARN: manager[YARN]
        | addresses
        | {
            "yarn.nodemanager.hostname": host.address,
            "yarn.nodemanager.local-dirs": str(place / "local"),
            "yarn.nodemanager.log-dirs": str(place / "logs"),
            "yarn.nodemanager.resource.memory-mb": str(NODE_MB),
            "yarn.nodemanager.resource.cpu-vcores": str(cores),
            "yarn.nodemanager.env-whitelist": ",".join(PASSED_ON),
            "yarn.nodemanager.vmem-check-enabled": "false",  # a JVM reserves far more than it takes
            "yarn.nodemanager.disk-health-checker.max-disk-utilization-per-disk-percentage": "100",
            "yarn.nodemanager.delete.debug-delay-sec": "0",
        },
    }
