"""hdfs-native's file system for fsspec, with its faults in file names, line iteration and failed DataNodes fixed.

Only imported when a path lies on HDFS.
"""

import io
import logging
import time
from typing import Any, ClassVar

from hdfs_native import FileReader
from hdfs_native.fsspec import HdfsFileSystem

SCHEME = "hdfs://"
# Between attempts to write a file: 47 s in all. A NameNode that starts stays in safe mode for half a minute by default.
RETRY_PAUSES_S = (1, 2, 4, 8, 16, 16)
# A NameNode declares a silent DataNode dead after ten minutes by default, and until then keeps choosing it.
SINGLE_COPY_S = 600.0
PERMANENT_ERRORS = ("AccessControlException", "QuotaExceededException")  # a second attempt gets the same answer

log = logging.getLogger(__name__)


class UnbufferedReader(FileReader):  # type: ignore[misc]
    """A file on HDFS opened for reading, without a buffer; io.BufferedReader can wrap it."""

    # FileReader yields chunks of any size when iterated, where callers expect the file's lines.
    __iter__ = io.RawIOBase.__iter__

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` with the next bytes; returns how many there were, 0 at the end of the file."""
        chunk = self.inner.read(len(buffer))
        buffer[: len(chunk)] = chunk
        return len(chunk)


class FileSystem(HdfsFileSystem):  # type: ignore[misc]
    """Files on HDFS under their exact names."""

    # The time (`time.monotonic`) until which this process writes each file to a single DataNode, and the replication
    # that it then asks the NameNode for.
    _single_copy: ClassVar[tuple[float, int]] = (0.0, 0)

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        # HdfsFileSystem parses the path as a URL and drops what follows a `#` or `?`: two files would become one.
        if path.startswith(SCHEME):
            path = "/" + path.removeprefix(SCHEME).partition("/")[2]
        return path.rstrip("/") or "/"

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        file = super()._open(path, mode, **options)
        return UnbufferedReader(file.inner) if mode == "rb" else file

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_: Any) -> None:
        """Write `value` to `path`, and retry if a DataNode is dead.

        The client gives up a file if one of the DataNodes chosen for its copies is dead. The file is then written
        anew to a single DataNode, which the NameNode chooses, and HDFS makes the other copies itself. For
        `SINGLE_COPY_S` seconds the following files are written in the same way.

        Raises:
            ConnectionError: The NameNode did not answer, however often the client asked.
            OSError, RuntimeError: The last attempt failed, too, or the error is one of `PERMANENT_ERRORS`.
        """
        for pause in (*RETRY_PAUSES_S, None):
            until, replication = FileSystem._single_copy
            copies = 1 if time.monotonic() < until else None
            try:
                with self._create(path, mode, copies) as file:
                    file.write(value)
                if copies:
                    self.client.set_replication(self._strip_protocol(path), replication)
            except ConnectionError:
                raise
            except (OSError, RuntimeError) as error:
                if pause is None or any(name in str(error) for name in PERMANENT_ERRORS):
                    raise
                log.warning("%s could not be written: %s; trying again in %d s", path, error, pause)
                time.sleep(pause)
                if not copies and (usual := self._replication(path)):
                    FileSystem._single_copy = time.monotonic() + SINGLE_COPY_S, usual
            else:
                return

    def _create(self, path: str, mode: str, copies: int | None) -> Any:
        """A new file opened for writing.

        The client itself asks a silent NameNode for minutes, so a failure here is not retried.
        """
        try:
            return self.open(path, "wb", overwrite=mode == "overwrite", replication=copies)
        except OSError as error:
            raise ConnectionError(f"the NameNode does not answer: {error}") from error

    def _replication(self, path: str) -> int | None:
        """The replication that the NameNode keeps for a file; None if there is no such file."""
        try:
            return int(self.client.get_file_info(self._strip_protocol(path)).replication)
        except (OSError, RuntimeError):
            return None
