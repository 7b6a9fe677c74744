"""hdfs-native's file system for fsspec, mended where it loses parts of names, lines or a DataNode.

Imported for HDFS alone.
"""

import io
import logging
import time
from typing import Any, ClassVar

from hdfs_native import FileReader
from hdfs_native.fsspec import HdfsFileSystem

SCHEME = "hdfs://"
PAUSES_S = (1, 2, 4, 8, 16, 16)  # a NameNode's safe mode after its start is over by then, by default half a minute
WARY_S = 600.0  # by default a NameNode takes a silent DataNode for dead after ten minutes, and chooses it until then
FINAL = ("AccessControlException", "QuotaExceededException")  # the NameNode's answer will be the same

log = logging.getLogger(__name__)


class Reader(FileReader):  # type: ignore[misc]
    """A file to read, without a buffer: io.BufferedReader may be put around it."""

    # The original's gives pieces of any length, which whoever iterates over a file takes for its lines.
    __iter__ = io.RawIOBase.__iter__

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` with what follows; the number of bytes, 0 at the end."""
        piece = self.inner.read(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)


class FileSystem(HdfsFileSystem):  # type: ignore[misc]
    """Files on HDFS under their exact names."""

    # Until when this process writes to one DataNode at a time, and how many copies files are to have all the same.
    _wary: ClassVar[tuple[float, int]] = (0.0, 0)

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        # The original parses a URL, and drops what follows a `#` or a `?`: two files would be one.
        if path.startswith(SCHEME):
            path = "/" + path.removeprefix(SCHEME).partition("/")[2]
        return path.rstrip("/") or "/"

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        opened = super()._open(path, mode, **options)
        return Reader(opened.inner) if mode == "rb" else opened

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_: Any) -> None:
        """Make `path` hold `value`.

        The client gives a file up where one of the DataNodes that it is to lie on is dead. Then it is written anew,
        to one DataNode alone, which HDFS chooses, and HDFS makes the other copies itself. So are the files after it,
        for a while.

        Raises:
            ConnectionError: the NameNode does not answer, as often as the client asked.
            OSError, RuntimeError: not even the last attempt succeeded, or no other could.
        """
        for pause in (*PAUSES_S, None):
            until, copies = FileSystem._wary
            alone = 1 if time.monotonic() < until else None
            try:
                with self._created(path, mode, alone) as file:
                    file.write(value)
                if alone:
                    self.client.set_replication(self._strip_protocol(path), copies)
            except ConnectionError:
                raise
            except (OSError, RuntimeError) as error:
                if pause is None or any(name in str(error) for name in FINAL):
                    raise
                log.warning("%s could not be written: %s; once more in %d s", path, error, pause)
                time.sleep(pause)
                if not alone and (wanted := self._copies(path)):
                    FileSystem._wary = time.monotonic() + WARY_S, wanted
            else:
                return

    def _created(self, path: str, mode: str, copies: int | None) -> Any:
        """A new file to write to. The client itself asks a silent NameNode again, for minutes: we do not."""
        try:
            return self.open(path, "wb", overwrite=mode == "overwrite", replication=copies)
        except OSError as error:
            raise ConnectionError(f"the NameNode does not answer: {error}") from error

    def _copies(self, path: str) -> int | None:
        """Of how many copies a file is to be; None where the NameNode has not even heard of it."""
        try:
            return int(self.client.get_file_info(self._strip_protocol(path)).replication)
        except (OSError, RuntimeError):
            return None
