"""Textmill in Airflow: text in and a model trained each night, tables maintained each Sunday.

For Airflow 3 with apache-airflow-providers-apache-spark; tests/cluster/airflow.txt has the versions that were tested.
Copy it into the folder of DAGs and change the constants. The master is that of the connection `spark_default`, such as
AIRFLOW_CONN_SPARK_DEFAULT='{"conn_type": "spark", "host": "yarn"}'; without one the provider takes YARN.
"""

import re
from datetime import datetime, timedelta

from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk import DAG, Context
from airflow.sdk.exceptions import AirflowException, AirflowFailException

PROJECT = "/opt/textmill"  # on the machines that run tasks, set up by `make setup`
DATA = [
    "source=files",
    "source.path=/srv/textmill/in",
    "source.format=json",
    "source.label=label",
    "lake=/srv/textmill/lake",
]
REPORTS = "/var/lib/textmill"
ENVIRONMENT = {
    # A task finds Airflow's Python first, whose pyspark-client has no Spark: the project's must come before it.
    "PATH": f"{PROJECT}/.venv/bin:/usr/local/bin:/usr/bin:/bin",
    "SPARK_CONF_DIR": f"{PROJECT}/conf",
    "HADOOP_CONF_DIR": "/etc/hadoop/conf",  # used if a path or the master needs Hadoop
}
MISTAKE = 2  # the exit status of a mistake that a person has to correct


class Job(SparkSubmitOperator):
    """spark-submit, tried again when it fails or another job has the data set (status 75), but not after a mistake."""

    def execute(self, context: Context) -> None:
        """Submit, and fail at once if trying again cannot help.

        Raises:
            AirflowFailException: the job's exit status is 2; its last lines say what to correct.
            AirflowException: any other failure.
        """
        try:
            super().execute(context)
        except AirflowException as failure:
            # The provider gives the status only in its message.
            status = re.search(r"Error code is: (\d+)", str(failure))
            if status and int(status[1]) == MISTAKE:
                raise AirflowFailException(str(failure)) from failure
            raise


def job(stage: str, *arguments: str) -> Job:
    """A task that submits `pipelines/<stage>.py` and leaves its report in a file."""
    return Job(
        task_id=stage,
        name=f"textmill-{stage}",
        application=f"{PROJECT}/pipelines/{stage}.py",
        application_args=[*DATA, *arguments, f"report={REPORTS}/{stage}.json"],
        env_vars=ENVIRONMENT,
        retries=4,
        retry_delay=timedelta(minutes=15),
        execution_timeout=timedelta(hours=8),
    )


with DAG("textmill_nightly", schedule="17 4 * * *", start_date=datetime(2026, 1, 1), catchup=False, max_active_runs=1):
    # Training also brings the tables up to date. As two tasks, a failure of either is seen and retried on its own.
    job("featurize") >> job("train", "train.reuse=true")

with DAG("textmill_weekly", schedule="17 7 * * 0", start_date=datetime(2026, 1, 1), catchup=False, max_active_runs=1):
    job("maintain")
