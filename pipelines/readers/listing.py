"""The files at a path on a local disk, on HDFS or in an installed package (through fsspec)."""

import os
from dataclasses import dataclass
from typing import Any

from models.storage import addresses
from models.storage.files import locate, modified_ms
from pipelines.readers.locations import resolve_package


@dataclass(frozen=True)
class SourceFile:
    """A file of a source, as its file system lists it.

    Attributes:
        path: the file's address.
        name: the file's path relative to the folder that was listed.
        size: in bytes.
        modified: when it was last changed, in milliseconds since 1970.
    """

    path: str
    name: str
    size: int
    modified: int


def list_files(path: str) -> list[SourceFile]:
    """The files at a path (one file, a folder with all its subfolders, or a glob), sorted by name.

    Hidden files and folders, whose names begin with `.` or `_`, are left out, as in Spark.

    Raises:
        FileNotFoundError: there is no file at the path.
        ConnectionError: the file system does not answer.
    """
    address = addresses.absolute(path)
    filesystem, inner = locate(resolve_package(address).rstrip("/"))
    try:
        # A path that exists is taken literally, even if it contains a glob's characters.
        folder = inner if filesystem.exists(inner) else _folder_before_glob(inner)
    except OSError as error:
        raise ConnectionError(f"{path} cannot be reached: {error}") from error
    entries: dict[str, Any] = {}  # fsspec's description of each file, by its path
    for match in [inner] if folder == inner else filesystem.glob(inner):
        entries |= filesystem.find(match, detail=True)
    if not entries:
        raise FileNotFoundError(f"there is nothing at {path}")
    if list(entries) == [inner]:  # one file: its name is relative to the folder that holds it
        folder = os.path.dirname(inner)
    folder_address = address.rstrip("/").removesuffix(inner[len(folder) :])
    files = [_source_file(entry, os.path.relpath(name, folder), folder_address) for name, entry in entries.items()]
    return sorted((file for file in files if not _is_hidden(file.name)), key=lambda file: file.name)


def list_downloaded(path: str) -> list[SourceFile]:
    """`list_files` of a data set that `make data` downloads.

    Raises:
        FileNotFoundError: the data set has not been downloaded.
        ConnectionError: the file system does not answer.
    """
    try:
        return list_files(path)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error}; 'make data' downloads it") from error


def _folder_before_glob(path: str) -> str:
    """The folders of a path that precede the first part with a glob character; the whole path if it has none."""
    parts = path.split("/")
    globs = [position for position, part in enumerate(parts) if any(character in part for character in "*?[")]
    return "/".join(parts[: globs[0]]) if globs else path


def _source_file(entry: Any, name: str, folder_address: str) -> SourceFile:
    return SourceFile(f"{folder_address}/{name}", name, int(entry["size"]), modified_ms(entry))


def _is_hidden(name: str) -> bool:
    return any(part.startswith((".", "_")) for part in name.split("/"))
