"""The places of data sets that are not the user's own: the repository's data folder and installed packages."""

import importlib.util
import os
from functools import cache
from pathlib import Path

DATA = Path(__file__).resolve().parents[2] / "data"


def resolve_package(path: str) -> str:
    """The address of `package:<name>/<file>` on this machine; any other path is returned unchanged.

    Raises:
        FileNotFoundError: the package is not installed.
    """
    if not path.startswith("package:"):
        return path
    package, _, inner = path.removeprefix("package:").partition("/")
    return "file://" + os.path.join(_package_folder(package), inner)


@cache
def _package_folder(name: str) -> str:
    """An installed package's folder, found without importing the package."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(f"the package {name} is not installed")
    return str(spec.submodule_search_locations[0])
