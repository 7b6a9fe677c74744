"""Delta tables through Delta Kernel, Delta's own library for programs that write Parquet files themselves.

A table's state is read from its log by the driver's JVM without a Spark job, and the files that workers have written
become rows in one commit. Java's names are Kernel's (https://docs.delta.io/delta-kernel-java/).
"""

import json
import re
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession
from pyspark.sql.types import StructType

Key = int | str
ROOT = r"^[a-z0-9]+:(//[^/]*)?(?=/)"  # what stands before an address's path
PROPERTIES = {
    "delta.appendOnly": "true",  # old rows are never rewritten
    # Statistics of the leading column alone: nobody looks for the minimum of a text.
    "delta.dataSkippingNumIndexedCols": "1",
}


@dataclass(frozen=True)
class DataFile:
    """A Parquet file of a table: its name below the table's folder, bytes, milliseconds since 1970, rows.

    `bounds`: the least and the greatest value in the table's first column.
    """

    name: str
    size: int
    modified: int
    rows: int
    bounds: tuple[Key, Key]


def version(spark: SparkSession, path: str) -> int:
    """The newest Delta version of a table, -1 where there is none."""
    found = _snapshot(spark, path)
    return int(found.getVersion()) if found else -1


def transaction(spark: SparkSession, path: str, application: str) -> int:
    """The highest transaction version that a table has recorded for an application, 0 where there is none."""
    found = _snapshot(spark, path)
    recorded = found.getLatestTransactionVersion(_kernel(spark).engine, application) if found else None
    return int(recorded.get()) if recorded and recorded.isPresent() else 0


def properties(spark: SparkSession, path: str) -> dict[str, str]:
    """A table's properties; none where there is no table."""
    found = _snapshot(spark, path)
    return dict(found.getTableProperties()) if found else {}


def files(spark: SparkSession, path: str, column: str, first: Key | None, last: Key | None) -> list[str]:
    """The addresses of a table's files that may hold rows with `first` <= `column` <= `last` (None: no bound), sorted.

    Raises:
        AssertionError: a file has deletion vectors, which our own tables never have.
    """
    found = _snapshot(spark, path)
    if not found:
        return []
    kernel = _kernel(spark)
    builder = found.getScanBuilder()
    bounds = [
        _predicate(spark, sign, column, value) for sign, value in ((">=", first), ("<=", last)) if value is not None
    ]
    if bounds:
        builder = builder.withFilter(kernel.And(bounds[0], bounds[-1]))
    rows = builder.build().getScanFiles(_kernel(spark).engine)
    scan = kernel.ScanFiles
    names = []
    while rows.hasNext():
        batch = rows.next().getRows()
        while batch.hasNext():
            row = batch.next()
            assert scan.getDeletionVectorDescriptorFromRow(row) is None, f"{path} has deletion vectors"
            names.append(str(scan.getAddFileStatus(row).getPath()))
    return sorted(names)


def listed(spark: SparkSession, path: str, column: str) -> list[DataFile]:
    """A table's files, by the least value in `column`, its first."""
    found = _snapshot(spark, path)
    return sorted(
        (_described(path, item, column) for item in _added(spark, found)), key=lambda item: (item.bounds, item.name)
    )


def below(path: str, named: str) -> str:
    """A file's name below its table's folder, of what the log calls it: that name, or a whole address.

    Raises:
        AssertionError: the file lies elsewhere.
    """
    if not re.match(ROOT, named):
        return named
    folder, place = re.sub(ROOT, "", path) + "/", re.sub(ROOT, "", unquote(named))
    assert place.startswith(folder), f"{path} has a file elsewhere: {named}"
    return place.removeprefix(folder)


def commit(
    spark: SparkSession,
    path: str,
    schema: StructType,
    added: Iterable[DataFile],
    *,
    transaction: tuple[str, int] | None = None,
    more: Mapping[str, str] | None = None,
) -> bool:
    """Add files to a table; the first commit makes it.

    Args:
        transaction: an application and its version, which must be above the last recorded.
        more: properties of the table, besides `PROPERTIES`, where it is made here.

    Returns:
        False where that transaction is recorded already: nothing was written.
    """
    kernel = _kernel(spark)
    engine = kernel.engine
    table = kernel.Table.forPath(engine, path)
    builder = table.createTransactionBuilder(engine, "textmill", kernel.WRITE)
    if version(spark, path) < 0:
        builder = builder.withSchema(engine, kernel.Types.deserializeStructType(schema.json()))
        builder = builder.withTableProperties(engine, PROPERTIES | dict(more or {}))
    try:
        if transaction:
            builder = builder.withTransactionId(engine, *transaction)
        opened = builder.build(engine)
        state = opened.getTransactionState(engine)
        context = kernel.Transaction.getWriteContext(engine, state, {})
        root = _resolved(spark, path)
        statuses = _iterator(spark, [_status(spark, root, item, schema[0].name) for item in added])
        actions = kernel.Transaction.generateAppendActions(engine, state, statuses, context)
        done = opened.commit(engine, kernel.CloseableIterable.inMemoryIterable(actions))
    except Py4JJavaError as error:
        if _is(error, "ConcurrentTransactionException"):
            return False
        raise
    for hook in done.getPostCommitHooks():
        # A checksum file, which is optional, would take longer than the commit.
        if str(hook.getType()) == "CHECKPOINT":
            hook.threadSafeInvoke(engine)
    return True


def replace(
    spark: SparkSession,
    path: str,
    column: str,
    removed: Collection[str],
    added: Iterable[DataFile],
    *,
    transaction: tuple[str, int],
    more: Mapping[str, str] | None = None,
) -> bool:
    """Put files in the place of the files `removed`, in one commit that says: the table's content is the same.

    Args:
        column: the table's first.
        transaction: as of `commit`. Kernel looks for no conflict between removals: this is what keeps two apart.
        more: properties of the table to set with it.

    Returns:
        False where that transaction is recorded already, or some of the files are not there: nothing was written.
    """
    kernel = _kernel(spark)
    engine, actions = kernel.engine, kernel.actions
    try:
        builder = kernel.Table.forPath(engine, path).createTransactionBuilder(engine, "textmill", kernel.MANUAL_UPDATE)
        builder = builder.withTransactionId(engine, *transaction)
        opened = (builder.withTableProperties(engine, dict(more)) if more else builder).build(engine)
        found, root = _snapshot(spark, path), _resolved(spark, path)
        old = [item for item in _added(spark, found) if below(path, item.getPath()) in removed]
        if len(old) < len(removed):
            return False
        now = kernel.Optional.of(int(time.time() * 1000))
        rows = [actions.SingleAction.createRemoveFileSingleAction(item.toRemoveFileRow(False, now)) for item in old]
        new = [_add(spark, found.getSchema(), root, item, column) for item in added]
        rows += [actions.SingleAction.createAddFileSingleAction(item) for item in new]
        opened.commit(engine, kernel.CloseableIterable.inMemoryIterable(_iterator(spark, rows)))
    except Py4JJavaError as error:
        if _is(error, "ConcurrentTransactionException"):
            return False
        raise
    with suppress(Py4JJavaError):  # a checkpoint is a convenience: readers need not look at what was removed
        _snapshot(spark, path).writeCheckpoint(engine)
    return True


def _added(spark: SparkSession, found: Any) -> Iterator[Any]:
    """Kernel's `AddFile` of each file of a snapshot, with statistics."""
    kernel = _kernel(spark)
    rows = found.getScanBuilder().build().getScanFiles(kernel.engine, True)
    while rows.hasNext():
        batch = rows.next().getRows()
        while batch.hasNext():
            yield kernel.actions.AddFile(batch.next().getStruct(kernel.ScanFiles.ADD_FILE_ORDINAL))


def _described(path: str, item: Any, column: str) -> DataFile:
    told = json.loads(item.getStatsJson().get())
    bounds = told["minValues"][column], told["maxValues"][column]
    name = below(path, str(item.getPath()))
    return DataFile(name, item.getSize(), item.getModificationTime(), told["numRecords"], bounds)


def _add(spark: SparkSession, schema: Any, root: str, item: DataFile, column: str) -> Any:
    """A file as the log takes it, which changes no content."""
    kernel = _kernel(spark)
    nothing, place = kernel.Optional.empty(), kernel.Path(root).toUri()
    status = _status(spark, root, item, column)
    # No partition, no new data, no tags.
    added = kernel.actions.AddFile.convertDataFileStatus(
        schema, place, status, {}, False, {}, nothing, nothing, nothing
    )
    return added.toRow()


def _resolved(spark: SparkSession, path: str) -> str:
    """A table's folder as Kernel calls it. Of a file below another name it would note the whole address."""
    return str(_kernel(spark).engine.getFileSystemClient().resolvePath(path))


def _snapshot(spark: SparkSession, path: str) -> Any:
    try:
        return _kernel(spark).Table.forPath(_kernel(spark).engine, path).getLatestSnapshot(_kernel(spark).engine)
    except Py4JJavaError as error:
        if _is(error, "TableNotFoundException"):
            return None
        raise


def _status(spark: SparkSession, root: str, item: DataFile, column: str) -> Any:
    """A file as Kernel takes it, with statistics: its number of rows, and the bounds of its first column."""
    kernel = _kernel(spark)
    place = kernel.Column(column)
    least, greatest = ({place: _literal(spark, bound)} for bound in item.bounds)
    nothing = kernel.Optional.empty()
    statistics = kernel.DataFileStatistics(item.rows, least, greatest, {}, nothing)
    some = kernel.Optional.of(statistics)
    return kernel.DataFileStatus(f"{root}/{item.name}", item.size, item.modified, some)


def _predicate(spark: SparkSession, sign: str, column: str, value: Key) -> Any:
    kernel = _kernel(spark)
    return kernel.Predicate(sign, kernel.Column(column), _literal(spark, value))


def _literal(spark: SparkSession, value: Key) -> Any:
    literal = _kernel(spark).Literal
    return literal.ofString(value) if isinstance(value, str) else literal.ofLong(value)


def _iterator(spark: SparkSession, items: list[Any]) -> Any:
    listed = spark._jvm.java.util.ArrayList()
    for item in items:
        listed.add(item)
    return _kernel(spark).Iterators.toCloseableIterator(listed.iterator())


@dataclass(frozen=True)
class _Kernel:
    """Kernel's classes as py4j gives them, and its default engine with the session's own Hadoop settings."""

    engine: Any
    Table: Any
    Transaction: Any
    WRITE: Any
    MANUAL_UPDATE: Any
    actions: Any
    Path: Any
    Column: Any
    Literal: Any
    Predicate: Any
    And: Any
    DataFileStatistics: Any
    DataFileStatus: Any
    CloseableIterable: Any
    ScanFiles: Any
    Types: Any
    Iterators: Any
    Optional: Any


@lru_cache(maxsize=1)
def _kernel(spark: SparkSession) -> _Kernel:
    """Looked up once a session: each part of a Java name is a round trip, and there were hundreds in a job."""
    assert spark._jvm
    root = spark._jvm.io.delta.kernel
    expressions, operation = root.expressions, root.Operation
    return _Kernel(
        engine=root.defaults.engine.DefaultEngine.create(spark._jsc.hadoopConfiguration()),
        Table=root.Table,
        Transaction=root.Transaction,
        WRITE=operation.WRITE,
        MANUAL_UPDATE=operation.MANUAL_UPDATE,
        actions=root.internal.actions,
        Path=spark._jvm.org.apache.hadoop.fs.Path,
        Column=expressions.Column,
        Literal=expressions.Literal,
        Predicate=expressions.Predicate,
        And=expressions.And,
        DataFileStatistics=root.statistics.DataFileStatistics,
        DataFileStatus=root.utils.DataFileStatus,
        CloseableIterable=root.utils.CloseableIterable,
        ScanFiles=root.internal.InternalScanFileUtils,
        Types=root.internal.types.DataTypeJsonSerDe,
        Iterators=root.internal.util.Utils,
        Optional=spark._jvm.java.util.Optional,
    )


def _is(error: Py4JJavaError, name: str) -> bool:
    return str(error.java_exception.getClass().getSimpleName()) == name
