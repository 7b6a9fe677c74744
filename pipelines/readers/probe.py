"""Looks at a source's new files before a batch is planned."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from types import ModuleType
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import SparkSession
from pyspark.sql.pandas.types import from_arrow_schema

from pipelines.errors import Outage, UserError
from pipelines.job.progress import step
from pipelines.lakehouse.parquet_scan import num_tasks
from pipelines.readers.formats import BrokenFile, Row, UnknownColumn, check_file
from pipelines.readers.listing import Arrival, sha256

PROBED = pa.schema(
    {
        "path": pa.string(),
        "digest": pa.string(),
        "problem": pa.string(),
        "rows": pa.bool_(),
        "unknown": pa.string(),
    }
)
JSON_SAMPLE = 1000  # rows that may lack a column before it is taken to be unknown


def probe_new_files(spark: SparkSession, source: ModuleType, options: Any, known: pa.Table | None = None) -> pa.Table:
    """The source's files that are not `known`: path, name, size, modified, and what `PROBED` says of each.

    Raises:
        UserError: nothing is at the path, no file has the columns asked for, or (with nothing known) any row.
        Outage: its file system does not answer.
    """
    with step(spark, "looking at what is new"):
        try:
            found = source.arrivals(spark, options)
        except FileNotFoundError as error:
            raise UserError(str(error)) from error
        except ConnectionError as error:
            raise Outage(str(error)) from error
        if not found:
            raise UserError(f"no file is at {options.path}")
        fresh = _table(found)
        if known is not None:
            fresh = fresh.join(known, ["path", "size", "modified"], join_type="left anti")
        if not fresh.num_rows:
            return fresh
        fresh = fresh.join(_probe(spark, fresh, source, options), "path")
        if known is not None:  # touched, but not changed
            fresh = fresh.join(known, ["path", "digest"], join_type="left anti")
    if fresh.num_rows:
        _check(fresh, options, first=known is None)
    return fresh


def _table(found: list[Arrival]) -> pa.Table:
    names = [item.name for item in dataclasses.fields(Arrival)]
    return pa.table({name: [getattr(item, name) for item in found] for name in names})


def _probe(spark: SparkSession, fresh: pa.Table, source: ModuleType, options: Any) -> pa.Table:
    """Read every new file once: its digest, what is wrong with it as a whole, whether it has any row."""

    def probe(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            rows = [_probed(path, source.rows, options) for path in batch["path"].to_pylist()]
            yield pa.RecordBatch.from_pylist(rows, PROBED)

    paths = spark.createDataFrame(fresh.select(["path"])).repartition(num_tasks(spark, fresh.num_rows))
    return paths.mapInArrow(probe, from_arrow_schema(PROBED)).toArrow()


def _probed(path: str, rows: Callable[[str, Any], Iterator[Row]], options: Any) -> dict[str, Any]:
    result = {"path": path, "digest": sha256(path), "problem": None, "rows": True, "unknown": None}
    try:
        check_file(path, getattr(options, "format", ""), getattr(options, "encoding", "utf-8"))
        sample = list(islice(rows(path, options), JSON_SAMPLE if getattr(options, "format", "") == "json" else 1))
    except UnknownColumn as error:
        return result | {"problem": str(error), "unknown": str(error)}
    except (BrokenFile, UnicodeDecodeError) as error:
        return result | {"problem": str(error)}
    missing = {row.reason for row in sample if row.reason and row.reason.startswith("no column ")}
    if len(missing) == 1 and all(row.reason for row in sample):
        return result | {"unknown": missing.pop()}
    return result | {"rows": bool(sample)}


def _check(rows: pa.Table, options: Any, *, first: bool) -> None:
    unknown = rows.filter(pc.is_valid(rows["unknown"]))
    readable = pc.and_(pc.is_null(rows["problem"]), pc.is_null(rows["unknown"]))
    if unknown.num_rows and not pc.any(readable).as_py():
        raise UserError(f"{unknown['path'][0]}: {unknown['unknown'][0]}")
    if first and not pc.any(rows["rows"]).as_py():
        raise UserError(f"{options.path} is empty: {rows.num_rows:,} files without a row")
