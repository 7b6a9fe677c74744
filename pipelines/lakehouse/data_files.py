"""The Parquet files that a Delta table consists of, as its log describes them."""

import re
from dataclasses import dataclass
from urllib.parse import unquote

Key = int | str  # a value of a table's first column
AUTHORITY = r"^[a-z0-9]+:(//[^/]*)?(?=/)"  # the scheme and the host of an address


@dataclass(frozen=True)
class DataFile:
    """A Parquet file of a table: its name below the table's folder, bytes, milliseconds since 1970, rows.

    `bounds`: the minimum and the maximum of the table's first column.
    """

    name: str
    size: int
    modified: int
    rows: int
    bounds: tuple[Key, Key]


def relative_name(folder: str, logged: str) -> str:
    """A file's name below its table's folder, from its name in the log: the same name or a whole address.

    Raises:
        AssertionError: the file lies outside the folder.
    """
    if not re.match(AUTHORITY, logged):
        return logged
    parent, path = re.sub(AUTHORITY, "", folder) + "/", re.sub(AUTHORITY, "", unquote(logged))
    assert path.startswith(parent), f"{folder} has a file elsewhere: {logged}"
    return path.removeprefix(parent)
