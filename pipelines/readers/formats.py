"""The file formats, by their names in `source.format`.

A format reads one file in bounded memory and yields a `Row` for each of the file's rows. A fault of one row is that
row's `reason`; a fault of the whole file is raised as `BrokenFile` or `UnknownColumn`.
"""

from collections.abc import Callable, Iterator

from pipelines.readers import csv_format, json_format, parquet_format, text_format
from pipelines.readers.rows import FormatOptions, Row
from pipelines.readers.streams import check_decompression
from pipelines.readers.text_lines import check_encoding

FORMATS: dict[str, Callable[[str, FormatOptions], Iterator[Row]]] = {
    "text": text_format.read_rows,
    "csv": csv_format.read_rows,
    "json": json_format.read_rows,
    "parquet": parquet_format.read_rows,
}


def check_file(path: str, file_format: str, encoding: str = "utf-8") -> None:
    """Read a file to its end, so that a damaged one is found before any of its rows is taken.

    Raises:
        BrokenFile: a gzip or Parquet file is truncated or damaged, or a file cannot be decoded in an encoding in which
            one wrong byte spoils all the text after it.
    """
    check_decompression(path)
    if file_format in ("csv", "json"):
        check_encoding(path, encoding)
    if file_format == "parquet":
        parquet_format.check_file(path)
