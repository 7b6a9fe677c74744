"""The Spark session, which takes its whole configuration from spark-submit."""

import os
import sys

from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession

from pipelines.console.progress import timed_progress
from pipelines.errors import Outage, UserError

# How to recognise the exception of a session that does not start: refused settings, or a master that is gone.
REFUSED_SETTINGS = ("java.lang.IllegalArgumentException", "yarn.exceptions.YarnException", "Could not parse Master URL")
MASTER_GONE = "stopped SparkContext"
DELTA_EXTENSION = "io.delta.sql.DeltaSparkSessionExtension"


def start(job: str) -> SparkSession:
    """The running session, or a new one.

    Raises:
        UserError: Spark was started without Delta, or with settings that Spark or YARN refuses.
        Outage: Spark cannot start now, for example because no master or no ResourceManager answers.
    """
    # Workers must run the interpreter that has the packages; on a cluster the variable names that of `make pack`.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    try:
        with timed_progress("starting Spark"):
            spark = SparkSession.builder.appName(f"textmill-{job}").getOrCreate()
    except Py4JJavaError as error:
        message = str(error.java_exception.toString()).splitlines()[0]
        reason = "its master is gone (see the messages above)" if MASTER_GONE in message else _without_class(message)
        is_mistake = any(pattern in message for pattern in REFUSED_SETTINGS)
        raise (UserError if is_mistake else Outage)(f"Spark does not start: {reason}") from error
    if DELTA_EXTENSION not in spark.conf.get("spark.sql.extensions", ""):
        spark.stop()
        raise UserError(
            "this Spark runs without Delta: pass --properties-file conf/spark-defaults.conf to spark-submit"
        )
    return spark


def _without_class(message: str) -> str:
    """A Java exception's message without the name of its class, unless it consists of that alone."""
    return message.partition(": ")[2] or message
