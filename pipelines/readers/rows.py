"""What every file format yields: the rows of a file, each with its values or with the reason why it is rejected."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol, Self

ROLES = ("text", "label", "id", "split", "target")


class FormatOptions(Protocol):
    """What a file format needs to know: the column of each role, and how bytes become text."""

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
    """One row of a file, with values as the file gives them.

    Attributes:
        text, label, id, split, target: the values of the columns with these roles.
        content: the bytes of an image.
        reason: why the row is rejected; None for a row that could be read.
        raw: the row's bytes, which identify it if it is rejected; without them its values do.
    """

    text: object = None
    label: object = None
    id: object = None
    split: object = None
    target: object = None
    content: bytes | None = None
    reason: str | None = None
    raw: bytes | None = None

    @classmethod
    def from_values(cls, values: Mapping[str, object], raw: bytes | None = None) -> Self:
        """A row with a value for some of the roles."""
        value = values.get
        return cls(value("text"), value("label"), value("id"), value("split"), value("target"), raw=raw)

    @property
    def values(self) -> tuple[object, ...]:
        """The values of all roles, in the order of `ROLES`."""
        return self[: len(ROLES)]


class BrokenFile(ValueError):
    """The file as a whole cannot be read."""


class UnknownColumn(ValueError):
    """The file lacks a column that the options name."""


def selected_columns(options: FormatOptions) -> dict[str, str]:
    """The names of the columns to read, by role."""
    return {role: name for role in ROLES if (name := getattr(options, role))}


def require_columns(names: Iterable[str], present: list[str]) -> None:
    """Check that a file has the columns to read.

    Raises:
        UnknownColumn: one of `names` is not `present`.
    """
    for name in names:
        if name not in present:
            raise UnknownColumn(f"no column is named '{name}'; there are {', '.join(present)}")
