"""Settings with their meanings: a dataclass field with the sentence that `--help` prints."""

from collections.abc import Mapping
from dataclasses import Field, field
from typing import Any, TypeVar

Value = TypeVar("Value")


def setting(default: Value, meaning: str, heading: str = "", *, example: str = "") -> Value:
    """A field of a dataclass of settings.

    Args:
        default: its default; each object gets its own copy of a list.
        meaning: one sentence for users.
        heading: what `--help` groups it under, if not under its section.
        example: a value for messages and `--help`, if the default is empty and shows no form.
    """
    metadata = {"meaning": meaning, "heading": heading, "example": example}
    if isinstance(default, list):
        list_field: Value = field(default_factory=default.copy, metadata=metadata)  # type: ignore[assignment]
        return list_field
    return field(default=default, metadata=metadata)


def described(item: "Field[Any]", what: str) -> str:
    """A field's `meaning`, `heading` or `example`; empty if it has none."""
    metadata: Mapping[str, Any] = item.metadata
    return str(metadata.get(what, ""))
