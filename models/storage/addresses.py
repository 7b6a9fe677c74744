"""Addresses of files and folders, written one way: `file:///…` on a local disk, `hdfs://…` on HDFS."""

import os
import re


def absolute(path: str) -> str:
    """An address that means the same in every process: `file:///…` for a path without a scheme.

    Raises:
        ValueError: the scheme is none of `file:`, `hdfs:` and `package:`.
    """
    if path.startswith("hdfs:/") and "://" not in path:  # Hadoop's short form of `hdfs:///…`
        path = "hdfs://" + path.removeprefix("hdfs:")
    if path.startswith(("package:", "hdfs://", "file://")):
        return path
    if re.match(r"\w[\w+.-]*://", path):
        raise ValueError(f"{path}: only local files and hdfs: are known here")
    return "file://" + os.path.abspath(path.removeprefix("file:"))


def from_hadoop(path: str) -> str:
    """An address as Hadoop writes it (`file:/a`, `hdfs:/a`), in our form (`file:///a`)."""
    return re.sub(r"^(file|hdfs):/(?!/)", r"\1:///", path)


def escape_globs(path: str) -> str:
    """A path for Spark's readers in which no character is a glob."""
    return re.sub(r"([*?\[\]{}\\])", r"\\\1", path)
