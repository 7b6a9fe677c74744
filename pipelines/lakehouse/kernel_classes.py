"""The classes of Delta Kernel that are used, looked up once per session."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession


@dataclass(frozen=True)
class KernelClasses:
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
def kernel_classes(spark: SparkSession) -> KernelClasses:
    """The classes; cached, because each part of a Java name is a round trip and a job needs hundreds of them."""
    assert spark._jvm
    root = spark._jvm.io.delta.kernel
    expressions, operation = root.expressions, root.Operation
    return KernelClasses(
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


def iterate_rows(batches: Any) -> Iterator[Any]:
    """The rows of an iterator of Kernel's filtered batches."""
    while batches.hasNext():
        rows = batches.next().getRows()
        while rows.hasNext():
            yield rows.next()


def is_exception(error: Py4JJavaError, name: str) -> bool:
    """Whether Java's exception is of the class `name`."""
    return str(error.java_exception.getClass().getSimpleName()) == name
