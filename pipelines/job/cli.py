"""The command line of every job: from arguments to a report and an exit status."""

import json
import logging
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NoReturn, TypeVar

from pyspark.sql import SparkSession

from models.storage import files
from pipelines.config import Config, help_text, load
from pipelines.console.outages import describe_outage
from pipelines.console.progress import print_message
from pipelines.console.stderr import print_from_signal_handler, redirect_to_jvm
from pipelines.errors import Busy, UserError
from pipelines.job import session
from pipelines.job.screen import render
from pipelines.tracking.reports import Report

KEPT = "committed work is kept, and the same command goes on from there; run=<name> resumes a training"
AnyReport = TypeVar("AnyReport", bound=Report)


def main(
    job: str,
    run: Callable[[SparkSession, Config], AnyReport],
    summary: str | None,
    *,
    show: Callable[[AnyReport], str] = render,
) -> NoReturn:
    """Run a job as a program; `show` renders its report for people.

    Exit status: 0 done; 2 a mistake that the user can correct; 75 another job holds what this one needs;
    130 interrupted; 1 anything else.
    """
    arguments = sys.argv[1:]
    redirect_to_jvm()
    if any(argument in ("-h", "--help", "help") for argument in arguments):
        try:
            print(help_text(job, summary or "", arguments))
        except UserError as error:
            _exit(2, f"textmill: {error}")
        sys.exit(0)
    # Spark's Python side also logs each error as a line of JSON; the traceback is enough.
    logging.getLogger("DataFrameQueryContextLogger").setLevel(logging.CRITICAL)
    signal.signal(signal.SIGINT, interrupted)
    try:
        report = _run(job, run, arguments)
    except UserError as error:
        _exit(2, f"textmill: {error}")
    except Busy as error:
        _exit(os.EX_TEMPFAIL, f"textmill: {error}")
    except Exception as error:
        if outage := describe_outage(error):
            _exit(1, f"textmill: {outage}; {KEPT}")
        _exit(1, f"{traceback.format_exc()}textmill: {job} failed")
    print(show(report))
    print(report.to_json(), flush=True)
    sys.exit(0)


def interrupted(*_: object) -> NoReturn:
    """Exit at once with one sentence; the JVM gets the signal as well, and ends whatever runs in it."""
    print_from_signal_handler(f"textmill: interrupted; {KEPT}")
    os._exit(130)


def _run(job: str, run: Callable[[SparkSession, Config], AnyReport], arguments: list[str]) -> AnyReport:
    config = load(arguments, job)
    began = time.monotonic()
    spark = session.start(job)
    signal.signal(signal.SIGINT, interrupted)  # Spark has replaced the handler
    started = time.monotonic() - began
    if config.report:
        _announce(config.report, job)
    try:
        report = run(spark, config)
    except Exception as error:
        if config.report:
            status = "busy" if isinstance(error, Busy) else "failed"
            try:
                write_report(config.report, {"job": job, "status": status, "error": str(error)})
            except (OSError, RuntimeError) as report_error:  # the job's own failure matters more
                print_message(f"{job}: report={config.report} cannot be written: {report_error}")
        raise
    report = replace(report, seconds={"session": round(started, 2)} | report.seconds)
    if config.report:
        write_report(config.report, report.to_dict())
    return report


def _announce(path: str, job: str) -> None:
    """Write that the job is running, so that an old report is not taken for this job's if it is killed.

    Raises:
        UserError: the file cannot be written.
    """
    try:
        write_report(path, {"job": job, "status": "running"})
    except (OSError, RuntimeError) as error:
        if describe_outage(error):
            raise
        raise UserError(f"report={path} cannot be written: {error}") from error


def write_report(path: str, content: dict[str, Any]) -> None:
    """Write a report's JSON object to the file that `report=` names."""
    files.write(path, json.dumps(content).encode() + b"\n")


def _exit(status: int, message: str) -> NoReturn:
    print(message, file=sys.stderr, flush=True)
    sys.exit(status)
