"""Settings that say what they mean: a dataclass field with the sentence that `--help` prints."""

from collections.abc import Mapping
from dataclasses import Field, field
from typing import Any, TypeVar

Value = TypeVar("Value")


def setting(default: Value, meaning: str, heading: str = "", *, example: str = "") -> Value:
    """A field of a dataclass of settings.

    Args:
        default: its default; of a list, each object gets a copy.
        meaning: one sentence for users.
        heading: what `--help` groups it under, if not under its section.
        example: a value for messages and `--help`, where the default is empty and shows no form.
    """
    metadata = {"meaning": meaning, "heading": heading, "example": example}
    if isinstance(default, list):
        listed: Value = field(default_factory=default.copy, metadata=metadata)  # type: ignore[assignment]
        return listed
    return field(default=default, metadata=metadata)


def described(item: "Field[Any]", what: str) -> str:
    """A field's `meaning`, `heading` or `example`; empty where it has none."""
    metadata: Mapping[str, Any] = item.metadata
    return str(metadata.get(what, ""))
