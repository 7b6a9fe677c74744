"""The files of `conf/`: read and merged, a mistake in one of them reported in one sentence."""

from collections.abc import Iterator, Mapping
from dataclasses import Field
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from pipelines.arguments.job_keys import nearest
from pipelines.arguments.values import describe_type
from pipelines.errors import UserError


def read(path: Path) -> DictConfig:
    """A file's content.

    Raises:
        UserError: the file is not YAML, or not a mapping.
    """
    try:
        node = OmegaConf.load(path)
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(node, DictConfig):
        raise UserError(f"{path} is not a mapping of keys to values")
    return node


def merge(base: Any, path: Path, known: "Mapping[str, Field[Any]]", *, without: tuple[str, ...] = ()) -> Any:
    """`base` overridden by a file's content, except for the keys in `without`.

    Raises:
        UserError: the file has a key that is not `known`, or a value of a wrong type.
    """
    layer = {key: value for key, value in read(path).items() if key not in without}
    try:
        return OmegaConf.merge(base, layer)
    except (OmegaConfBaseException, TypeError) as error:
        raise UserError(f"{path}: {_first_mistake(base, layer, known)}") from error


def _first_mistake(base: Any, layer: Mapping[Any, Any], known: "Mapping[str, Field[Any]]") -> str:
    for key, value in _flat(layer):
        if key not in known:
            return f"unknown key '{key}'{nearest(key, known)}"
        single = OmegaConf.create({})
        OmegaConf.update(single, key, value, force_add=True)
        try:
            OmegaConf.merge(base, single)
        except (OmegaConfBaseException, TypeError):
            return f"{key} must be {describe_type(known[key])}"
    raise AssertionError("one of the keys cannot be merged")


def _flat(layer: Mapping[Any, Any]) -> Iterator[tuple[str, Any]]:
    """The keys as in arguments, `section.key`, with their values."""
    for section, content in layer.items():
        if isinstance(content, DictConfig):
            yield from ((f"{section}.{name!s}", content[name]) for name in content)
        else:
            yield str(section), content
