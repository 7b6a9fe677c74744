"""From the rows of a file to documents: which rows are rejected, and how a document is identified."""

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from pipelines.readers.rows import Row
from pipelines.text.normalisation import normalise_text

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class RowRules:
    """What a row must satisfy to become a document.

    Attributes:
        max_bytes: the largest size of a text in UTF-8, or of an image file.
        needs_label, needs_target: whether a row without one is rejected.
        label_separator: what separates several labels in one value.
    """

    max_bytes: int
    needs_label: bool
    needs_target: bool = False
    label_separator: str | None = None


class Document(NamedTuple):
    """A row as a document; a rejected row has only a `digest` and a `reason`.

    Attributes:
        digest: the SHA-256 of an image's content or of a rejected row; None for a text (its normalised form counts).
    """

    id: str | None
    text: str | None
    content: bytes | None
    labels: list[str]
    target: float | None
    split: str | None
    digest: str | None
    reason: str | None


def to_documents(rows: Iterable[Row], name: str, rules: RowRules) -> Iterator[Document]:
    """A document for each row of the file `name`.

    A row without an id gets one: the SHA-256 of the file's name and the document's content. Within a published test
    split equal documents are all kept, so from the second occurrence on its number is hashed, too.
    """
    occurrences: Counter[str] = Counter()
    for row in rows:
        labels, target = _parse_labels(row.label, rules.label_separator), _parse_number(row.target)
        if reason := row.reason or _find_problem(row, labels, target, rules):
            yield Document(None, None, None, [], None, None, sha256(_identifying_bytes(row)), reason)
            continue
        assert row.text is None or isinstance(row.text, str)
        split = _normalised_split(row) if row.split else None
        digest = None if row.content is None else sha256(row.content)
        if row.id in (None, ""):
            identity = sha256(f"{name}\0{digest or row.text}".encode())[:32]
            if split == "test":
                occurrences[identity] += 1
                if occurrences[identity] > 1:
                    identity = sha256(f"{identity}\0{occurrences[identity]}".encode())[:32]
        else:
            identity = str(row.id)
        yield Document(identity, row.text, row.content, labels, target, split, digest, None)


def sha256(content: bytes) -> str:
    """A SHA-256 digest in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def _identifying_bytes(row: Row) -> bytes:
    """The bytes that identify a rejected row."""
    raw = row.content if row.raw is None else row.raw
    return repr(row.values).encode("utf-8", "surrogatepass") if raw is None else raw


def _find_problem(row: Row, labels: list[str], target: float | None, rules: RowRules) -> str | None:
    """Why a row that its format could read is rejected; None if it is not."""
    problem = _text_problem(row.text, rules) if row.content is None else _image_problem(row.content, rules)
    return problem or _annotation_problem(row, labels, target, rules)


def _image_problem(content: bytes, rules: RowRules) -> str | None:
    from models.dataset import images  # only images need Pillow

    if len(content) > rules.max_bytes:
        return f"over source.max_bytes={rules.max_bytes}"
    return images.find_problem(content)


def _text_problem(text: object, rules: RowRules) -> str | None:
    if text is None:
        return "no text"
    if not isinstance(text, str):
        return "the text is not a string"
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return "not valid text in the encoding given"
    if size > rules.max_bytes:
        return f"over source.max_bytes={rules.max_bytes}"
    # Mostly the first character shows that normalisation leaves something.
    first = text[:100].lstrip()[:1]
    if not (first and first.isprintable()) and not normalise_text(text):
        return "no text"
    return None


def _annotation_problem(row: Row, labels: list[str], target: float | None, rules: RowRules) -> str | None:
    """Why a row is rejected for its label, target or split; None if it is not."""
    if rules.needs_label and not labels:
        return "no label"
    if rules.needs_target and target is None:
        return "no target" if row.target in (None, "") else "the target is not a number"
    if row.split and _normalised_split(row) not in SPLITS:
        return f"unknown split {str(row.split)[:20]!r}"
    return None


def _normalised_split(row: Row) -> str:
    return str(row.split).strip().lower()


def _parse_labels(label: object, separator: str | None) -> list[str]:
    """The distinct labels of a row, in their order."""
    values = label if isinstance(label, list) else [label]
    names = [str(value) for value in values if value is not None]
    if separator:
        names = [part for name in names for part in name.split(separator)]
    return list(dict.fromkeys(stripped for name in names if (stripped := name.strip())))


def _parse_number(value: object) -> float | None:
    """A finite number; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    if isinstance(value, str) and (not value.isascii() or "_" in value):  # only Python reads `1_000` as a number
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
