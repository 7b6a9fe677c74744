"""CSV as in RFC 4180, with any separator: quoted fields may hold separators, doubled quotes and line breaks."""

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from pipelines.readers.rows import BrokenFile, FormatOptions, Row, require_columns, selected_columns
from pipelines.readers.text_lines import is_decoded, open_lines, oversize_reason, raw_bytes


def read_rows(path: str, options: FormatOptions) -> Iterator[Row]:
    """A row for each record that is not empty.

    Raises:
        BrokenFile: the first record cannot be read.
        UnknownColumn: a selected column is missing.
    """
    with open_lines(path, options) as stream:
        lines = _RecordLines(stream, options.max_bytes)
        reader = csv.reader(lines, delimiter=options.separator, strict=True)
        first = _next_record(reader, lines, options)
        if first is None:
            return
        if isinstance(first, Row):
            raise BrokenFile(f"the first line is {first.reason}")
        if not is_decoded("".join(first)):
            raise BrokenFile(f"the first line is not valid {options.encoding}")
        positions = _column_positions(first, options)
        if not options.header:
            yield _to_row(first, positions, len(first), raw_bytes(lines.text(), options))
        while (fields := _next_record(reader, lines, options)) is not None:
            if isinstance(fields, Row):
                yield fields
            else:
                yield _to_row(fields, positions, len(first), raw_bytes(lines.text(), options))


def _next_record(reader: Iterator[list[str]], lines: "_RecordLines", options: FormatOptions) -> list[str] | Row | None:
    """The fields of the next record that is not empty, or a rejected row; None at the end of the file."""
    while True:
        lines.start_record()
        try:
            with _field_limit(options.max_bytes):
                fields = next(reader)
            if fields:
                return fields
        except StopIteration:
            return None
        except (csv.Error, OverflowError) as error:
            raw = raw_bytes(lines.text(), options)
            if isinstance(error, csv.Error) and "field limit" not in str(error):
                return Row(reason=f"broken CSV: {error}", raw=raw)
            lines.skip_record()
            return Row(reason=oversize_reason(options), raw=raw)


@contextmanager
def _field_limit(characters: int) -> Iterator[None]:
    """Let no field be longer, within the block alone: the csv module has one limit for the whole process."""
    before = csv.field_size_limit(characters)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _column_positions(first: list[str], options: FormatOptions) -> dict[str, int]:
    """The position of each role's field; without a header, columns are called _c0, _c1, …, as in Spark."""
    present = first if options.header else [f"_c{position}" for position in range(len(first))]
    columns = selected_columns(options)
    require_columns(columns.values(), present)
    return {role: present.index(name) for role, name in columns.items()}


def _to_row(fields: list[str], positions: dict[str, int], width: int, raw: bytes) -> Row:
    if len(fields) != width:
        return Row(reason=f"broken CSV: {len(fields)} fields where {width} should be", raw=raw)
    return Row.from_values({role: fields[position] for role, position in positions.items()}, raw)


class _RecordLines:
    """The lines of a file for a CSV reader; it keeps those of the current record."""

    def __init__(self, lines: TextIO, limit: int) -> None:
        """A record whose line is longer than 2 · `limit` characters is too large."""
        self.lines, self.limit = lines, limit
        self.record: list[str] = []

    def __iter__(self) -> "_RecordLines":
        return self

    def __next__(self) -> str:
        line = self.lines.readline(2 * self.limit)
        if not line:
            raise StopIteration
        self.record.append(line)
        if len(line) == 2 * self.limit and not line.endswith("\n"):
            raise OverflowError
        return line

    def start_record(self) -> None:
        self.record.clear()

    def text(self) -> str:
        """The text of the record, as far as it has been read."""
        return "".join(self.record)

    def skip_record(self) -> None:
        """Read on to the end of the record: the end of a line up to which the record's quotes are even in number."""
        quotes, line = self.text().count('"'), self.record[-1]
        while line and (quotes % 2 or not line.endswith(("\n", "\r"))):
            line = self.lines.readline(self.limit)
            quotes += line.count('"')
