"""From planned files to raw documents: the worker's side of `ingest` and `predict`."""

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql.pandas.types import from_arrow_schema

from pipelines.lakehouse.parquet_writer import Worker, chained
from pipelines.readers.formats import BrokenFile, Row, UnknownColumn
from pipelines.text.tokenizer import normalise, normalised

SPLITS = ("train", "validation", "test")
Reader = Callable[[str], Iterator[Row]]

RAW = pa.schema(
    {
        "path": pa.string(),
        "name": pa.string(),
        "row": pa.int64(),
        "id": pa.string(),
        "text": pa.string(),
        "content": pa.binary(),
        "labels": pa.list_(pa.string()),
        "target": pa.float64(),
        "split": pa.string(),
        "digest": pa.string(),
        "reason": pa.string(),
    }
)
MOST_BYTES = 1 << 30  # of a text: Arrow's strings end at twice that
BATCH_ROWS, BATCH_BYTES = 2000, 8 << 20


class Step(NamedTuple):
    """What is done with `RAW` where it is read, in the same process, and the columns of what that gives."""

    work: Worker
    gives: pa.Schema


AS_IT_IS = Step(iter, RAW)


@dataclass(frozen=True)
class Limits:
    """What a row must keep to: its text's size in UTF-8, and whether it needs a label or a target.

    `label_separator` divides a label's text into several.
    """

    max_bytes: int
    label_needed: bool
    target_needed: bool = False
    label_separator: str | None = None


def by_file(plan: DataFrame, reader: Reader, limits: Limits, step: Step) -> DataFrame:
    """Read the planned files (`path`, `name`), each in one task: one row of `RAW` for each of theirs, then `step`."""

    def read(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for path, name in zip(batch["path"].to_pylist(), batch["name"].to_pylist(), strict=True):
                rows = checked(_unbroken(reader, path), name, limits)
                yield from _packed((path, name, number, *row) for number, row in enumerate(rows))

    return plan.select("path", "name").mapInArrow(chained(read, step.work), from_arrow_schema(step.gives))


def _unbroken(reader: Reader, path: str) -> Iterator[Row]:
    """A planned file's rows; where it is gone or has changed since it was planned, a row that says so is the last."""
    try:
        yield from reader(path)
    except FileNotFoundError:
        yield Row(reason="the file is gone since it was planned", raw=path.encode())
    except (BrokenFile, UnknownColumn, UnicodeError) as error:
        yield Row(reason=f"the file has changed since it was planned: {error}", raw=path.encode())


def by_row(values: DataFrame, roles: list[str], limits: Limits, step: Step) -> DataFrame:
    """Rows that Spark has read (`path`, `name`, `row`, a column for each role): each as one of `RAW`, then `step`."""

    def read(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        def finished() -> Iterator[tuple[Any, ...]]:
            flat = (row for batch in batches for row in batch.to_pylist())
            for (path, name), group in groupby(flat, key=itemgetter("path", "name")):
                numbers: list[int] = []
                rows = (_numbered(values, roles, numbers) for values in group)
                for result in checked(rows, name, limits):
                    yield path, name, numbers.pop(), *result

        yield from _packed(finished())

    # A file's rows in one task and in their order: ids count the occurrences of a text.
    ordered = values.repartition("path").sortWithinPartitions("path", "row")
    return ordered.mapInArrow(chained(read, step.work), from_arrow_schema(step.gives))


def _numbered(values: dict[str, Any], roles: list[str], numbers: list[int]) -> Row:
    numbers.append(values["row"])
    wanted = {role: values[role] for role in roles}
    return Row(**wanted)


def checked(rows: Iterable[Row], name: str, limits: Limits) -> Iterator[tuple[Any, ...]]:
    """(id, text, content, labels, target, split, digest, reason) of each row; of a bad one, the last two alone.

    A row without an id of its own gets one: the SHA-256 of its file's name and its text, and of which occurrence it
    is where the same test text stands in a file more than once (no row of a published test split is dropped).
    """
    seen: Counter[str] = Counter()
    for row in rows:
        labels, target = _labels(row.label, limits.label_separator), _number(row.target)
        reason = row.reason or _problem(row, labels, target, limits)
        if reason:
            yield None, None, None, [], None, None, _sha256(_raw(row)), reason
            continue
        split = str(row.split).strip().lower() if row.split else None
        digest = None if row.content is None else _sha256(row.content)
        known = (row.text, row.content, labels, target, split, digest, None)
        if row.id not in (None, ""):
            yield str(row.id), *known
            continue
        identity = _sha256(f"{name}\0{digest or row.text}".encode())[:32]
        if split == "test":
            seen[identity] += 1
            if seen[identity] > 1:
                identity = _sha256(f"{identity}\0{seen[identity]}".encode())[:32]
        yield identity, *known


def _raw(row: Row) -> bytes:
    """What a rejected row is known by."""
    given = row.content if row.raw is None else row.raw
    return repr(row.values).encode("utf-8", "surrogatepass") if given is None else given


def _problem(row: Row, labels: list[str], target: float | None, limits: Limits) -> str | None:
    """What is wrong with a row that its format could read, or nothing."""
    bad = _bad_text(row.text, limits) if row.content is None else _bad_image(row.content, limits)
    return bad or _unknown(row, labels, target, limits)


def _bad_image(content: bytes, limits: Limits) -> str | None:
    from models.dataset import images  # late: only images need the library

    if len(content) > limits.max_bytes:
        return f"over source.max_bytes={limits.max_bytes}"
    return images.find_problem(content)


def _bad_text(text: Any, limits: Limits) -> str | None:
    if text is None:
        return "no text"
    if not isinstance(text, str):
        return "the text is not a string"
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return "not valid text in the encoding given"
    if size > limits.max_bytes:
        return f"over source.max_bytes={limits.max_bytes}"
    first = text[:100].lstrip()[:1]  # mostly enough to know that normalising leaves something
    if not (first and first.isprintable()) and not normalise(text):
        return "no text"
    return None


def _unknown(row: Row, labels: list[str], target: float | None, limits: Limits) -> str | None:
    """What a row should say of its text and does not."""
    if limits.label_needed and not labels:
        return "no label"
    if limits.target_needed and target is None:
        return "no target" if row.target in (None, "") else "the target is not a number"
    if row.split and str(row.split).strip().lower() not in SPLITS:
        return f"unknown split {str(row.split)[:20]!r}"
    return None


def _labels(label: Any, separator: str | None) -> list[str]:
    """Distinct labels in their order."""
    values = label if isinstance(label, list) else [label]
    given = [str(value) for value in values if value is not None]
    if separator:
        given = [part for text in given for part in text.split(separator)]
    return list(dict.fromkeys(text for name in given if (text := name.strip())))


def _number(value: Any) -> float | None:
    """A finite number, or nothing."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    if isinstance(value, str) and (not value.isascii() or "_" in value):  # Python's own ways to write numbers
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _packed(rows: Iterable[tuple[Any, ...]]) -> Iterator[pa.RecordBatch]:
    """Rows in record batches of a bounded number and size."""
    pending: list[tuple[Any, ...]] = []
    size = 0
    for row in rows:
        pending.append(row)
        size += len(row[4] or "") + len(row[5] or b"")
        if len(pending) >= BATCH_ROWS or size >= BATCH_BYTES:
            yield _batch(pending)
            pending, size = [], 0
    if pending:
        yield _batch(pending)


def _batch(rows: list[tuple[Any, ...]]) -> pa.RecordBatch:
    """Rows as `RAW`; the digest of a good text is that of its normalised form, which tells `clean` the duplicates."""
    columns = zip(*rows, strict=True)
    arrays = [pa.array(column, kind.type) for column, kind in zip(columns, RAW, strict=True)]
    raw = pa.RecordBatch.from_arrays(arrays, schema=RAW)
    texts = normalised(raw["text"].fill_null("")).to_pylist()
    digests = [given or _sha256(text.encode()) for given, text in zip(raw["digest"].to_pylist(), texts, strict=True)]
    return raw.set_column(RAW.get_field_index("digest"), RAW.field("digest"), pa.array(digests, pa.string()))


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
