"""From the text of an argument to a value of its setting's type.

Text is taken literally. Numbers are read as people write them, not as YAML does: `010` is ten, and `1:30` is no number.
A list is written as in YAML, `[a,b]`; a single value without a comma is a list of one.
"""

from dataclasses import MISSING, Field
from types import UnionType
from typing import Any, get_args, get_origin

import yaml

from models.options.fields import described
from pipelines.errors import UserError

Scalar = str | int | float | bool
Value = Scalar | list[Scalar] | None

TRUE, FALSE = ("true", "yes", "on", "y", "1"), ("false", "no", "off", "n", "0")
TYPE_NAMES = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
LIST_TYPE_NAMES = {int: "a list of whole numbers", str: "a list"}
PUNCTUATION = set(",[]{}")


def parse(key: str, text: str, setting: "Field[Any]") -> Value:
    """The value of the argument `key=text`; `null` means no value, if the setting may be None.

    Raises:
        UserError: the text is not a value of the setting's type.
    """
    kind, optional = _kind(setting)
    if text == "null" and optional:
        return None
    try:
        if get_origin(kind) is list:
            return [_scalar(item, *get_args(kind)) for item in _items(text)]
        return _scalar(text, kind)
    except ValueError as error:
        form = f"; write '{key}=[{text}]'" if get_origin(kind) is list and "," in text and "[" not in text else ""
        raise UserError(f"{key} must be {describe_type(setting)}, not {text.strip() or 'nothing'}{form}") from error


def describe_type(setting: "Field[Any]") -> str:
    """The type of a setting's values, for a sentence: `a whole number such as 10`."""
    kind, _ = _kind(setting)
    example = described(setting, "example") or as_argument(default(setting))
    such_as = f" such as {example}" if kind not in (str, bool) and example else ""
    return f"{LIST_TYPE_NAMES[get_args(kind)[0]] if get_origin(kind) is list else TYPE_NAMES[kind]}{such_as}"


def default(setting: "Field[Any]") -> Any:
    """The default of a setting."""
    return setting.default if setting.default_factory is MISSING else setting.default_factory()


def as_argument(value: Any) -> str:
    """A value as it is written in an argument."""
    if isinstance(value, list):
        return f"[{','.join(map(as_argument, value))}]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def _kind(setting: "Field[Any]") -> tuple[Any, bool]:
    """A setting's type without None, and whether it may be None."""
    if isinstance(setting.type, UnionType):
        (kind,) = (kind for kind in get_args(setting.type) if kind is not type(None))
        return kind, True
    return setting.type, False


def _scalar(text: str, kind: type[Scalar]) -> Scalar:
    """One value.

    Raises:
        ValueError: the text is not a value of this type.
    """
    if kind is bool:
        if text.strip().lower() not in (*TRUE, *FALSE):
            raise ValueError(text)
        return text.strip().lower() in TRUE
    if kind is str and text == "null":
        raise ValueError(text)
    return kind(text)


def _items(text: str) -> list[str]:
    """The items of a list, as text.

    Raises:
        ValueError: the text is not a list of single values.
    """
    try:
        parsed = yaml.BaseLoader(text).get_single_data()  # this loader leaves each item as text
    except yaml.YAMLError as error:
        raise ValueError(text) from error
    items = [parsed] if isinstance(parsed, str) and parsed and not PUNCTUATION & set(parsed) else parsed
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise ValueError(text)
    return items
