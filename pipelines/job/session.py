"""The Spark session: started by spark-submit's configuration, never configured here."""

import os
import sys

from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession

from pipelines.errors import Outage, UserError
from pipelines.job import progress

# Signs of settings that Spark or YARN refuses.
MISTAKES = ("java.lang.IllegalArgumentException", "yarn.exceptions.YarnException", "Could not parse Master URL")
STOPPED = "stopped SparkContext"  # by a master's silence, before it is used
DELTA = "io.delta.sql.DeltaSparkSessionExtension"


def start(job: str) -> SparkSession:
    """The running session, or a new one.

    Raises:
        UserError: this Spark was started without Delta, or with settings that it or YARN refuses.
        Outage: it does not start: no master, no ResourceManager that answers.
    """
    # Workers must run the interpreter that has our packages; on a cluster the variable names the packed one.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    try:
        with progress.wait("starting Spark"):
            spark = SparkSession.builder.appName(f"textmill-{job}").getOrCreate()
    except Py4JJavaError as error:
        said = str(error.java_exception.toString()).splitlines()[0]
        reason = "its master is gone, as said above" if STOPPED in said else said.partition(": ")[2] or said
        mistake = any(sign in said for sign in MISTAKES)
        raise (UserError if mistake else Outage)(f"Spark does not start: {reason}") from error
    if DELTA not in spark.conf.get("spark.sql.extensions", ""):
        spark.stop()
        raise UserError("this Spark has no Delta: give spark-submit --properties-file conf/spark-defaults.conf")
    return spark
