"""hdfs-native's file system for fsspec, mended where it loses parts of names. Imported for HDFS alone."""

from hdfs_native.fsspec import HdfsFileSystem

SCHEME = "hdfs://"


class FileSystem(HdfsFileSystem):  # type: ignore[misc]
    """Files on HDFS under their exact names."""

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        # The original parses a URL, and drops what follows a `#` or a `?`: two files would be one.
        if path.startswith(SCHEME):
            path = "/" + path.removeprefix(SCHEME).partition("/")[2]
        return path.rstrip("/") or "/"
