"""The Spark session: started by spark-submit's configuration, never configured here."""

import os
import sys

from pyspark.sql import SparkSession

from pipelines.config import UserError

DELTA = "io.delta.sql.DeltaSparkSessionExtension"


def start(job: str) -> SparkSession:
    """The running session, or a new one.

    Raises:
        UserError: this Spark was started without Delta.
    """
    # Workers must run the interpreter that has our packages; on a cluster the variable names the packed one.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    spark = SparkSession.builder.appName(f"textmill-{job}").getOrCreate()
    if DELTA not in spark.conf.get("spark.sql.extensions", ""):
        spark.stop()
        raise UserError("this Spark has no Delta: give spark-submit --properties-file conf/spark-defaults.conf")
    return spark
