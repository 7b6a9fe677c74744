"""Whether Python processes can reach a Kerberized HDFS: asked before any work, in the processes that will have to.

Workers and ranks read HDFS without a JVM (hdfs-native). It takes a delegation token from the file that
HADOOP_TOKEN_FILE_LOCATION names, which YARN sets in its containers, or else a ticket, by libgssapi_krb5. What Spark's
executors have in their JVM's memory, newer tokens among it, is of no use here.
"""

import ctypes
import os

from pyspark.sql import SparkSession

from models.storage import files
from pipelines.errors import Outage, UserError
from pipelines.job.outages import told

TOKENS = "HADOOP_TOKEN_FILE_LOCATION"
LIBRARY = "libgssapi_krb5.so.2"


def check(spark: SparkSession, address: str, processes: int) -> None:
    """Look at an address on a Kerberized HDFS from as many Python processes of Spark's, and from here.

    Elsewhere nothing is done.

    Raises:
        UserError: one of them cannot reach it: why, and what it has to get in with.
        Outage: nobody answers there.
    """
    authentication = spark.sparkContext._jsc.hadoopConfiguration().get("hadoop.security.authentication", "simple")
    if not address.startswith("hdfs:") or authentication.lower() != "kerberos":
        return
    if why := refusal(address):
        raise _failure(f"the driver cannot reach {address}, which wants Kerberos: {why}")
    spread = spark.sparkContext.parallelize([address] * processes, processes)
    for why in filter(None, spread.map(refusal).collect()):
        raise _failure(f"ranks cannot reach {address}, which wants Kerberos: {why}")


def _failure(said: str) -> Exception:
    """A mistake, unless it was nobody's: where HDFS is away, the same command is to be tried again."""
    return Outage(said) if told(RuntimeError(said)) else UserError(said)


def refusal(address: str) -> str:
    """Why this process cannot look at an address, in one line; empty where it can."""
    try:
        filesystem, inner = files.locate(address)
        filesystem.exists(inner)
    except BaseException as error:  # hdfs-native panics where a token cannot be read, which is no Exception
        said = " ".join(str(error).split()) or type(error).__name__
        return f"{'; '.join(credentials())}; hdfs-native says: {said}"
    return ""


def credentials() -> list[str]:
    """What this process has to get in with, and what it lacks."""
    return [_configuration(), _tokens(), _library()]


def _configuration() -> str:
    folder = os.environ.get("HADOOP_CONF_DIR")
    return f"HADOOP_CONF_DIR is {folder}" if folder else "HADOOP_CONF_DIR is not set, so it does not know of Kerberos"


def _tokens() -> str:
    """A token's service is compared with the address as it is written; Hadoop's is an IP address, or a name service."""
    path = os.environ.get(TOKENS)
    if not path:
        return f"no delegation token: {TOKENS} is not set"
    if not os.path.exists(path):
        return f"no delegation token: {path} is not there"
    return (
        "a file of delegation tokens, of which none may be for this address: see hadoop.security.token.service.use_ip"
    )


def _library() -> str:
    try:
        ctypes.CDLL(LIBRARY)
    except OSError:
        return f"no tickets: {LIBRARY} is not installed"
    return "tickets only if klist shows one"
