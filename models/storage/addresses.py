"""Addresses of files and folders in one notation: `file:///…` on the local disk, `hdfs://…` on HDFS."""

import os
import re


def absolute(path: str) -> str:
    """The address of `path`, the same in every process: `file:///…` for a path without a scheme.

    Raises:
        ValueError: The scheme is not `file:`, `hdfs:` or `package:`.
    """
    if path.startswith("hdfs:/") and "://" not in path:  # Hadoop's short form of `hdfs:///…`
        path = "hdfs://" + path.removeprefix("hdfs:")
    if path.startswith(("package:", "hdfs://", "file://")):
        return path
    if re.match(r"\w[\w+.-]*://", path):
        raise ValueError(f"{path}: only local paths and hdfs: are supported")
    return "file://" + os.path.abspath(path.removeprefix("file:"))


def from_hadoop(path: str) -> str:
    """An address as Hadoop writes it (`file:/a`, `hdfs:/a`), in this project's notation (`file:///a`)."""
    return re.sub(r"^(file|hdfs):/(?!/)", r"\1:///", path)


def escape_globs(path: str) -> str:
    """The path with every glob character escaped, for Spark's readers."""
    return re.sub(r"([*?\[\]{}\\])", r"\\\1", path)
