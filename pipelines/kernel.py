"""Delta tables through Delta Kernel, Delta's own library for programs that write Parquet files themselves.

A table's state is read from its log by the driver's JVM without a Spark job, and the files that workers have written
become rows in one commit. Java's names are Kernel's (https://docs.delta.io/delta-kernel-java/).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession
from pyspark.sql.types import StructType

PROPERTIES = {
    "delta.appendOnly": "true",  # old rows are never rewritten
    # Statistics of the leading column alone: nobody looks for the minimum of a text.
    "delta.dataSkippingNumIndexedCols": "1",
}
Key = int | str


@dataclass(frozen=True)
class DataFile:
    """A Parquet file of a table: its name below the table's folder, bytes, milliseconds since 1970, rows."""

    name: str
    size: int
    modified: int
    rows: int


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


def commit(
    spark: SparkSession,
    path: str,
    schema: StructType,
    added: Iterable[DataFile],
    *,
    key: Key,
    transaction: tuple[str, int] | None = None,
    more: Mapping[str, str] | None = None,
) -> bool:
    """Add files to a table, all of whose rows have `key` in the table's first column; the first commit makes it.

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
        statuses = _iterator(spark, [_status(spark, path, item, schema[0].name, key) for item in added])
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


def _snapshot(spark: SparkSession, path: str) -> Any:
    try:
        return _kernel(spark).Table.forPath(_kernel(spark).engine, path).getLatestSnapshot(_kernel(spark).engine)
    except Py4JJavaError as error:
        if _is(error, "TableNotFoundException"):
            return None
        raise


def _status(spark: SparkSession, path: str, item: DataFile, column: str, key: Key) -> Any:
    """A file as Kernel takes it, with statistics: its number of rows, and that all of them have the same key."""
    kernel = _kernel(spark)
    place = kernel.Column(column)
    bounds = {place: _literal(spark, key)}
    nothing = kernel.Optional.empty()
    statistics = kernel.DataFileStatistics(item.rows, bounds, bounds, {}, nothing)
    some = kernel.Optional.of(statistics)
    return kernel.DataFileStatus(f"{path}/{item.name}", item.size, item.modified, some)


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
    expressions, write = root.expressions, root.Operation.WRITE
    return _Kernel(
        engine=root.defaults.engine.DefaultEngine.create(spark._jsc.hadoopConfiguration()),
        Table=root.Table,
        Transaction=root.Transaction,
        WRITE=write,
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
