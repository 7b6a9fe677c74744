"""The JARs of Hadoop's daemons: fetched once by Spark's own resolver, checksummed, and kept in build/jars.

`python -m tests.cluster fetch` fetches all of them before any test. They are not among Spark's packages, or they would
be on every job's class path; what they depend on ships with Spark.
"""

import fcntl
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[2] / "build" / "jars"
LOG = FOLDER.with_suffix(".log")
HADOOP = "org.apache.hadoop:hadoop-client-minicluster:3.5.0"  # the version of Hadoop that pyspark 4.2.0 ships
CASTLE = "org.bouncycastle"  # YARN's daemons sign with it

DAEMONS = {  # and their SHA-256
    HADOOP: "06772d24529e59939915979b3edba204d367750ef7dc5120411f35221dd4818c",
    f"{CASTLE}:bcprov-jdk18on:1.80": "e8ad209f8c58d291a37ca9750e9e9fac60596956c983e49dd8282381dd8b3249",
    f"{CASTLE}:bcpkix-jdk18on:1.80": "4f4ba6a92617ea19dc183f0fa5db492eee426fdde2a0a2d6c94777ffd1af6413",
    f"{CASTLE}:bcutil-jdk18on:1.80": "22eca687f7955411f456af33e6ea8e68fc73cd80cb8b32aa5f7a8b1827d7c678",
}

# A Kerberos server for one test: Hadoop's own, and what it is made of.
KERBY = "org.apache.kerby"
KDC = {
    "org.apache.hadoop:hadoop-minikdc:3.5.0": "ae8f93c61ff6795336eaf6f4886b710aa8d6143402bd7a3ad1131dbe063b6f73",
    f"{KERBY}:kerb-simplekdc:2.0.3": "5d6e018222ea62b502d6443f2cfcf46e763804d4beee1648819c61bd7fc69a48",
    f"{KERBY}:kerb-admin:2.0.3": "75d8f752bd11269bf0c81f7353f088dedb1807a4bf49673b7c954bc4966bce8d",
    f"{KERBY}:kerb-client:2.0.3": "7bdd35366f17b5f213920cc065e27dd51a5d600cfed7d481d15e1f900fec2165",
    f"{KERBY}:kerb-common:2.0.3": "99eeaaa54c3c60d8559e9ef683b64c007d8e060997ed150a33d4b80d58781205",
    f"{KERBY}:kerb-core:2.0.3": "89247dda5c0e61e8c658ed36109ca6ec662ebae9fa2c40d937466035d023419b",
    f"{KERBY}:kerb-crypto:2.0.3": "9e368bdc1e8a22e87c775e42d0a15599bdd9e16954f55a964f42ff1d9f94adb2",
    f"{KERBY}:kerb-identity:2.0.3": "1674b85cc3c3f3a353064b7f38624dcea0f4b27fa57019592bf724832cd8e9a4",
    f"{KERBY}:kerb-server:2.0.3": "4864f595851380fc0bb6295c228c7f71ef9b64cab73a8777d5426855da6dbc93",
    f"{KERBY}:kerb-util:2.0.3": "59da956d1c65f5ddfe43606ccfcccd1a4508936fb726d01b2f3753b292b97b34",
    f"{KERBY}:kerby-asn1:2.0.3": "3f1532d2bfa0dd6fec171744a07990c0046e0f2f0f65ca21780b408a3827dbd2",
    f"{KERBY}:kerby-config:2.0.3": "5137cab8fd70ce322f92a6ab7678f63d2660dab2c14d339dabae9f8e14067d06",
    f"{KERBY}:kerby-pkix:2.0.3": "aec2d810b0ad3ff939bd4c70ebfce96539642c20f52cb3fbe4852dc827fec2c9",
    f"{KERBY}:kerby-util:2.0.3": "65afc7a01a6d43b7db9e0a6768a750607fd318656da10a7f654414a5ccf5dc8a",
    f"{KERBY}:token-provider:2.0.3": "acdb18a364884296b8da9e9a192cc0fb460eaccadf3c0db1f2ef9b01d229472d",
}


SHA256 = DAEMONS | KDC


def class_path(wanted: Iterable[str] = tuple(DAEMONS)) -> str:
    """The paths of JARs, fetched if need be, as a JVM takes them.

    Raises:
        RuntimeError: a JAR can be fetched from nowhere, or its checksum is another one.
    """
    wanted = list(wanted)
    fetch(wanted)
    return ":".join(str(path_of(name)) for name in wanted)


def fetch(wanted: Iterable[str] = tuple(SHA256)) -> None:
    """Bring those JARs into build/jars that are not there intact; safe for several processes at once.

    Raises:
        RuntimeError: a JAR can be fetched from nowhere, or its checksum is another one.
    """
    with _locked():
        missing = [name for name in wanted if not is_intact(path_of(name), name)]
        if not missing:
            return
        print(f"cluster: fetching {len(missing)} JARs of Hadoop's daemons", file=sys.stderr, flush=True)
        FOLDER.mkdir(parents=True, exist_ok=True)
        with _resolver() as jvm:
            for name in missing:
                _keep(_resolved(jvm, name), name)


def path_of(name: str) -> Path:
    """Where a JAR is kept."""
    _, artifact, version = name.split(":")
    return FOLDER / f"{artifact}-{version}.jar"


def is_intact(path: Path, name: str) -> bool:
    """Whether a file is there, and is the JAR that we know."""
    return path.exists() and _digest(path) == SHA256[name]


@contextmanager
def _locked() -> Iterator[None]:
    """One process at a time, of any checkout: Ivy's cache is the user's, and Ivy itself locks nothing."""
    with Path(tempfile.gettempdir(), f"textmill-jars-{os.getuid()}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _resolver() -> Iterator[Any]:
    """A JVM with Spark's classes, which ends with the block."""
    from pyspark.java_gateway import launch_gateway

    with LOG.open("w") as log:
        gateway = launch_gateway(popen_kwargs={"stderr": log})
    try:
        yield gateway.jvm
    finally:
        gateway.shutdown()
        gateway.proc.stdin.close()  # upon which it ends
        gateway.proc.wait(timeout=60)


def _resolved(jvm: Any, name: str) -> Path:
    """The JAR in Ivy's cache."""
    from py4j.protocol import Py4JJavaError

    address = jvm.java.net.URI.create(f"ivy://{name}?transitive=false")
    try:
        return Path(str(jvm.org.apache.spark.util.DependencyUtils.resolveMavenDependencies(address).head()))
    except Py4JJavaError as error:
        raise RuntimeError(f"{name} cannot be downloaded, and is not in Ivy's cache; the log is {LOG}") from error


def _keep(found: Path, name: str) -> None:
    """Put a JAR into its place at once and whole."""
    if not is_intact(found, name):
        raise RuntimeError(
            f"{found} is not the {name} that we know: its SHA-256 is {_digest(found)}; remove it and repeat"
        )
    target = path_of(name)
    part = target.with_suffix(".part")
    shutil.copyfile(found, part)
    part.rename(target)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
