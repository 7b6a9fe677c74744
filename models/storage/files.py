"""Files on a local disk or on HDFS, by one path string."""

import os
from contextlib import suppress
from datetime import datetime
from typing import Any
from uuid import uuid4

import fsspec


def locate(path: str) -> tuple[Any, str]:
    """The file system of `path` (plain, `file:` or `hdfs:`) and the path on it."""
    if path.startswith("hdfs:"):
        # fsspec's own "hdfs" needs libhdfs and a JVM in this process.
        fsspec.register_implementation("hdfs", "models.storage.hdfs.FileSystem", clobber=True)
    filesystem, inner = fsspec.core.url_to_fs(path)
    return filesystem, inner


def write(path: str, content: bytes) -> None:
    """Make `path` hold `content`: a reader finds the old file, none, or the whole new one, always."""
    filesystem, target = locate(path)
    folder = target.rpartition("/")[0]
    aside = f"{folder}/.{uuid4().hex}.tmp"
    filesystem.makedirs(folder, exist_ok=True)
    if not is_local(filesystem):
        filesystem.pipe_file(aside, content)
        filesystem.mv(aside, target, overwrite=True)
        return
    try:
        with open(aside, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, target)
    except OSError:
        with suppress(FileNotFoundError):
            os.remove(aside)  # or a full disk stays full
        raise
    handle = os.open(folder, os.O_RDONLY)  # the rename itself must reach the disk too
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read(path: str, *, most: int | None = None) -> bytes:
    """The content of `path`.

    Raises:
        ValueError: there is no such file, or it holds more than `most` bytes.
    """
    filesystem, inner = locate(path)
    size = length(path)
    if most is not None and size > most:
        raise ValueError(f"{path} holds {size} bytes, more than the {most} allowed")
    with filesystem.open(inner, "rb") as file:
        content: bytes = file.read()
    return content


def length(path: str) -> int:
    """The bytes in the file `path`.

    Raises:
        ValueError: there is no such file.
    """
    filesystem, inner = locate(path)
    try:
        found = filesystem.info(inner)
    except (FileNotFoundError, NotADirectoryError):
        raise ValueError(f"there is no file {path}") from None
    if found["type"] != "file":
        raise ValueError(f"{path} is not a file")
    return int(found["size"])


def remove(path: str) -> None:
    """Take a file away that is there."""
    filesystem, inner = locate(path)
    filesystem.rm_file(inner)


def remove_folder(path: str) -> None:
    """Take a folder away with all in it, if it is there."""
    filesystem, inner = locate(path)
    if filesystem.exists(inner):
        filesystem.rm(inner, recursive=True)


def names(folder: str) -> list[str]:
    """The names in `folder`, sorted; empty where there is no such folder."""
    filesystem, inner = locate(folder)
    if not filesystem.exists(inner):
        return []
    return sorted(path.rstrip("/").rpartition("/")[2] for path in filesystem.ls(inner, detail=False))


def is_local(filesystem: Any) -> bool:
    """Whether `filesystem` is this machine's disk."""
    return type(filesystem).__name__ == "LocalFileSystem"


def modified_ms(info: dict[str, Any]) -> int:
    """When a file was last changed, in milliseconds since 1970; file systems name and type it differently."""
    value = info.get("mtime", info.get("modification_time", 0))
    if isinstance(value, datetime):
        return int(value.timestamp() * 1000)
    return int(value if value > 1e11 else value * 1000)
