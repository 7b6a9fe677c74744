"""File formats: from the bytes of one file to its rows, good and bad, in bounded memory.

Every function yields one `Row` for each row of the file; what is wrong with a row stands in `reason`. What is wrong
with a file as a whole is raised: `BrokenFile`, or `UnknownColumn` where the columns asked for are not there.
"""

import csv
import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.readers import listing

BATCH_ROWS = 1000


class Options(Protocol):
    """What a format wants to know: the columns, and how bytes become text."""

    @property
    def text(self) -> str: ...  # noqa: D102
    @property
    def label(self) -> str | None: ...  # noqa: D102
    @property
    def id(self) -> str | None: ...  # noqa: D102
    @property
    def split(self) -> str | None: ...  # noqa: D102
    @property
    def target(self) -> str | None: ...  # noqa: D102
    @property
    def encoding(self) -> str: ...  # noqa: D102
    @property
    def max_bytes(self) -> int: ...  # noqa: D102
    @property
    def separator(self) -> str: ...  # noqa: D102
    @property
    def header(self) -> bool: ...  # noqa: D102


class Row(NamedTuple):
    """One row of a foreign file, unchecked; a rejected row's digest is that of `raw`, or else of its `values`."""

    text: Any = None
    label: Any = None
    id: Any = None
    split: Any = None
    target: Any = None
    content: Any = None
    reason: str | None = None
    raw: bytes | None = None

    @property
    def values(self) -> tuple[Any, ...]:
        """What the file says."""
        return self[: len(ROLES)]


ROLES = ("text", "label", "id", "split", "target")


class BrokenFile(ValueError):
    """The file as a whole cannot be read."""


class UnknownColumn(ValueError):
    """A column that was asked for is not in the file."""


def text_rows(path: str, options: Options) -> Iterator[Row]:
    """The whole file is one document; its label is the name of the folder it lies in, unless `label` is ''."""
    with listing.content(path) as stream:
        raw = stream.read(options.max_bytes + 1)
    label = None if options.label == "" else path.rsplit("/", 2)[-2]
    try:
        yield Row(raw.decode(_without_mark(options.encoding)), label, raw=raw)
    except UnicodeDecodeError:
        yield Row(reason=f"not valid {options.encoding}", raw=raw)


def json_rows(path: str, options: Options) -> Iterator[Row]:
    """One JSON object a line; empty lines are no rows."""
    with _lines(path, options) as lines:
        while line := lines.readline(options.max_bytes + 1):
            if len(line) > options.max_bytes:
                yield Row(reason=_oversize(options), raw=_raw(line, options))
                _skip_line(lines, line, options.max_bytes)
            elif line.strip():
                yield _json_row(line, options)


def csv_rows(path: str, options: Options) -> Iterator[Row]:
    """RFC 4180 with any separator: quoted fields may hold separators, doubled quotes and line breaks."""
    csv.field_size_limit(options.max_bytes)
    with _lines(path, options) as stream:
        lines = _Record(stream, options.max_bytes)
        reader = csv.reader(lines, delimiter=options.separator, strict=True)
        first = _next(reader, lines, options)
        if first is None:
            return
        if isinstance(first, Row):
            raise BrokenFile(f"the first line is {first.reason}")
        if not _is_text("".join(first)):
            raise BrokenFile(f"the first line is not valid {options.encoding}")
        columns = _csv_columns(first, options)
        if not options.header:
            yield _csv_row(first, columns, len(first), _raw(lines.text(), options))
        while (fields := _next(reader, lines, options)) is not None:
            if isinstance(fields, Row):
                yield fields
            else:
                yield _csv_row(fields, columns, len(first), _raw(lines.text(), options))


def _is_text(value: str) -> bool:
    """Whether no byte was left undecoded (PEP 383)."""
    return not any("\udc80" <= character <= "\udcff" for character in value)


def _next(reader: Iterator[list[str]], lines: "_Record", options: Options) -> list[str] | Row | None:
    """The fields of the next record that is not empty, or what is wrong with it; None at the end."""
    while True:
        lines.taken.clear()
        try:
            if fields := next(reader):
                return fields
        except StopIteration:
            return None
        except (csv.Error, OverflowError) as error:
            raw = _raw(lines.text(), options)
            if isinstance(error, csv.Error) and "field limit" not in str(error):
                return Row(reason=f"broken CSV: {error}", raw=raw)
            lines.skip_record()
            return Row(reason=_oversize(options), raw=raw)


def parquet_rows(path: str, options: Options) -> Iterator[Row]:
    """The wanted columns alone, some rows at a time."""
    with listing.opened(path) as stream:
        table = _parquet(stream)
        names = wanted(options)
        _require(names, table.schema_arrow.names)
        for batch in table.iter_batches(batch_size=BATCH_ROWS, columns=sorted(set(names.values()))):
            nothing = [None] * batch.num_rows
            columns = [batch[names[role]].to_pylist() if role in names else nothing for role in ROLES]
            yield from map(Row, *columns)


def unnamed_rows(path: str) -> Iterator[Row]:
    """A row without content for each of a Parquet file's."""
    with listing.opened(path) as stream:
        for _ in range(_parquet(stream).metadata.num_rows):
            yield Row()


FORMATS: dict[str, Callable[[str, Options], Iterator[Row]]] = {
    "text": text_rows,
    "csv": csv_rows,
    "json": json_rows,
    "parquet": parquet_rows,
}


def wanted(options: Options) -> dict[str, str]:
    """The columns asked for, by their role."""
    return {role: name for role in ROLES if (name := getattr(options, role))}


def check_file(path: str, kind: str, encoding: str = "utf-8") -> None:
    """Read a container to its end, so that a bad one is known before any of its rows is taken.

    Raises:
        BrokenFile: a truncated or damaged gzip or Parquet file, or one in an encoding in which a wrong byte spoils all
            that follows.
    """
    if path.endswith(".gz"):
        _check_gzip(path)
    if kind in ("csv", "json") and not _rowwise(encoding):
        _check_text(path, encoding)
    if kind == "parquet":
        _check_parquet(path)


def _check_gzip(path: str) -> None:
    try:
        with listing.content(path) as stream:
            for _ in listing.pieces(stream):
                pass
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise BrokenFile(f"broken gzip: {error}") from error


def _check_text(path: str, encoding: str) -> None:
    try:
        with io.TextIOWrapper(listing.content(path), encoding) as text:
            while text.read(listing.CHUNK):
                pass
    except UnicodeError as error:
        raise BrokenFile(f"not valid {encoding}") from error


def _check_parquet(path: str) -> None:
    with listing.opened(path) as stream:
        table = _parquet(stream)
        try:
            for _ in table.iter_batches(batch_size=BATCH_ROWS):
                pass
        except (pa.ArrowException, OSError) as error:
            raise BrokenFile(f"broken Parquet: {error}") from error


def _parquet(stream: Any) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(stream)
    except pa.ArrowException as error:
        raise BrokenFile(f"broken Parquet: {error}") from error


def _require(names: dict[str, str], present: list[str]) -> None:
    for name in names.values():
        if name not in present:
            raise UnknownColumn(f"no column is named '{name}'; there are {', '.join(present)}")


def _json_row(line: str, options: Options) -> Row:
    raw = _raw(line, options)
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return Row(reason="broken JSON", raw=raw)
    if not isinstance(value, dict):
        kind = "array" if isinstance(value, list) else "value"
        return Row(reason=f"a JSON {kind} where an object should be", raw=raw)
    for name in wanted(options).values():
        if name not in value:
            return Row(reason=f"no column '{name}'", raw=raw)
    return Row(**{role: value[name] for role, name in wanted(options).items()}, raw=raw)


def _csv_columns(first: list[str], options: Options) -> dict[str, int]:
    """Which field plays which role; without a header the columns are called _c0, _c1, …, as in Spark."""
    present = first if options.header else [f"_c{number}" for number in range(len(first))]
    _require(wanted(options), present)
    return {role: present.index(name) for role, name in wanted(options).items()}


def _csv_row(fields: list[str], columns: dict[str, int], width: int, raw: bytes) -> Row:
    if len(fields) != width:
        return Row(reason=f"broken CSV: {len(fields)} fields where {width} should be", raw=raw)
    return Row(**{role: fields[position] for role, position in columns.items()}, raw=raw)


class _Record:
    """The lines of a file for a CSV reader, remembering those of the record that is being read."""

    def __init__(self, lines: TextIO, limit: int) -> None:
        self.lines, self.limit = lines, limit
        self.taken: list[str] = []

    def __iter__(self) -> "_Record":
        return self

    def __next__(self) -> str:
        line = self.lines.readline(2 * self.limit)
        if not line:
            raise StopIteration
        self.taken.append(line)
        if len(line) == 2 * self.limit and not line.endswith("\n"):
            raise OverflowError
        return line

    def text(self) -> str:
        return "".join(self.taken)

    def skip_record(self) -> None:
        """Go to where the record ends: at the end of a line before which its quotes are even in number."""
        quotes, line = self.text().count('"'), self.taken[-1]
        while line and (quotes % 2 or not line.endswith(("\n", "\r"))):
            line = self.lines.readline(self.limit)
            quotes += line.count('"')


def _lines(path: str, options: Options) -> TextIO:
    """A file as lines of text. Bytes that are no text stay recognisable (PEP 383), so that one row is lost, not all."""
    stream = listing.content(path)
    errors = "surrogateescape" if _rowwise(options.encoding) else "strict"
    return io.TextIOWrapper(stream, _without_mark(options.encoding), errors=errors, newline="")


def _rowwise(encoding: str) -> bool:
    """Whether a line can be told where bytes before it are no text."""
    return "\n".encode(encoding) == b"\n"


def _skip_line(lines: TextIO, line: str, limit: int) -> None:
    while line and not line.endswith(("\n", "\r")):
        line = lines.readline(limit)


def _raw(text: str, options: Options) -> bytes:
    return text.encode(options.encoding, "surrogateescape")


def _oversize(options: Options) -> str:
    return f"over source.max_bytes={options.max_bytes}"


def _without_mark(encoding: str) -> str:
    """The encoding that drops a byte order mark."""
    return "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding
