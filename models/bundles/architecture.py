"""Finds a model by its name: `models/<name>.py` holds its `Options`, its `Model`, and what it `READS`."""

from collections.abc import Mapping
from dataclasses import fields
from importlib import import_module
from types import ModuleType
from typing import Any

from torch import nn

from models.dataset.encoder import Reads


def options(kind: Any, values: Mapping[str, Any], *, name: str) -> Any:
    """An instance of the dataclass `kind` from plain values, as they come out of a file.

    Raises:
        ValueError: a key that `kind` lacks, or a value of another type than its default's.
    """
    default = kind()
    known = {field.name for field in fields(kind)}
    for key, value in values.items():
        if key not in known:
            raise ValueError(f"{name}.{key} is unknown; {name} has {', '.join(sorted(known))}")
        if not same_type(value, getattr(default, key)):
            raise ValueError(f"{name}.{key} has the wrong type: {value!r}")
    return kind(**values)


def same_type(value: Any, default: Any) -> bool:
    """Whether `value` may stand where `default` does: an int may be a float, a bool no int."""
    if isinstance(default, list):
        return isinstance(value, list) and all(same_type(item, default[0]) for item in value)
    return type(value) is type(default) or (type(default) is float and type(value) is int)


def found(name: str) -> ModuleType:
    """The module of the model `name`.

    Raises:
        ValueError: no such model.
    """
    if not name.isidentifier():
        raise ValueError(f"a model's name must be an identifier, not {name!r}")
    try:
        module = import_module(f"models.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"models.{name}":
            raise
        raise ValueError(f"there is no model {name}") from None
    if not hasattr(module, "Model"):
        raise ValueError(f"there is no model {name}")
    return module


def build(name: str, values: Mapping[str, Any], *, terms: int, classes: int) -> nn.Module:
    """The model `name` with its weights drawn from torch's random state.

    Raises:
        ValueError: no such model, or a setting that it refuses.
    """
    module = found(name)
    model: nn.Module = module.Model(options(module.Options, values, name="model"), terms=terms, classes=classes)
    return model


def reads(name: str, values: Mapping[str, Any]) -> Reads:
    """What the model `name` reads: its `READS` names parts of `inputs.Inputs`, its options the words' `length` and an
    image's `height`, `width` and `channels`.

    Raises:
        ValueError: no such model, or a setting that it refuses.
    """
    module = found(name)
    chosen = options(module.Options, values, name="model")
    return Reads(
        bags="bags" in module.READS,
        length=chosen.length if "words" in module.READS else 0,
        image=(chosen.height, chosen.width, chosen.channels) if "image" in module.READS else None,
    )
