"""A data set's locks, which die with their holder: the operating system's on a local disk, a lease on HDFS.

The driver's JVM holds them, since it is the process that commits: a lock never ends before a commit under way does.
Nothing has to be cleaned up after a kill. A local lock is free at once. A lease is free when the NameNode has not heard
from the holder for a minute (HDFS's soft limit); a holder that was only cut off may outlive its lease, and then the
tables' transactions still let each batch in once.
"""

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from uuid import uuid4

from pyspark.sql import SparkSession

from models.storage import files
from pipelines.console.progress import print_message
from pipelines.errors import Busy
from pipelines.lakehouse.lock_files import LockFile, lock_file

FOLDER = ".locks"  # below a data set's folder
TABLES = "tables"
RUN = "run-"
COMMIT_S = 600.0  # a commit takes a tenth of a second
PAUSES_S = (0.02, 1.0)  # between two attempts, at first and at most

_ours: set[str] = set()  # paths that this process holds or tries: Java's locks belong to the JVM as a whole
_guard = threading.Lock()


@dataclass(frozen=True)
class Overlap:
    """What a job does if another one holds what it needs: wait for at most so many seconds, or leave at once."""

    mode: str
    seconds: float


@dataclass(frozen=True)
class Holder:
    """Who holds a lock: a job, its process and host, and since when (seconds since 1970)."""

    job: str
    process: int
    host: str
    since: float
    token: str  # tells this holder's file from another one of the same name

    def __str__(self) -> str:
        since = datetime.fromtimestamp(self.since, UTC)
        return f"{self.job} (process {self.process} on {self.host}, since {since:%Y-%m-%d %H:%M:%S} UTC)"


def tables_lock(session: SparkSession, folder: str, overlap: Overlap) -> AbstractContextManager[bool]:
    """Hold the right to update a data set's tables; yields whether it had to wait for another job.

    Raises:
        Busy: another job holds it, and `overlap` does not allow to wait (any longer).
    """
    return _hold(session, folder, TABLES, f"the data set {folder}", overlap)


def run_lock(session: SparkSession, folder: str, run: str, overlap: Overlap) -> AbstractContextManager[bool]:
    """Hold a run of a data set: its bundle, its rows, and the files that it reads; otherwise as `tables_lock`.

    Raises:
        Busy: another job holds the run, and `overlap` does not allow to wait (any longer).
    """
    return _hold(session, folder, f"{RUN}{run}", f"the run {run}", overlap)


def commit_lock(session: SparkSession, folder: str, table: str) -> AbstractContextManager[object]:
    """Let one driver at a time commit to a table on a local disk, where two may overwrite each other's commits.

    HDFS needs no lock: it renames to a free name or not at all.
    """
    if folder.startswith("hdfs:"):
        return nullcontext()
    name = f"commit-{table.replace('/', '-')}"
    return _hold(session, folder, name, f"the log of {table}", Overlap("wait", COMMIT_S))


def held_runs(session: SparkSession, folder: str) -> dict[str, Holder | None]:
    """The runs of a data set that somebody holds now, with their holders (None: unknown)."""
    runs = {}
    for name in files.names(f"{folder}/{FOLDER}"):
        if name.startswith(RUN) and not name.endswith(".tmp"):
            path = f"{folder}/{FOLDER}/{name}"
            lock = lock_file(session, path)
            with _attempt(lock, path, _note(session)) as acquired:
                if not acquired:
                    runs[name.removeprefix(RUN)] = read_holder(lock)
    return runs


def read_holder(lock: LockFile) -> Holder | None:
    """Who holds a lock; None if that is just being written."""
    with suppress(ValueError, TypeError):
        return Holder(**json.loads(lock.note()))
    return None


@contextmanager
def _hold(session: SparkSession, folder: str, name: str, what: str, overlap: Overlap) -> Iterator[bool]:
    """Hold the lock `name` of a data set, described as `what`; yields whether it had to be waited for."""
    path, began, pause = f"{folder}/{FOLDER}/{name}", time.monotonic(), PAUSES_S[0]
    waited = announced = False
    lock = lock_file(session, path)
    while True:
        with _attempt(lock, path, _note(session)) as acquired:
            if acquired:
                yield waited
                return
        elapsed = time.monotonic() - began
        if overlap.mode == "leave" or elapsed > overlap.seconds:
            after = f" after {overlap.seconds:g} seconds" if overlap.mode == "wait" else ""
            raise Busy(f"{what} is in use by {_name_holder(lock)}{after}: try again later")
        # A commit, or a file just being made, is over before anybody could read about it.
        if not announced and elapsed > PAUSES_S[1]:
            print_message(f"textmill: {what} is in use by {_name_holder(lock)}: waiting")
            announced = True
        waited = True
        time.sleep(pause)
        pause = min(pause * 2, PAUSES_S[1])


def _name_holder(lock: LockFile) -> str:
    return str(read_holder(lock) or "another job")


@contextmanager
def _attempt(lock: LockFile, path: str, note: bytes) -> Iterator[bool]:
    """One attempt; a lock that was acquired is released after the block."""
    with _guard:
        ours = path not in _ours
        if ours:
            _ours.add(path)
    acquired = False
    try:
        acquired = ours and lock.acquire(note)
        yield acquired
    finally:
        if acquired:
            lock.release()
        if ours:
            with _guard:
                _ours.discard(path)


def _note(session: SparkSession) -> bytes:
    job = session.sparkContext.appName.removeprefix("textmill-")
    holder = Holder(job, os.getpid(), socket.gethostname(), time.time(), uuid4().hex)
    return json.dumps(asdict(holder)).encode()
