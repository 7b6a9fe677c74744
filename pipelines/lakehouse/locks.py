"""Locks of a data set that die with whoever holds them: the operating system's on a local disk, a lease on HDFS.

The driver's JVM holds them, since it is the process that commits: a lock never ends before a commit under way does.
Nothing has to be cleaned up after a kill. A local lock is free at once. A lease is free when the NameNode has not heard
of the holder for a minute (HDFS's soft limit); a holder that is only cut off may live longer than its lease, and then
the tables' transactions still let each batch in once.
"""

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import uuid4

from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession

from models.storage import files
from pipelines.config import Overlap
from pipelines.errors import Busy
from pipelines.job.progress import print_message

FOLDER = ".locks"  # below a data set's
TABLES = "tables"
RUN = "run-"
COMMIT_S = 600.0  # a commit takes a tenth of a second
PAUSES = (0.02, 1.0)  # seconds between two looks, at first and at most
HOLDER = "user.textmill.holder"  # the extended attribute of a lock's file on HDFS
REFUSED = ("AlreadyBeingCreatedException", "RecoveryInProgressException", "FileNotFoundException")

_ours: set[str] = set()  # paths that this process holds or tries: Java's locks are its JVM's as a whole
_guard = threading.Lock()


class Place(Protocol):
    """Where a lock is: one file."""

    def take(self, note: bytes) -> bool:
        """Take the lock and leave a note of the holder there; False where it is held."""

    def note(self) -> bytes:
        """What the last holder left; empty where nothing can be read."""

    def free(self) -> None:
        """Let the lock go, with its file."""


@contextmanager
def tables(spark: SparkSession, folder: str, overlap: Overlap) -> Iterator[bool]:
    """Hold the right to bring a data set's tables up to date; yields whether another job had to be waited for.

    Raises:
        Busy: another job has it, and `overlap` does not let us wait (any longer).
    """
    with held(spark, folder, TABLES, f"the data set {folder}", overlap) as waited:
        yield waited


@contextmanager
def run(spark: SparkSession, folder: str, identity: str, overlap: Overlap) -> Iterator[bool]:
    """Hold a run of a data set: its bundle, its rows, and the files that it reads; as `tables`.

    Raises:
        Busy: as `tables`.
    """
    with held(spark, folder, f"{RUN}{identity}", f"the run {identity}", overlap) as waited:
        yield waited


@contextmanager
def commit(spark: SparkSession, folder: str, table: str) -> Iterator[None]:
    """On a local disk, where two drivers may overwrite each other's commits, let one at a time commit to a table."""
    if folder.startswith("hdfs:"):
        yield  # HDFS renames to a name that is not taken, or not at all
        return
    with held(spark, folder, f"commit-{table.replace('/', '-')}", f"the log of {table}", Overlap("wait", COMMIT_S)):
        yield


def runs(spark: SparkSession, folder: str) -> dict[str, dict[str, Any]]:
    """The runs of a data set that somebody holds now: what each left as its note (`since`: seconds since 1970)."""
    found = {}
    for name in files.names(f"{folder}/{FOLDER}"):
        if name.startswith(RUN) and not name.endswith(".tmp"):
            place = _place(spark, f"{folder}/{FOLDER}/{name}")
            with _tried(place, f"{folder}/{FOLDER}/{name}", _note(spark)) as taken:
                if not taken:
                    found[name.removeprefix(RUN)] = _read(place)
    return found


@contextmanager
def held(spark: SparkSession, folder: str, name: str, what: str, overlap: Overlap) -> Iterator[bool]:
    """Hold the lock `name` of a data set, `what` in words; yields whether it had to be waited for.

    Raises:
        Busy: as `tables`.
    """
    path, began, pause = f"{folder}/{FOLDER}/{name}", time.monotonic(), PAUSES[0]
    waited = said = False
    place = _place(spark, path)
    while True:
        with _tried(place, path, _note(spark)) as taken:
            if taken:
                yield waited
                return
        passed = time.monotonic() - began
        if overlap.mode == "leave" or passed > overlap.seconds:
            after = f" after {overlap.seconds:g} seconds" if overlap.mode == "wait" else ""
            raise Busy(f"{what} is in use by {holder(place)}{after}: try again later")
        # A commit is over before anybody could read that it was waited for, and so is a file just being made.
        if not said and passed > PAUSES[1]:
            print_message(f"textmill: {what} is in use by {holder(place)}: waiting")
            said = True
        waited = True
        time.sleep(pause)
        pause = min(pause * 2, PAUSES[1])


def holder(place: Place) -> str:
    """Who holds a lock, for a sentence."""
    note = _read(place)
    if not note:
        return "another job"
    since = datetime.fromtimestamp(note["since"], UTC)
    return f"{note['job']} (process {note['process']} on {note['host']}, since {since:%Y-%m-%d %H:%M:%S} UTC)"


@contextmanager
def _tried(place: Place, path: str, note: bytes) -> Iterator[bool]:
    """One attempt; what was taken is free again after the block."""
    with _guard:
        ours = path not in _ours
        if ours:
            _ours.add(path)
    taken = False
    try:
        taken = ours and place.take(note)
        yield taken
    finally:
        if taken:
            place.free()
        if ours:
            with _guard:
                _ours.discard(path)


def _note(spark: SparkSession) -> bytes:
    job = spark.sparkContext.appName.removeprefix("textmill-")
    # The token tells this holder's file from one of the same name.
    content = {"job": job, "process": os.getpid(), "host": socket.gethostname(), "since": time.time()}
    return json.dumps(content | {"token": uuid4().hex}).encode()


def _read(place: Place) -> dict[str, Any]:
    """A holder's note; empty where it is just being written."""
    with suppress(ValueError):
        found: dict[str, Any] = json.loads(place.note())
        return found
    return {}


def _place(spark: SparkSession, path: str) -> Place:
    return _Lease(spark, path) if path.startswith("hdfs:") else _File(spark, path.removeprefix("file://"))


class _File:
    """Java's lock of a file, which is the process's (`fcntl`): children do not have it, NFS passes it on."""

    def __init__(self, spark: SparkSession, path: str) -> None:
        self.spark, self.path = spark, path
        self.made: list[str] = []
        self.file: Any = None

    def take(self, note: bytes) -> bool:
        """Open and lock the file; believe it only where the file still stands under its name."""
        assert self.spark._jvm
        self._make_folders()
        try:
            file = self.spark._jvm.java.io.RandomAccessFile(self.path, "rw")
        except Py4JJavaError as error:
            if os.path.isdir(os.path.dirname(self.path)):
                raise
            return _refused(error)  # whoever let the lock go has taken the folder away
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

    def free(self) -> None:
        """Remove the file while it is locked, so that nobody takes one that is about to go; then empty folders."""
        with suppress(FileNotFoundError):
            os.remove(self.path)
        self.file.close()
        with suppress(OSError):
            for folder in (os.path.dirname(self.path), *self.made):
                os.rmdir(folder)

    def _make_folders(self) -> None:
        """The lock's folder, and what leads there: a job that then refuses its arguments leaves no trace."""
        missing, folder = [], os.path.dirname(os.path.dirname(self.path))
        while not os.path.isdir(folder):
            missing.append(folder)
            folder = os.path.dirname(folder)
        self.made = missing or self.made
        os.makedirs(os.path.dirname(self.path), exist_ok=True)


class _Lease:
    """HDFS lets one client at a time append to a file, and ends its lease where it is silent for a minute."""

    def __init__(self, spark: SparkSession, path: str) -> None:
        assert spark._jvm
        self.hadoop = spark._jvm.org.apache.hadoop.fs
        self.path = self.hadoop.Path(path)
        self.system = self.path.getFileSystem(spark._jsc.hadoopConfiguration())
        self.stream: Any = None

    def take(self, note: bytes) -> bool:
        """Open the file for append."""
        try:
            if not self.system.exists(self.path):
                self._make()
            self.stream = self.system.append(self.path)
        except Py4JJavaError as error:
            return _refused(error)
        with suppress(Py4JJavaError):  # extended attributes may be switched off
            self.system.setXAttr(self.path, HOLDER, note)
        return True

    def note(self) -> bytes:
        """The file's attribute."""
        with suppress(Py4JJavaError):
            return bytes(self.system.getXAttr(self.path, HOLDER))
        return b""

    def free(self) -> None:
        """Remove the file while it is open, so that nobody takes one that is about to go."""
        self.system.delete(self.path, False)
        with suppress(Py4JJavaError):  # there is no file to complete
            self.stream.close()

    def _make(self) -> None:
        """An empty file, by renaming: Hadoop's client repeats a `create` that is refused for five minutes."""
        aside = self.hadoop.Path(f"{self.path}.{uuid4().hex}.tmp")
        self.system.create(aside, False).close()
        if not self.system.rename(aside, self.path):
            self.system.delete(aside, False)


def _refused(error: Py4JJavaError) -> bool:
    """False, where an exception says that the lock is not to be had now; else it is raised."""
    if not any(name in str(error.java_exception.toString()) for name in REFUSED):
        raise error
    return False
