"""Files on local disks, on HDFS and in installed packages, behind one small interface (fsspec)."""

import gzip
import hashlib
import importlib.util
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import IO, Any

from models.storage import addresses
from models.storage.files import locate, modified_ms

CHUNK = 1 << 20


@dataclass(frozen=True)
class Arrival:
    """One file that could be taken: its address, its name below the path that was asked for, size and age."""

    path: str
    name: str
    size: int
    modified: int  # milliseconds since 1970


def located(path: str) -> str:
    """Where `package:<name>/<file>` lies on this machine; else `path`."""
    if not path.startswith("package:"):
        return path
    package, _, inside = path.removeprefix("package:").partition("/")
    return "file://" + os.path.join(_package(package), inside)


@cache
def _package(name: str) -> str:
    """An installed package's folder, found without importing it."""
    found = importlib.util.find_spec(name)
    if found is None or not found.submodule_search_locations:
        raise FileNotFoundError(f"the package {name} is not installed")
    return str(found.submodule_search_locations[0])


def listing(path: str) -> list[Arrival]:
    """The files at a path (a file, a folder with all below it, or a glob), in the order of their names.

    Hidden files (a part of the name begins with `.` or `_`) are left out, as everywhere in Spark.

    Raises:
        FileNotFoundError: nothing is there.
        ConnectionError: the file system does not answer.
    """
    root, place = addresses.absolute(path).rstrip("/"), located(addresses.absolute(path)).rstrip("/")
    files, where = locate(place)
    try:
        base = where if files.exists(where) else _base(where)  # a name may hold what would be a glob
    except OSError as error:
        raise ConnectionError(f"{path} cannot be reached: {error}") from error
    matches = files.glob(where) if base != where else [where]
    found: dict[str, dict[str, Any]] = {}
    for match in matches:
        found |= files.find(match, detail=True)
    if not found:
        raise FileNotFoundError(f"nothing is at {path}")
    prefix = os.path.dirname(where) if list(found) == [where] else base
    outside = root.removesuffix(where[len(prefix) :])
    arrivals = [_arrival(info, os.path.relpath(name, prefix), outside) for name, info in found.items()]
    return sorted((item for item in arrivals if not _hidden(item.name)), key=lambda item: item.name)


def fetched(path: str) -> list[Arrival]:
    """`listing` of what `make data` brings.

    Raises:
        FileNotFoundError: it has not been brought.
    """
    try:
        return listing(path)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error}; 'make data' brings it") from error


def opened(path: str) -> IO[bytes]:
    """A file's bytes as they lie there; iterated over, its lines."""
    files, where = locate(located(path))
    stream = files.open(where, "rb")
    return io.BufferedReader(stream, CHUNK) if isinstance(stream, io.RawIOBase) else stream


def content(path: str) -> IO[bytes]:
    """A file's bytes, decompressed where its name ends in `.gz`."""
    stream = opened(path)
    return gzip.GzipFile(fileobj=stream) if path.endswith(".gz") else stream  # type: ignore[return-value]


def sha256(path: str) -> str:
    """The digest of a file's bytes, read in pieces."""
    digest = hashlib.sha256()
    with opened(path) as stream:
        for piece in pieces(stream):
            digest.update(piece)
    return digest.hexdigest()


def pieces(stream: IO[bytes]) -> Iterator[bytes]:
    """A stream in pieces of a bounded size."""
    while piece := stream.read(CHUNK):
        yield piece


def _base(where: str) -> str:
    """The part of a path before its first glob character, up to a folder."""
    parts = where.split("/")
    magic = [number for number, part in enumerate(parts) if any(sign in part for sign in "*?[")]
    return "/".join(parts[: magic[0]]) if magic else where


def _arrival(info: dict[str, Any], name: str, outside: str) -> Arrival:
    return Arrival(f"{outside}/{name}", name, int(info["size"]), modified_ms(info))


def _hidden(name: str) -> bool:
    return any(part.startswith((".", "_")) for part in name.split("/"))
