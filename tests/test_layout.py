"""Files and names belong together: CI and README, names and modules, and no module that hides another."""

import re
import sys
import sysconfig
from importlib import import_module
from importlib.machinery import PathFinder
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def commands(text: str) -> set[str]:
    """The `make` commands that start a line of a script or of a code block."""
    return set(re.findall(r"(?m)^ *(?:\$ )?(make [a-z]+)\b", text))


def blocks(path: Path) -> str:
    """The fenced code blocks of a document."""
    return "\n".join(re.findall(r"(?ms)^```[a-z]*\n(.*?)^```", path.read_text()))


def test_ci_and_the_readme_run_the_same_tests() -> None:
    ci, readme = (ROOT / ".ci" / "run").read_text(), blocks(ROOT / "README.md")
    assert "make test" in commands(ci) & commands(readme)
    assert "pytest" not in ci + readme, "the tests are run by another command too"


def test_make_has_every_command_that_ci_and_the_readme_name() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = {f"make {name}" for name in re.findall(r"(?m)^([a-z-]+):", makefile)}
    assert re.search(r"(?m)^test:.*\n\t.*python -m pytest .*\$\(ARGS\)$", makefile)
    phony = re.search(r"(?m)^\.PHONY: (.*)$", makefile)
    assert phony
    assert {f"make {name}" for name in phony[1].split()} == targets
    assert commands((ROOT / ".ci" / "run").read_text()) <= targets
    assert commands(blocks(ROOT / "README.md")) <= targets


@pytest.mark.parametrize(("group", "folder"), [("source", "pipelines/sources"), ("model", "models")])
def test_every_name_has_its_module_and_every_module_its_name(group: str, folder: str) -> None:
    names = {path.stem for path in (ROOT / "conf" / group).glob("*.yaml")}
    modules = {path.stem for path in (ROOT / folder).glob("*.py")} - {"__init__"}
    assert names
    assert names == modules
    for name in names:
        module = import_module(f"{folder.replace('/', '.')}.{name}")
        assert isinstance(module.Options, type), name


def is_taken(name: str) -> bool:
    """Whether `import name` means something else: the standard library, an installed package, or our own."""
    installed = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    own = name in {path.name for path in ROOT.iterdir() if path.is_dir()}
    return own or name in sys.stdlib_module_names or PathFinder.find_spec(name, installed) is not None


def test_no_pipeline_file_hides_another_module() -> None:
    """spark-submit puts pipelines/ first on sys.path: `import queue` would find a pipelines/queue.py."""
    names = {path.stem for path in (ROOT / "pipelines").iterdir()} - {"__init__", "__pycache__"}
    assert "train" in names
    assert not [name for name in names if is_taken(name)]


@pytest.mark.parametrize("name", ["queue", "builtins", "yaml", "torch", "models"])
def test_a_hidden_module_would_be_noticed(name: str) -> None:
    assert is_taken(name)


ARCHITECTURE = ROOT / "docs" / "architecture.md"
MADE = {"data/lake"}  # not there before the first job


def tree(text: str) -> list[str]:
    """The paths in a drawn tree: a folder begins a line, what stands in it follows, indented or not."""
    (drawn,) = re.findall(r"(?ms)^```\n(pipelines/ .*?)^```", text)
    found, top = [], ""
    for line in drawn.splitlines():
        if not line.startswith(" "):
            top, line = line.split("/", 1)  # noqa: PLW2901
            found.append(top)
        found += [
            f"{top}/{name.rstrip('/')}" for name in re.findall(r"(?<!\S)\(?([\w-]+(?:/|\.[a-z]+))(?=[\s,;)]|$)", line)
        ]
    return found


@pytest.mark.skipif(not ARCHITECTURE.exists(), reason="the page is not written yet")
def test_what_the_architecture_names_is_at_its_own_path() -> None:
    found = tree(ARCHITECTURE.read_text())
    assert {"pipelines/train.py", "models/training", "conf/default.yaml"} <= set(found)
    assert not [path for path in found if not (ROOT / path).exists() and path not in MADE]


def test_a_path_is_read_with_its_folder() -> None:
    lines = [
        "pipelines/   all",
        "  a.py b.py  jobs, not c",
        "  job/       x.",
        "conf/  d.yaml · s/ (cron)",
        "    e-f.conf",
    ]
    drawn = "\n".join(["```", *lines, "```", ""])
    inside = {"pipelines": ["a.py", "b.py", "job"], "conf": ["d.yaml", "s", "e-f.conf"]}
    expected = [[folder, *(f"{folder}/{name}" for name in names)] for folder, names in inside.items()]
    assert tree(drawn) == [*expected[0], *expected[1]]
