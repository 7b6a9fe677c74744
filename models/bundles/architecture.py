"""Finds a model architecture by its name.

`models/<name>.py` defines its settings `Options`, its network `Model`, and `READS`, the parts of `inputs.Inputs` that
it takes.
"""

from collections.abc import Mapping
from dataclasses import fields
from importlib import import_module
from types import ModuleType
from typing import Any

import torch
from torch import nn

from models.dataset.inputs import InputSpec
from models.storage.json_values import JsonValue


def parse_options(kind: Any, values: Mapping[str, JsonValue], *, section: str) -> Any:
    """An instance of the dataclass `kind` with `values`, as JSON holds them; errors call it `section`.

    Raises:
        ValueError: `kind` has no such field, a value's type differs from its default's, or `kind` refuses it.
    """
    default = kind()
    known = {field.name for field in fields(kind)}
    for key, value in values.items():
        if key not in known:
            raise ValueError(f"{section}.{key} is unknown; {section} has {', '.join(sorted(known))}")
        if not _has_type_of(value, getattr(default, key)):
            raise ValueError(f"{section}.{key} has the wrong type: {value!r}")
    return kind(**values)


def _has_type_of(value: Any, default: Any) -> bool:
    """Whether `value` has the type of `default`; an int counts as a float, but a bool not as an int."""
    if isinstance(default, list):
        return isinstance(value, list) and all(_has_type_of(item, default[0]) for item in value)
    return type(value) is type(default) or (type(default) is float and type(value) is int)


def find_module(name: str) -> ModuleType:
    """The module of the architecture `name`.

    Raises:
        ValueError: There is no such architecture.
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


def build(name: str, options: Mapping[str, JsonValue], *, terms: int, classes: int) -> nn.Module:
    """A new model whose weights are drawn from torch's global random state.

    Args:
        name: of the architecture.
        options: its settings, as JSON holds them.
        terms: the size of the vocabulary.
        classes: the number of the model's outputs for a document.

    Raises:
        ValueError: There is no such architecture, or it refuses a setting.
    """
    module = find_module(name)
    parsed = parse_options(module.Options, options, section="model")
    model: nn.Module = module.Model(parsed, terms=terms, classes=classes)
    return model


def build_without_memory(name: str, options: Mapping[str, JsonValue], *, terms: int, classes: int) -> nn.Module:
    """The model that `build` would make, on the meta device: its tensors have shapes, but no memory.

    Raises:
        ValueError: There is no such architecture, it refuses a setting, or no model can have these settings.
    """
    try:
        with torch.device("meta"):
            return build(name, options, terms=terms, classes=classes)
    except (RuntimeError, TypeError, OverflowError):
        raise ValueError("its settings describe no possible model") from None


def input_spec(name: str, options: Mapping[str, JsonValue]) -> InputSpec:
    """What the architecture `name` reads of a document with these settings.

    `READS` names the parts; the options `length`, or `height`, `width` and `channels`, give their sizes.

    Raises:
        ValueError: There is no such architecture, or it refuses a setting.
    """
    module = find_module(name)
    parsed = parse_options(module.Options, options, section="model")
    return InputSpec(
        bags="bags" in module.READS,
        length=parsed.length if "words" in module.READS else 0,
        image=(parsed.height, parsed.width, parsed.channels) if "image" in module.READS else None,
    )
