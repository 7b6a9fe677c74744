"""The command line of every stage: arguments in, a report out, an exit status that can be trusted."""

import json
import logging
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

from pyspark.sql import SparkSession

from models.storage import addresses, files
from pipelines.config import Config, help_text, load
from pipelines.errors import Busy, UserError
from pipelines.job import outages, progress, session, stderr

KEPT = "what was committed is kept, the same command goes on from there; a training does with its run=<name>"
Job = Callable[[SparkSession, Config], dict[str, Any]]


def main(job: str, run: Job, summary: str, *, show: Callable[[dict[str, Any]], str] | None = None) -> NoReturn:
    """Run a stage as a program; `show` makes its result readable (by default `readable`).

    Exit status: 0 done; 2 a mistake that the user can mend; 75 another job has what this one needs; 130 interrupted;
    1 anything else.
    """
    arguments = sys.argv[1:]
    stderr.separate()
    if any(argument in ("-h", "--help", "help") for argument in arguments):
        try:
            print(help_text(job, summary, arguments))
        except UserError as error:
            _leave(2, f"textmill: {error}")
        sys.exit(0)
    # Spark's Python side logs each error as one line of JSON besides raising it; the traceback is enough.
    logging.getLogger("DataFrameQueryContextLogger").setLevel(logging.CRITICAL)
    signal.signal(signal.SIGINT, interrupted)
    try:
        result = _run(job, run, arguments)
    except UserError as error:
        _leave(2, f"textmill: {error}")
    except Busy as error:
        _leave(os.EX_TEMPFAIL, f"textmill: {error}")
    except Exception as error:
        if trouble := outages.told(error):
            _leave(1, f"textmill: {trouble}; {KEPT}")
        _leave(1, f"{traceback.format_exc()}textmill: {job} failed")
    print((show or readable)(result))
    print(json.dumps(result), flush=True)
    sys.exit(0)


def interrupted(*_: object) -> NoReturn:
    """Leave at once with one sentence: the JVM gets the signal too, and what runs in it ends with it."""
    stderr.last_word(f"textmill: interrupted; {KEPT}")
    os._exit(130)


def readable(result: dict[str, Any], indent: str = "") -> str:
    """A result object for people: a line a value, nested by indentation."""
    lines = []
    for key, value in result.items():
        if isinstance(value, dict):
            lines += [f"{indent}{key}", readable(value, indent + "  ")]
        elif value is not None:
            shown = f"{value:.4f}" if isinstance(value, float) else value
            lines.append(f"{indent}{key:<{max(24 - len(indent), 1)}} {shown}")
    return "\n".join(lines)


def _run(job: str, run: Job, arguments: list[str]) -> dict[str, Any]:
    config = load(arguments, job)
    began = time.monotonic()
    spark = session.start(job)
    signal.signal(signal.SIGINT, interrupted)  # Spark has set its own
    started = time.monotonic() - began
    if config.report:
        _begin(config.report, job)
    try:
        result = run(spark, config)
    except Exception as error:
        if config.report:
            status = "busy" if isinstance(error, Busy) else "failed"
            try:
                tell(config.report, {"job": job, "status": status, "error": str(error)})
            except (OSError, RuntimeError) as other:  # the failure itself is what counts
                progress.say(f"{job}: report={config.report} cannot be written: {other}")
        raise
    result["seconds"] = {"session": round(started, 2)} | result.get("seconds", {})
    if config.report:
        tell(config.report, result)
    return result


def _begin(path: str, job: str) -> None:
    """Say that the job runs: what an earlier one reported is not taken for what this one did, if it is killed.

    Raises:
        UserError: the report cannot be written there.
    """
    try:
        tell(path, {"job": job, "status": "running"})
    except (OSError, RuntimeError) as error:
        if outages.told(error):
            raise
        raise UserError(f"report={path} cannot be written: {error}") from error


def tell(path: str, result: dict[str, Any]) -> None:
    """Write a result object where `report=` says."""
    files.write(addresses.absolute(path), json.dumps(result).encode() + b"\n")


def _leave(status: int, message: str) -> NoReturn:
    print(message, file=sys.stderr, flush=True)
    sys.exit(status)
