"""The log of a Delta table, read and committed through Delta Kernel.

Kernel is Delta's own library for programs that write Parquet files themselves. The driver's JVM reads a table's state
from its log without a Spark job, and one commit makes files that workers have written part of the table. Names in
Java's style are Kernel's (https://docs.delta.io/delta-kernel-java/). Beside the public API, `kernel.internal` is used
for what that does not offer: scan files with statistics, and commits that remove files.
"""

import json
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession
from pyspark.sql.types import StructType

from pipelines.lakehouse.data_files import DataFile, Key, relative_name
from pipelines.lakehouse.kernel_classes import KernelClasses, is_exception, iterate_rows, kernel_classes

PROPERTIES = {
    "delta.appendOnly": "true",  # old rows are never rewritten
    # Statistics of the first column alone: no query uses the minimum of a text.
    "delta.dataSkippingNumIndexedCols": "1",
}
ENGINE = "textmill"


@dataclass(frozen=True)
class DeltaLog:
    """The log of the Delta table in the folder `path`, whose first column is `key`."""

    session: SparkSession
    path: str
    key: str

    @cached_property
    def _kernel(self) -> KernelClasses:
        return kernel_classes(self.session)

    def version(self) -> int:
        """The newest version, -1 if there is no table."""
        snapshot = self._snapshot()
        return int(snapshot.getVersion()) if snapshot else -1

    def last_transaction(self, application: str) -> int:
        """The highest transaction version recorded for an application, 0 if there is none."""
        snapshot = self._snapshot()
        recorded = snapshot.getLatestTransactionVersion(self._kernel.engine, application) if snapshot else None
        return int(recorded.get()) if recorded and recorded.isPresent() else 0

    def properties(self) -> dict[str, str]:
        """The table's properties; empty if there is no table."""
        snapshot = self._snapshot()
        return dict(snapshot.getTableProperties()) if snapshot else {}

    def paths(self, first: Key | None, last: Key | None) -> list[str]:
        """The sorted addresses of files that may hold rows with `first` <= key <= `last` (None: unbounded).

        Raises:
            AssertionError: a file has deletion vectors, which Textmill's tables never have.
        """
        snapshot = self._snapshot()
        if not snapshot:
            return []
        builder = snapshot.getScanBuilder()
        bounds = [self._predicate(sign, value) for sign, value in ((">=", first), ("<=", last)) if value is not None]
        if bounds:
            builder = builder.withFilter(self._kernel.And(bounds[0], bounds[-1]))
        scan = self._kernel.ScanFiles
        names = []
        for row in iterate_rows(builder.build().getScanFiles(self._kernel.engine)):
            assert scan.getDeletionVectorDescriptorFromRow(row) is None, f"{self.path} has deletion vectors"
            names.append(str(scan.getAddFileStatus(row).getPath()))
        return sorted(names)

    def data_files(self) -> list[DataFile]:
        """The table's files with their statistics, by the minimum of the key."""
        files = [self._described(entry) for entry in self._added(self._snapshot())]
        return sorted(files, key=lambda file: (file.bounds, file.name))

    def append(
        self,
        schema: StructType,
        files: Iterable[DataFile],
        *,
        transaction: tuple[str, int] | None = None,
        properties: Mapping[str, str] | None = None,
    ) -> bool:
        """Add files to the table; the first commit creates it.

        Args:
            schema: the table's columns, used if the commit creates it.
            files: what to add; their statistics are the number of rows and the bounds of the key.
            transaction: an application and its version, which must be above the last recorded one.
            properties: of the table, in addition to `PROPERTIES`, if the commit creates it.

        Returns:
            False if that transaction is recorded already: nothing was committed.
        """
        kernel, engine = self._kernel, self._kernel.engine
        builder = self._table().createTransactionBuilder(engine, ENGINE, kernel.WRITE)
        if self.version() < 0:
            builder = builder.withSchema(engine, kernel.Types.deserializeStructType(schema.json()))
            builder = builder.withTableProperties(engine, PROPERTIES | dict(properties or {}))
        try:
            if transaction:
                builder = builder.withTransactionId(engine, *transaction)
            opened = builder.build(engine)
            actions = self._append_actions(opened, files)
            committed = opened.commit(engine, kernel.CloseableIterable.inMemoryIterable(actions))
        except Py4JJavaError as error:
            if is_exception(error, "ConcurrentTransactionException"):
                return False
            raise
        for hook in committed.getPostCommitHooks():
            # The other hook writes a checksum file, which is optional and would take longer than the commit.
            if str(hook.getType()) == "CHECKPOINT":
                hook.threadSafeInvoke(engine)
        return True

    def replace(
        self,
        removed: Collection[str],
        added: Iterable[DataFile],
        *,
        transaction: tuple[str, int],
        properties: Mapping[str, str] | None = None,
    ) -> bool:
        """Replace the files named `removed` by others in one commit, marked as not changing the table's content.

        Args:
            removed: names below the table's folder.
            added: the files that take their place.
            transaction: as of `append`. Kernel detects no conflict between removals; only this prevents two at once.
            properties: of the table, set with the same commit.

        Returns:
            False if that transaction is recorded already, or a file is not in the table: nothing was committed.
        """
        kernel, engine = self._kernel, self._kernel.engine
        try:
            builder = self._table().createTransactionBuilder(engine, ENGINE, kernel.MANUAL_UPDATE)
            builder = builder.withTransactionId(engine, *transaction)
            if properties:
                builder = builder.withTableProperties(engine, dict(properties))
            opened = builder.build(engine)
            snapshot, root = self._snapshot(), self._resolved_folder()
            old = [entry for entry in self._added(snapshot) if relative_name(self.path, entry.getPath()) in removed]
            if len(old) < len(removed):
                return False
            new = [self._add_action(snapshot.getSchema(), root, file) for file in added]
            actions = self._iterator([*map(self._remove_action, old), *new])
            opened.commit(engine, kernel.CloseableIterable.inMemoryIterable(actions))
        except Py4JJavaError as error:
            if is_exception(error, "ConcurrentTransactionException"):
                return False
            raise
        with suppress(Py4JJavaError):  # a checkpoint only saves readers from looking at what was removed
            self._snapshot().writeCheckpoint(engine)
        return True

    def _table(self) -> Any:
        return self._kernel.Table.forPath(self._kernel.engine, self.path)

    def _snapshot(self) -> Any:
        try:
            return self._table().getLatestSnapshot(self._kernel.engine)
        except Py4JJavaError as error:
            if is_exception(error, "TableNotFoundException"):
                return None
            raise

    def _added(self, snapshot: Any) -> Iterator[Any]:
        """Kernel's `AddFile` of each file of a snapshot, with statistics."""
        batches = snapshot.getScanBuilder().build().getScanFiles(self._kernel.engine, True)
        for row in iterate_rows(batches):
            yield self._kernel.actions.AddFile(row.getStruct(self._kernel.ScanFiles.ADD_FILE_ORDINAL))

    def _described(self, entry: Any) -> DataFile:
        statistics = json.loads(entry.getStatsJson().get())
        bounds = statistics["minValues"][self.key], statistics["maxValues"][self.key]
        name = relative_name(self.path, str(entry.getPath()))
        return DataFile(name, entry.getSize(), entry.getModificationTime(), statistics["numRecords"], bounds)

    def _append_actions(self, transaction: Any, files: Iterable[DataFile]) -> Any:
        """Kernel's actions that add files with new rows to the table."""
        kernel, engine, root = self._kernel, self._kernel.engine, self._resolved_folder()
        state = transaction.getTransactionState(engine)
        context = kernel.Transaction.getWriteContext(engine, state, {})
        statuses = self._iterator([self._status(root, file) for file in files])
        return kernel.Transaction.generateAppendActions(engine, state, statuses, context)

    def _remove_action(self, entry: Any) -> Any:
        """An action that removes a file now and changes no content."""
        now = self._kernel.Optional.of(int(time.time() * 1000))
        return self._kernel.actions.SingleAction.createRemoveFileSingleAction(entry.toRemoveFileRow(False, now))

    def _add_action(self, schema: Any, root: str, file: DataFile) -> Any:
        """An action that adds a file and changes no content."""
        kernel = self._kernel
        nothing, folder = kernel.Optional.empty(), kernel.Path(root).toUri()
        # No partition, no new data, no tags.
        converted = kernel.actions.AddFile.convertDataFileStatus(
            schema, folder, self._status(root, file), {}, False, {}, nothing, nothing, nothing
        )
        return kernel.actions.SingleAction.createAddFileSingleAction(converted.toRow())

    def _resolved_folder(self) -> str:
        """The table's folder by Kernel's name for it: below any other, it would log files by whole addresses."""
        return str(self._kernel.engine.getFileSystemClient().resolvePath(self.path))

    def _status(self, root: str, file: DataFile) -> Any:
        """A file in Kernel's terms, with its number of rows and the bounds of the key."""
        kernel = self._kernel
        column = kernel.Column(self.key)
        minimum, maximum = ({column: self._literal(bound)} for bound in file.bounds)
        statistics = kernel.DataFileStatistics(file.rows, minimum, maximum, {}, kernel.Optional.empty())
        return kernel.DataFileStatus(f"{root}/{file.name}", file.size, file.modified, kernel.Optional.of(statistics))

    def _predicate(self, sign: str, value: Key) -> Any:
        return self._kernel.Predicate(sign, self._kernel.Column(self.key), self._literal(value))

    def _literal(self, value: Key) -> Any:
        literal = self._kernel.Literal
        return literal.ofString(value) if isinstance(value, str) else literal.ofLong(value)

    def _iterator(self, elements: list[Any]) -> Any:
        assert self.session._jvm
        array = self.session._jvm.java.util.ArrayList()
        for element in elements:
            array.add(element)
        return self._kernel.Iterators.toCloseableIterator(array.iterator())


def is_delta_table(session: SparkSession, path: str) -> bool:
    """Whether a folder is a Delta table."""
    return DeltaLog(session, path, key="").version() >= 0
