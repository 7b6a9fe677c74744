"""Imports inside models/ run only downward, and nothing there imports Spark."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.models.cases import ROOT

# From the bottom to the top: a module may import from its own layer and from those before it.
LAYERS = (
    "models.options",
    "models.storage",
    "models.dataset",
    "models.parts",
    "architectures",  # models/<name>.py
    "models.bundles",
    "models.ranks",
    "models.training",
)


def layer_of(module: str) -> int:
    """The position in `LAYERS` of a module below models."""
    matches = [name for name in LAYERS if f"{module}.".startswith(f"{name}.")]
    return LAYERS.index(max(matches, key=len) if matches else "architectures")


def imported_modules(path: Path, known: set[str]) -> Iterator[str]:
    """The modules that a file imports, at any depth; `from package import name` counts as the module `name`."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path} has a relative import"
            assert node.module
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in known else node.module


def upward_imports(root: Path) -> list[str]:
    """Each import below `root`/models that points to a higher layer or to Spark, as "importer -> imported"."""
    paths = {
        ".".join(path.relative_to(root).with_suffix("").parts): path for path in sorted(root.glob("models/**/*.py"))
    }
    arrows = []
    for module, path in paths.items():
        for imported in imported_modules(path, set(paths)):
            is_spark = imported.partition(".")[0] in ("pyspark", "py4j", "delta", "pipelines")
            is_upward = imported.startswith("models.") and layer_of(imported) > layer_of(module)
            if is_spark or is_upward:
                arrows.append(f"{module} -> {imported}")
    return arrows


def test_imports_run_downward_and_never_to_spark() -> None:
    assert upward_imports(ROOT) == []


def test_every_module_has_its_layer() -> None:
    folders = {path.parent.name for path in ROOT.glob("models/*/*.py")}
    assert folders == {name.split(".")[1] for name in LAYERS if name.startswith("models.")}
    assert LAYERS[layer_of("models.mlp")] == LAYERS[layer_of("models.absent")] == "architectures"
    assert LAYERS[layer_of("models.options.checks")] == "models.options"
    assert LAYERS[layer_of("models.parts.layers")] == "models.parts"


@pytest.mark.parametrize(
    ("file", "line", "imported"),
    [
        ("storage/files.py", "from models.dataset import index", "models.dataset.index"),
        ("storage/files.py", "from models.dataset.index import Index", "models.dataset.index"),
        ("dataset/index.py", "def read():\n    import models.mlp", "models.mlp"),
        ("options/checks.py", "from models.storage.files import read", "models.storage.files"),
        ("mlp.py", "from models.bundles import weights", "models.bundles"),
        ("training/loop.py", "from pyspark.sql import SparkSession", "pyspark.sql"),
        ("ranks/stdio.py", "from pipelines import config", "pipelines"),
    ],
)
def test_an_upward_import_would_be_noticed(tmp_path: Path, file: str, line: str, imported: str) -> None:
    for name in ("dataset/index.py", "storage/files.py", file):
        path = tmp_path / "models" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("from models.storage import files\n" if name == "dataset/index.py" else "")
    assert upward_imports(tmp_path) == []
    (tmp_path / "models" / file).write_text(line + "\n")
    module = "models." + file.removesuffix(".py").replace("/", ".")
    assert upward_imports(tmp_path) == [f"{module} -> {imported}"]
