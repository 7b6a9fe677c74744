"""The JARs of Hadoop's daemons: fetched once by Spark's own resolver, then found in its cache, and checksummed.

Not among Spark's packages: they would be on every job's class path. What they depend on ships with Spark.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from py4j.protocol import Py4JJavaError

HADOOP = "org.apache.hadoop:hadoop-client-minicluster:3.5.0"  # the version of Hadoop that pyspark 4.2.0 ships
CASTLE = "org.bouncycastle"  # YARN's daemons sign with it

SHA256 = {
    HADOOP: "06772d24529e59939915979b3edba204d367750ef7dc5120411f35221dd4818c",
    f"{CASTLE}:bcprov-jdk18on:1.80": "e8ad209f8c58d291a37ca9750e9e9fac60596956c983e49dd8282381dd8b3249",
    f"{CASTLE}:bcpkix-jdk18on:1.80": "4f4ba6a92617ea19dc183f0fa5db492eee426fdde2a0a2d6c94777ffd1af6413",
    f"{CASTLE}:bcutil-jdk18on:1.80": "22eca687f7955411f456af33e6ea8e68fc73cd80cb8b32aa5f7a8b1827d7c678",
}


def class_path(jvm: Any, wanted: Iterable[str] = tuple(SHA256)) -> str:
    """The JARs' places, as a JVM takes them.

    Raises:
        RuntimeError: one is neither in the cache nor to be had, or is not the one that we know.
    """
    return ":".join(_fetched(jvm, name) for name in wanted)


def _fetched(jvm: Any, name: str) -> str:
    address = jvm.java.net.URI.create(f"ivy://{name}?transitive=false")
    try:
        path = str(jvm.org.apache.spark.util.DependencyUtils.resolveMavenDependencies(address).head())
    except Py4JJavaError as error:
        raise RuntimeError(f"{name} is neither in Spark's Ivy cache nor to be had: it is needed once") from error
    with Path(path).open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != SHA256[name]:
        raise RuntimeError(f"{path} is not the {name} that we know: its SHA-256 is {found}; remove it and repeat")
    return path
