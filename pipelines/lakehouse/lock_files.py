"""One lock, held by the driver's JVM: an operating system's file lock on a local disk, a lease on HDFS."""

import os
from contextlib import suppress
from typing import Any, Protocol
from uuid import uuid4

from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession

HOLDER_ATTRIBUTE = "user.textmill.holder"  # the extended attribute of a lock's file on HDFS
REFUSALS = ("AlreadyBeingCreatedException", "RecoveryInProgressException", "FileNotFoundException")


class LockFile(Protocol):
    """A lock that is one file."""

    def acquire(self, note: bytes) -> bool:
        """Take the lock and leave a note about the holder; False if it is held."""

    def note(self) -> bytes:
        """The note of the last holder; empty if there is none."""

    def release(self) -> None:
        """Release the lock and remove its file."""


def lock_file(session: SparkSession, path: str) -> LockFile:
    """The lock at an address."""
    return HdfsLease(session, path) if path.startswith("hdfs:") else LocalLock(session, path.removeprefix("file://"))


class LocalLock:
    """Java's lock of a file, which belongs to the process (`fcntl`): children do not inherit it, NFS passes it on."""

    def __init__(self, session: SparkSession, path: str) -> None:
        self.session, self.path = session, path
        self.created_folders: list[str] = []
        self.file: Any = None

    def acquire(self, note: bytes) -> bool:
        """Open and lock the file; False if it is held, or if its path has meanwhile become another file."""
        assert self.session._jvm
        self._make_folders()
        try:
            file = self.session._jvm.java.io.RandomAccessFile(self.path, "rw")
        except Py4JJavaError as error:
            if os.path.isdir(os.path.dirname(self.path)):
                raise
            return _is_refusal(error)  # whoever released the lock has removed the folder
        if file.getChannel().tryLock():
            file.setLength(0)
            file.write(note)
            if self.note() == note:
                self.file = file
                return True
        file.close()
        return False

    def note(self) -> bytes:
        """The file's content."""
        try:
            with open(self.path, "rb") as file:
                return file.read()
        except FileNotFoundError:
            return b""

    def release(self) -> None:
        """Remove the file while it is still locked, so that nobody locks a file about to vanish; then empty folders."""
        with suppress(FileNotFoundError):
            os.remove(self.path)
        self.file.close()
        with suppress(OSError):
            for folder in (os.path.dirname(self.path), *self.created_folders):
                os.rmdir(folder)

    def _make_folders(self) -> None:
        """Make the lock's folder and remember its new parents: a job that refuses its arguments leaves none behind."""
        missing, folder = [], os.path.dirname(os.path.dirname(self.path))
        while not os.path.isdir(folder):
            missing.append(folder)
            folder = os.path.dirname(folder)
        self.created_folders = missing or self.created_folders
        os.makedirs(os.path.dirname(self.path), exist_ok=True)


class HdfsLease:
    """HDFS lets one client at a time append to a file, and ends its lease after a minute of silence."""

    def __init__(self, session: SparkSession, path: str) -> None:
        assert session._jvm
        self.hadoop = session._jvm.org.apache.hadoop.fs
        self.path = self.hadoop.Path(path)
        self.filesystem = self.path.getFileSystem(session._jsc.hadoopConfiguration())
        self.stream: Any = None

    def acquire(self, note: bytes) -> bool:
        """Open the file for append."""
        try:
            if not self.filesystem.exists(self.path):
                self._create()
            self.stream = self.filesystem.append(self.path)
        except Py4JJavaError as error:
            return _is_refusal(error)
        with suppress(Py4JJavaError):  # extended attributes may be switched off
            self.filesystem.setXAttr(self.path, HOLDER_ATTRIBUTE, note)
        return True

    def note(self) -> bytes:
        """The file's attribute."""
        with suppress(Py4JJavaError):
            return bytes(self.filesystem.getXAttr(self.path, HOLDER_ATTRIBUTE))
        return b""

    def release(self) -> None:
        """Remove the file while it is still open, so that nobody opens a file about to vanish."""
        self.filesystem.delete(self.path, False)
        with suppress(Py4JJavaError):  # there is no file left to complete
            self.stream.close()

    def _create(self) -> None:
        """Create an empty file by renaming, because Hadoop's client repeats a refused `create` for five minutes."""
        temporary = self.hadoop.Path(f"{self.path}.{uuid4().hex}.tmp")
        self.filesystem.create(temporary, False).close()
        if not self.filesystem.rename(temporary, self.path):
            self.filesystem.delete(temporary, False)


def _is_refusal(error: Py4JJavaError) -> bool:
    """Return False if an exception means that the lock is not available now; raise any other exception."""
    if not any(name in str(error.java_exception.toString()) for name in REFUSALS):
        raise error
    return False
