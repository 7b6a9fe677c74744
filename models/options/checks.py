"""Checks that the `Options` of a component apply to their own fields."""

from collections.abc import Iterable
from typing import Any


def check(section: str, options: Any, *, above_0: Iterable[str] = (), shares: Iterable[str] = ()) -> None:
    """Check that the fields `above_0` are above 0, and that the fields `shares` are from 0 to below 1.

    Raises:
        ValueError: A field is out of its range; the message names it as a key of `section`.
    """
    for name in above_0:
        if not getattr(options, name) > 0:
            raise ValueError(f"{section}.{name} must be above 0, not {getattr(options, name)}")
    for name in shares:
        if not 0 <= getattr(options, name) < 1:
            raise ValueError(f"{section}.{name} must be from 0 to below 1, not {getattr(options, name)}")
