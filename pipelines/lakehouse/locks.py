"""A data set's locks, which die with their holder: the operating system's on a local disk, a lease on HDFS.

`tables_lock` is taken to update tables (`stages.update`) and to maintain them (the job `maintain`), `run_lock` to train
a run (`stages.training`) and by `evaluate`, `ensemble` and `compare`, `commit_lock` for each commit (`tables`).

The driver's JVM holds the locks, because it is the process that commits: a lock never ends before a commit under way
does. Nothing has to be cleaned up after a kill. A local lock is free at once. A lease is free when the NameNode has not
heard from the holder for a minute (HDFS's soft limit). A holder that was only cut off may outlive its lease; even then
the tables' transactions let each batch in only once.
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
COMMIT_S = 600.0  # how long to wait for another commit, which takes a tenth of a second
PAUSES_S = (0.02, 1.0)  # between two attempts: the first pause and the longest

# Paths of the locks that this process holds or is trying to get: Java's locks belong to the JVM as a whole.
_own_paths: set[str] = set()
_guard = threading.Lock()


@dataclass(frozen=True)
class Overlap:
    """What a job does if another one holds what it needs: `mode` "wait", for at most `seconds`, or "leave" at once."""

    mode: str
    seconds: float


@dataclass(frozen=True)
class Holder:
    """Who holds a lock: a job, its process and host, and the time it took the lock (seconds since 1970)."""

    job: str
    process: int
    host: str
    since: float
    token: str  # distinguishes this holder's note from all others

    def __str__(self) -> str:
        since = datetime.fromtimestamp(self.since, UTC)
        return f"{self.job} (process {self.process} on {self.host}, since {since:%Y-%m-%d %H:%M:%S} UTC)"


def tables_lock(session: SparkSession, folder: str, overlap: Overlap) -> AbstractContextManager[bool]:
    """Lock a data set's tables for an update; yields whether it had to wait for another job.

    Raises:
        Busy: another job holds the lock, and `overlap` does not allow waiting (any longer).
    """
    return _hold(session, folder, TABLES, f"the data set {folder}", overlap)


def run_lock(session: SparkSession, folder: str, run: str, overlap: Overlap) -> AbstractContextManager[bool]:
    """Lock a run of a data set: its bundle, its rows, and the files that it reads; otherwise as `tables_lock`.

    Raises:
        Busy: another job holds the run, and `overlap` does not allow waiting (any longer).
    """
    return _hold(session, folder, f"{RUN}{run}", f"the run {run}", overlap)


def commit_lock(session: SparkSession, folder: str, table: str) -> AbstractContextManager[object]:
    """Let only one driver at a time commit to a table on a local disk, where two could overwrite each other's commits.

    HDFS needs no lock: it never renames a file to a name that is taken.
    """
    if folder.startswith("hdfs:"):
        return nullcontext()
    name = f"commit-{table.replace('/', '-')}"
    return _hold(session, folder, name, f"the log of {table}", Overlap("wait", COMMIT_S))


def held_runs(session: SparkSession, folder: str) -> dict[str, Holder | None]:
    """The runs of a data set that are locked now, with the locks' holders (None: unknown)."""
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
    """Who holds a lock; None while the holder is still writing its note."""
    with suppress(ValueError, TypeError):
        return Holder(**json.loads(lock.note()))
    return None


@contextmanager
def _hold(session: SparkSession, folder: str, name: str, what: str, overlap: Overlap) -> Iterator[bool]:
    """Hold the lock `name` of a data set, called `what` in messages; yields whether it had to wait."""
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
        # Whoever only commits, or is just creating the file, is done before anybody could read the message.
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
    """Try once; yields whether the lock was acquired, and releases it after the block."""
    with _guard:
        is_free = path not in _own_paths
        if is_free:
            _own_paths.add(path)
    acquired = False
    try:
        acquired = is_free and lock.acquire(note)
        yield acquired
    finally:
        if acquired:
            lock.release()
        if is_free:
            with _guard:
                _own_paths.discard(path)


def _note(session: SparkSession) -> bytes:
    job = session.sparkContext.appName.removeprefix("textmill-")
    holder = Holder(job, os.getpid(), socket.gethostname(), time.time(), uuid4().hex)
    return json.dumps(asdict(holder)).encode()
