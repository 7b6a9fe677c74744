"""Checks, before any work, that the Python processes that will read a Kerberized HDFS can reach it.

Workers and ranks read HDFS without a JVM, through hdfs-native. It authenticates with a delegation token from the file
that HADOOP_TOKEN_FILE_LOCATION names, which YARN sets in its containers, or with a ticket, through libgssapi_krb5. It
cannot use the tokens in the memory of the executors' JVMs, even if they are newer.
"""

import ctypes
import os

from pyspark.sql import SparkSession

from models.storage import files
from pipelines.console.outages import describe_outage
from pipelines.errors import Outage, UserError

TOKEN_FILE_VARIABLE = "HADOOP_TOKEN_FILE_LOCATION"  # noqa: S105
KERBEROS_LIBRARY = "libgssapi_krb5.so.2"


def check_access(spark: SparkSession, address: str, processes: int) -> None:
    """Look up an address on a Kerberized HDFS, in this process and in `processes` of Spark's; do nothing for others.

    Raises:
        UserError: a process cannot reach the address; the message names its credentials.
        Outage: HDFS does not answer.
    """
    authentication = spark.sparkContext._jsc.hadoopConfiguration().get("hadoop.security.authentication", "simple")
    if not address.startswith("hdfs:") or authentication.lower() != "kerberos":
        return
    if reason := reason_unreachable(address):
        raise _access_error(f"the driver cannot reach {address}, which requires Kerberos: {reason}")
    addresses = spark.sparkContext.parallelize([address] * processes, processes)
    for reason in filter(None, addresses.map(reason_unreachable).collect()):
        raise _access_error(f"ranks cannot reach {address}, which requires Kerberos: {reason}")


def _access_error(message: str) -> Exception:
    """An outage if HDFS does not answer, so that the same command is tried again; otherwise a user's mistake."""
    return Outage(message) if describe_outage(RuntimeError(message)) else UserError(message)


def reason_unreachable(address: str) -> str:
    """Why this process cannot look up an address, in one line; empty if it can."""
    try:
        filesystem, inner = files.locate(address)
        filesystem.exists(inner)
    except BaseException as error:  # if hdfs-native cannot read a token it panics, which is not an Exception
        message = " ".join(str(error).split()) or type(error).__name__
        return f"{'; '.join(describe_credentials())}; hdfs-native says: {message}"
    return ""


def describe_credentials() -> list[str]:
    """What this process can authenticate with, and what it lacks."""
    return [_describe_configuration(), _describe_tokens(), _describe_tickets()]


def _describe_configuration() -> str:
    folder = os.environ.get("HADOOP_CONF_DIR")
    return (
        f"HADOOP_CONF_DIR is {folder}"
        if folder
        else "HADOOP_CONF_DIR is not set, so the process does not know about Kerberos"
    )


def _describe_tokens() -> str:
    """A token's service must equal the address as written; Hadoop's is an IP address or the name of a name service."""
    path = os.environ.get(TOKEN_FILE_VARIABLE)
    if not path:
        return f"no delegation token: {TOKEN_FILE_VARIABLE} is not set"
    if not os.path.exists(path):
        return f"no delegation token: {path} does not exist"
    return (
        "a file of delegation tokens, of which none may be for this address: see hadoop.security.token.service.use_ip"
    )


def _describe_tickets() -> str:
    try:
        ctypes.CDLL(KERBEROS_LIBRARY)
    except OSError:
        return f"no tickets: {KERBEROS_LIBRARY} is not installed"
    return "a ticket only if klist shows one"
