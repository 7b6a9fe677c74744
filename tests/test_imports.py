"""Imports run one way: jobs -> stages and wings -> models. Each rule is also shown a tree that breaks it."""

import ast
import graphlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("models", "pipelines")
# What may stand on top of pipelines/ beside the jobs.
BESIDE_JOBS = {"__init__", "config", "errors"}
# Short names that everybody knows these modules by.
CONVENTIONS = {
    ("numpy", "np"),
    ("numpy.typing", "npt"),
    ("pandas", "pd"),
    ("pyarrow", "pa"),
    ("pyarrow.compute", "pc"),
    ("pyarrow.dataset", "ds"),
    ("pyarrow.parquet", "pq"),
    ("pyspark.sql.functions", "F"),
}


@dataclass(frozen=True)
class Import:
    """`importer` imports `name`, which is a module or something in one; `alias` is what it is called from then on."""

    importer: str
    name: str
    alias: str
    is_from: bool

    def __str__(self) -> str:
        """As a finding."""
        renamed = "" if self.alias == self.name.rpartition(".")[2] else f" as {self.alias}"
        return f"{self.importer}: {self.name}{renamed}"


class Tree:
    """The modules below some folders, by their dotted names, and all their imports, those in functions too."""

    def __init__(self, root: Path, folders: tuple[str, ...] = FOLDERS) -> None:
        paths = [path for folder in folders for path in sorted((root / folder).rglob("*.py"))]
        self.modules = {dotted(path.relative_to(root)): ast.parse(path.read_text()) for path in paths}
        self.imports = [found for name, code in self.modules.items() for found in imports(name, code)]
        self.packages = {name.rpartition(".")[0] for name in self.modules} - {""}
        self.jobs = {name for name, code in self.modules.items() if is_job(name, code)}

    def module_of(self, name: str) -> str:
        """The module of ours that a dotted name is, or is in; '' for a name of others."""
        while name and name not in self.modules and name not in self.packages:
            name = name.rpartition(".")[0]
        return name

    def wing_of(self, name: str) -> str:
        """The folder of pipelines/ or models/ that a dotted name is in; '' for what stands on top, and for others'."""
        folder = ".".join(self.module_of(name).split(".")[:2])
        return folder if "." in folder and folder in self.packages else ""


def dotted(path: Path) -> str:
    """A module's name, by its path below the root."""
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def imports(module: str, code: ast.Module) -> Iterator[Import]:
    """What a module imports."""
    for node in ast.walk(code):
        if isinstance(node, ast.Import):
            for each in node.names:
                yield Import(module, each.name, each.asname or each.name.rpartition(".")[2], is_from=False)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module} has a relative import: write the module's whole name"
            for each in node.names:
                yield Import(module, f"{node.module}.{each.name}", each.asname or each.name, is_from=True)


def is_job(name: str, code: ast.Module) -> bool:
    """Whether a module stands on top of pipelines/ and can be submitted: it ends in `if __name__ == "__main__"`."""
    last = code.body[-1] if code.body else None
    started = isinstance(last, ast.If) and ast.unparse(last.test) == "__name__ == '__main__'"
    return started and bool(re.fullmatch(r"pipelines\.\w+", name))


def models_that_know_pipelines(tree: Tree) -> list[str]:
    """models/ runs in ranks, and where neither Spark nor the pipelines are."""
    others = ("pipelines", "pyspark", "py4j", "delta")
    found = [each for each in tree.imports if each.importer.split(".")[0] == "models"]
    return [str(each) for each in found if each.name.split(".")[0] in others]


def wings_that_know_jobs(tree: Tree) -> list[str]:
    """A wing takes what it needs as arguments: neither a job nor the configuration of all jobs.

    `pipelines.job` alone resolves the configuration, for the jobs above it.
    """
    found = []
    for each in tree.imports:
        above = tree.jobs | (set() if tree.wing_of(each.importer) == "pipelines.job" else {"pipelines.config"})
        if tree.wing_of(each.importer) and tree.module_of(each.name) in above:
            found.append(str(each))
    return found


def circles_of_wings(tree: Tree) -> list[str]:
    """The imports of one circle, if there is any."""
    arrows: dict[tuple[str, str], Import] = {}
    for each in tree.imports:
        pair = tree.wing_of(each.importer), tree.wing_of(each.name)
        if all(pair) and pair[0] != pair[1]:
            arrows.setdefault(pair, each)
    graph: dict[str, set[str]] = {}
    for wing, needed in arrows:
        graph.setdefault(wing, set()).add(needed)
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        circle = error.args[1]  # each is needed by the next one
        return [str(arrows[wing, needed]) for needed, wing in pairwise(circle)]
    return []


def strangers_on_top(tree: Tree) -> list[str]:
    """What stands on top of pipelines/ and is no job."""
    top = {name for name in tree.modules if re.fullmatch(r"pipelines\.\w+", name)} - tree.packages
    return sorted(top - tree.jobs - {f"pipelines.{name}" for name in BESIDE_JOBS})


def modules_under_other_names(tree: Tree) -> list[str]:
    """`import a.b as c`, and `from a import b as c` where b is a module of ours."""
    renamed = [each for each in tree.imports if each.alias != each.name.rpartition(".")[2]]
    modules = [each for each in renamed if not each.is_from or tree.module_of(each.name) == each.name]
    return [str(each) for each in modules if (each.name, each.alias) not in CONVENTIONS]


Rule = Callable[[Tree], list[str]]
RULES = (
    models_that_know_pipelines,
    wings_that_know_jobs,
    circles_of_wings,
    strangers_on_top,
    modules_under_other_names,
)
SOUND = {
    "models/mlp.py": "import numpy as np\nfrom models.parts.layers import Layer as Dense\n",
    "models/parts/layers.py": "class Layer: ...\n",
    "models/training/loop.py": "from models.parts import layers\n",
    "pipelines/__init__.py": "",
    "pipelines/config.py": "",
    "pipelines/errors.py": "",
    "pipelines/train.py": "from pipelines import config, launch\nif __name__ == '__main__': main()",
    "pipelines/launch/launcher.py": "from models.training import loop\nfrom pipelines.readers import formats\n",
    "pipelines/readers/__init__.py": "",
    "pipelines/readers/formats.py": "from pyspark.sql import functions as F\nfrom pipelines.errors import UserError\n",
}


def written(folder: Path, files: dict[str, str]) -> Tree:
    """A tree of such files."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Tree(folder)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_rules_hold(rule: Rule) -> None:
    folders = (*FOLDERS, "tests") if rule is modules_under_other_names else FOLDERS
    assert rule(Tree(ROOT, folders)) == []


def test_a_sound_tree_breaks_no_rule(tmp_path: Path) -> None:
    tree = written(tmp_path, SOUND)
    assert tree.jobs == {"pipelines.train"}
    assert {rule.__name__: found for rule in RULES if (found := rule(tree))} == {}


@pytest.mark.parametrize(
    ("rule", "file", "text", "finding"),
    [
        (models_that_know_pipelines, "models/mlp.py", "from pyspark.sql import DataFrame", "pyspark.sql.DataFrame"),
        (models_that_know_pipelines, "models/mlp.py", "def f():\n    import pipelines", "pipelines"),
        (models_that_know_pipelines, "models/parts/layers.py", "from pipelines import errors", "pipelines.errors"),
        (wings_that_know_jobs, "pipelines/readers/formats.py", "from pipelines import train", "pipelines.train"),
        (wings_that_know_jobs, "pipelines/readers/__init__.py", "import pipelines.config", "pipelines.config"),
        (wings_that_know_jobs, "pipelines/readers/csv.py", "from pipelines.train import run", "pipelines.train.run"),
        (modules_under_other_names, "models/mlp.py", "import numpy as n", "numpy as n"),
        (modules_under_other_names, "models/mlp.py", "import torch.nn as nn_", "torch.nn as nn_"),
        (modules_under_other_names, "models/mlp.py", "from models import training as t", "models.training as t"),
        (
            modules_under_other_names,
            "pipelines/train.py",
            "from pipelines.readers import formats as reading",
            "pipelines.readers.formats as reading",
        ),
    ],
)
def test_a_forbidden_import_is_found(tmp_path: Path, rule: Rule, file: str, text: str, finding: str) -> None:
    importer = dotted(Path(file))
    assert rule(written(tmp_path, SOUND | {file: text})) == [f"{importer}: {finding}"]


def test_a_circle_is_found(tmp_path: Path) -> None:
    """Over three wings: no two of them import each other."""
    tree = written(
        tmp_path,
        SOUND
        | {
            "pipelines/readers/formats.py": "from pipelines.text.tokenizer import words",
            "pipelines/text/tokenizer.py": "def f():\n    import pipelines.launch.launcher",
        },
    )
    assert sorted(circles_of_wings(tree)) == [
        "pipelines.launch.launcher: pipelines.readers.formats",
        "pipelines.readers.formats: pipelines.text.tokenizer.words",
        "pipelines.text.tokenizer: pipelines.launch.launcher",
    ]


def test_a_module_on_top_that_is_no_job_is_found(tmp_path: Path) -> None:
    helper = "from pipelines.job.cli import main\ndef helper(): ..."
    assert strangers_on_top(written(tmp_path, SOUND | {"pipelines/helpers.py": helper})) == ["pipelines.helpers"]
