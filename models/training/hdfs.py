"""hdfs-native's file system for fsspec, mended where it loses parts of names or a DataNode. Imported for HDFS alone."""

import logging
import time
from typing import Any

from hdfs_native.fsspec import HdfsFileSystem

SCHEME = "hdfs://"
PAUSES_S = (1, 2, 4, 8, 16)  # a NameNode that was restarted is back by then, or a silent DataNode is known to be so
FINAL = ("AccessControlException", "QuotaExceededException")  # the NameNode's answer will be the same

log = logging.getLogger(__name__)


class FileSystem(HdfsFileSystem):  # type: ignore[misc]
    """Files on HDFS under their exact names."""

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        # The original parses a URL, and drops what follows a `#` or a `?`: two files would be one.
        if path.startswith(SCHEME):
            path = "/" + path.removeprefix(SCHEME).partition("/")[2]
        return path.rstrip("/") or "/"

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_: Any) -> None:
        """Make `path` hold `value`.

        The client gives a file up where the first DataNode that it is sent to is dead, or one dies before the last
        byte is acknowledged. Then it is written anew: the NameNode chooses others, the sooner it knows the better.

        Raises:
            OSError, RuntimeError: not even the last attempt succeeded, or no other could.
        """
        for pause in (*PAUSES_S, None):
            try:
                with self.open(path, "wb", overwrite=mode == "overwrite") as file:
                    file.write(value)
            except (OSError, RuntimeError) as error:
                if pause is None or any(name in str(error) for name in FINAL):
                    raise
                log.warning("%s could not be written: %s; once more in %d s", path, error, pause)
                time.sleep(pause)
            else:
                return
