"""What `Options` check of themselves."""

from collections.abc import Iterable
from typing import Any


def check(section: str, options: Any, *, above_0: Iterable[str] = (), shares: Iterable[str] = ()) -> None:
    """The fields named are above 0, or shares of something that is not all of it.

    Raises:
        ValueError: one is not; it is named as a key of `section`.
    """
    for name in above_0:
        if not getattr(options, name) > 0:
            raise ValueError(f"{section}.{name} must be above 0, not {getattr(options, name)}")
    for name in shares:
        if not 0 <= getattr(options, name) < 1:
            raise ValueError(f"{section}.{name} must lie in 0..1, 1 excluded, not {getattr(options, name)}")
