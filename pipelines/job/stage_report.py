"""The report of `ingest`, `clean` and `featurize`."""

from pipelines.lakehouse.dataset import Dataset
from pipelines.stages.update import TableUpdate
from pipelines.tracking.reports import StageReport
from pipelines.tracking.run_log import RunLog, new_run


def record_stage(dataset: Dataset, job: str, source: str, update: TableUpdate) -> StageReport:
    """Report what an update did, and add the report to the table `runs` if something changed."""
    report = StageReport(
        job=job,
        status=update.status,
        run=new_run() if update.batches else None,
        source=source,
        dataset=dataset.name,
        batches=update.batches,
        rows=update.rows,
        seconds=update.seconds,
    )
    if report.run:
        RunLog(dataset).record(report)
    return report
