"""The content of a file on a local disk, on HDFS or in an installed package, as a stream of bytes."""

import gzip
import hashlib
import io
import zlib
from collections.abc import Iterator
from typing import IO, cast

from models.storage.files import locate
from pipelines.readers.locations import resolve_package
from pipelines.readers.rows import BrokenFile

CHUNK_BYTES = 1 << 20


def open_raw(path: str) -> IO[bytes]:
    """A file's bytes as they are stored; iterating over the stream yields lines."""
    filesystem, inner = locate(resolve_package(path))
    stream = filesystem.open(inner, "rb")
    return io.BufferedReader(stream, CHUNK_BYTES) if isinstance(stream, io.RawIOBase) else stream


def open_decompressed(path: str) -> IO[bytes]:
    """A file's bytes, decompressed if its name ends in `.gz`."""
    stream = open_raw(path)
    return cast(IO[bytes], gzip.GzipFile(fileobj=stream)) if path.endswith(".gz") else stream


def read_chunks(stream: IO[bytes]) -> Iterator[bytes]:
    """A stream's content in chunks of at most `CHUNK_BYTES`."""
    while chunk := stream.read(CHUNK_BYTES):
        yield chunk


def sha256(path: str) -> str:
    """The SHA-256 digest of a file's stored bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with open_raw(path) as stream:
        for chunk in read_chunks(stream):
            digest.update(chunk)
    return digest.hexdigest()


def check_decompression(path: str) -> None:
    """Decompress a compressed file to its end.

    Raises:
        BrokenFile: the file is truncated or damaged.
    """
    if not path.endswith(".gz"):
        return
    try:
        with open_decompressed(path) as stream:
            for _ in read_chunks(stream):
                pass
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise BrokenFile(f"broken gzip: {error}") from error
