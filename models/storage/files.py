"""Files on a local disk or on HDFS, each named by one path string."""

import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any
from uuid import uuid4

import fsspec


def locate(path: str) -> tuple[Any, str]:
    """The fsspec file system of `path` (plain, `file:` or `hdfs:`) and the path within it."""
    if path.startswith("hdfs:"):
        # fsspec's own "hdfs" needs libhdfs and a JVM in this process.
        fsspec.register_implementation("hdfs", "models.storage.hdfs.FileSystem", clobber=True)
    filesystem, inner = fsspec.core.url_to_fs(path)
    return filesystem, inner


def write(path: str, content: bytes) -> None:
    """Replace the content of `path` atomically: a reader sees the old file or all of the new one, never a part."""
    filesystem, target = locate(path)
    folder = target.rpartition("/")[0]
    temporary = f"{folder}/.{uuid4().hex}.tmp"
    filesystem.makedirs(folder, exist_ok=True)
    if not is_local(filesystem):
        filesystem.pipe_file(temporary, content)
        filesystem.mv(temporary, target, overwrite=True)
        return
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except OSError:
        with suppress(FileNotFoundError):
            os.remove(temporary)  # otherwise a full disk stays full
        raise
    handle = os.open(folder, os.O_RDONLY)  # the rename itself must reach the disk, too
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read(path: str, *, max_bytes: int | None = None) -> bytes:
    """The content of `path`.

    Raises:
        ValueError: There is no such file, or it holds more than `max_bytes` bytes.
    """
    filesystem, inner = locate(path)
    size = length(path)
    if max_bytes is not None and size > max_bytes:
        raise ValueError(f"{path} holds {size} bytes, more than the {max_bytes} allowed")
    with filesystem.open(inner, "rb") as file:
        content: bytes = file.read()
    return content


def length(path: str) -> int:
    """The size of the file `path` in bytes.

    Raises:
        ValueError: There is no file at `path`.
    """
    filesystem, inner = locate(path)
    try:
        info = filesystem.info(inner)
    except (FileNotFoundError, NotADirectoryError):
        raise ValueError(f"there is no file {path}") from None
    if info["type"] != "file":
        raise ValueError(f"{path} is not a file")
    return int(info["size"])


def remove(path: str) -> None:
    """Delete an existing file."""
    filesystem, inner = locate(path)
    filesystem.rm_file(inner)


def remove_folder(path: str) -> None:
    """Delete a folder with everything in it, if it exists."""
    filesystem, inner = locate(path)
    if filesystem.exists(inner):
        filesystem.rm(inner, recursive=True)


def names(folder: str) -> list[str]:
    """The names of the files and folders in `folder`, sorted; empty if there is no such folder."""
    filesystem, inner = locate(folder)
    if not filesystem.exists(inner):
        return []
    return sorted(path.rstrip("/").rpartition("/")[2] for path in filesystem.ls(inner, detail=False))


def is_local(filesystem: Any) -> bool:
    """Whether `filesystem` is this machine's disk."""
    return type(filesystem).__name__ == "LocalFileSystem"


def modified_ms(info: Mapping[str, Any]) -> int:
    """When a file was last changed, in milliseconds since 1970.

    `info` is fsspec's description of the file, in which each file system names and types the time in its own way.
    """
    value = info.get("mtime", info.get("modification_time", 0))
    if isinstance(value, datetime):
        return int(value.timestamp() * 1000)
    return int(value if value > 1e11 else value * 1000)
