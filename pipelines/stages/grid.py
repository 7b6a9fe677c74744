"""A grid of settings: which arguments it stands for, and whether models can be compared with them."""

import itertools
from collections.abc import Callable, Sequence
from contextlib import suppress

from pipelines.errors import UserError
from pipelines.stages.training import TrainingRequest

# What to train, from a model's name and further `key=value` arguments; raises UserError if they do not fit.
Resolve = Callable[[str, Sequence[str]], TrainingRequest]


def axis_values(axis: str) -> list[str]:
    """The arguments that an axis of the grid stands for: `key=a|b` is `key=a` and `key=b`.

    Raises:
        UserError: the axis has no value.
    """
    key, _, values = axis.partition("=")
    if not values:
        raise UserError(f"'{axis}' of grid= is not of the form key=value|value")
    return [f"{key}={value}" for value in values.split("|")]


def has_key(resolve: Resolve, model: str, axis: str) -> bool:
    """Whether a model has an axis's key: a model without dropout has no `model.dropout=0.3|0.5`."""
    for value in axis_values(axis):
        with suppress(UserError):
            resolve(model, [value])
            return True
    return False


def grid_points(resolve: Resolve, model: str, grid: Sequence[str]) -> list[list[str]]:
    """The points of the grid for one model, each a list of arguments; one empty point without an axis that it has."""
    axes = [axis_values(axis) for axis in grid if has_key(resolve, model, axis)]
    return [list(point) for point in itertools.product(*axes)]


def check_comparable(resolve: Resolve, models: Sequence[str], seeds: int, grid: Sequence[str]) -> None:
    """Refuse what cannot be compared, before any work.

    Raises:
        UserError: there is no model, one twice, one that predicts a number, no seed, or a grid that no model takes.
    """
    if not models:
        raise UserError("models=[<name>,...] is missing: name the models to compare")
    if seeds < 1:
        raise UserError(f"seeds must be 1 or more, not {seeds}")
    if len(set(models)) < len(models):
        raise UserError("models= names a model twice")
    for model in models:
        _check_predicts_labels(resolve(model, []))
    for axis in grid:
        # If no model has the key, the first one says what is wrong with it.
        takers = [model for model in models if has_key(resolve, model, axis)] or models[:1]
        for model, value in itertools.product(takers, axis_values(axis)):
            _check_predicts_labels(resolve(model, [value]))


def _check_predicts_labels(request: TrainingRequest) -> None:
    settings = request.settings
    if settings.train.kind == "target":
        raise UserError(
            f"compare needs models that predict labels, and {settings.model} predicts a number"
            f" (train.loss={settings.train.loss})"
        )
