"""The pages hold: their commands are understood; the keys, files, links, tables and messages that they name exist."""

import dataclasses
import importlib.util
import os
import re
import subprocess
import sys
from contextlib import suppress
from dataclasses import MISSING, Field
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from models.dataset.tfidf import Options as TfidfOptions
from models.training.task import Options as TrainOptions
from pipelines.config import GROUPS, Common, Maintain, Split, component, load, members
from pipelines.errors import UserError
from tests.pages import PAGES, README, ROOT, Page, page

SECTIONS: dict[str, Any] = {"split": Split, "tfidf": TfidfOptions, "train": TrainOptions, "maintain": Maintain}
FOLDERS = ("pipelines", "models", "conf", "data", "docs", "tests")
MADE = ("data/lake", "build/")  # by commands
PYTHON = ("True", "False", "None")
NOT_KEYS = ("json", "yaml", "parquet", "parameters")  # ends of file names; a field of the report `train`
each_page = pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])


def fields_of(group: str) -> dict[str, tuple[str, "Field[Any]"]]:
    """Each key of a group or section without its prefix: the member that has it (none for a section), and its field."""
    kinds = (
        [("", SECTIONS[group])]
        if group in SECTIONS
        else [(name, component(group, name).Options) for name in members(group)]
    )
    found: dict[str, tuple[str, Field[Any]]] = {}
    for name, kind in kinds:
        found |= {
            item.name: (name, item) for item in dataclasses.fields(kind) if item.name not in found or name == "files"
        }
    return found


KEYS = {group: fields_of(group) for group in (*GROUPS, *SECTIONS)}
COMMON = {item.name for item in dataclasses.fields(Common)}


@each_page
def test_commands_are_understood(page: Page) -> None:
    if page.titled:
        return  # tests/test_extending.py makes its models and sources first
    for command in page.commands:
        assert (ROOT / "pipelines" / f"{command.job}.py").exists(), command
        config = load(command.arguments, command.job)
        assert set(config.models) <= set(members("model")), command
        for axis in config.grid:
            key, _, values = axis.partition("=")
            assert key.partition(".")[2] in KEYS[key.partition(".")[0]], axis
            assert values


def test_the_pages_have_commands() -> None:
    jobs = {command.job for page in PAGES for command in page.commands}
    assert jobs >= {"train", "predict", "evaluate", "compare", "ensemble", "maintain"}


@each_page
def test_make_has_the_commands(page: Page) -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"(?m)^([a-z-]+):", makefile))
    benchmarks = set(re.findall(r'(?m)^    "([a-z-]+)": ', (ROOT / "tests" / "benchmarks" / "__main__.py").read_text()))
    for code in (*page.spans, *page.shell_lines):
        for target, arguments in re.findall(r"\bmake ([a-z][a-z-]*)(?: ARGS=([\w-]+))?", code):
            assert target in targets, code
            assert target != "bench" or not arguments or arguments in benchmarks, code


@each_page
def test_python_compiles(page: Page) -> None:
    for code in page.blocks("python"):
        compile(code, page.name, "exec")


@each_page
def test_keys_exist(page: Page) -> None:
    """`group.key`, and `key=value` with a value that it may have."""
    for span in page.spans:
        key, equals, value = span.partition("=")
        group, dot, name = key.partition(".")
        if key == "key" or not re.fullmatch(r"[a-z_]+(\.[a-z]\w*)?", key) or name in NOT_KEYS or value in PYTHON:
            continue
        if (dot and group in KEYS) or (equals and not dot):
            assert name in KEYS[group] if dot else key in (*COMMON, *GROUPS), span
            if value and not re.search("[…<]", value):
                assert all(is_taken(group, name, f"{key}={each}") for each in value.split("|")), span


def is_taken(group: str, name: str, argument: str) -> bool:
    """Whether some member of the group takes the argument; of any other key, whether it is taken at all."""
    if not name or group not in GROUPS:
        return bool(load([argument, *(["source.path=/x"] if argument in ("source=files", "source=images") else [])]))
    for member in members(group):
        known = {item.name for item in dataclasses.fields(component(group, member).Options)}
        path = [f"{group}.path=/x"] if group == "source" and "path" in known - {name} else []
        with suppress(UserError):
            if name in known and load([f"{group}={member}", *path, argument]):
                return True
    return False


@pytest.mark.parametrize(("name", "sections"), [("data", ("split", "tfidf")), ("training", ("train",))])
def test_tables_have_every_key_and_its_default(name: str, sections: tuple[str, ...]) -> None:
    rows = {row[0]: row[1] for row in page(name).rows if len(row) == 3 and re.fullmatch(r"[a-z]+\.\w+", row[0])}
    wanted = {f"{section}.{key}": item for section in sections for key, (_, item) in KEYS[section].items()}
    if name == "data":
        wanted |= {f"source.{item.name}": item for item in dataclasses.fields(component("source", "files").Options)}
    assert set(rows) == set(wanted)
    for key, item in wanted.items():
        given = yaml.safe_load(rows[key]) if rows[key] not in (",", "required") else rows[key]
        default = item.default if item.default is not MISSING else item.default_factory()  # type: ignore[misc]
        assert given == ("required" if default == "???" else default), key


@each_page
def test_files_exist(page: Page) -> None:
    for span in page.spans:
        path = span.split("::")[0].rstrip("/")
        if re.search(r"[…<>*=\s]", path) or path.startswith(MADE) or ("/" not in path and not path.endswith(".md")):
            continue
        if path.split("/")[0] in FOLDERS or path.endswith(".md"):
            assert (ROOT / path).exists() or (ROOT / "docs" / path).exists(), f"{page.name}: {span}"


@each_page
def test_links_lead_somewhere(page: Page) -> None:
    for link in page.links:
        if "://" in link:
            continue
        target, _, anchor = link.partition("#")
        path = (page.path.parent / target).resolve() if target else page.path
        assert path.exists(), f"{page.name}: {link}"
        assert not anchor or anchor in Page(path).anchors, f"{page.name}: {link}"


@each_page
def test_lines_are_short(page: Page) -> None:
    """Every line has fewer than 100 characters, in tables and code blocks too; web addresses alone are not counted."""
    assert not [line for line in page.text.splitlines() if len(re.sub(r"https?://\S+", "", line)) >= 100]


def test_the_readme_is_one_page() -> None:
    assert len(README.text.splitlines()) <= 150
    assert "<!-- output -->" not in README.text or README.blocks("")


def test_the_tree_is_the_tree() -> None:
    """Every folder of the two packages, and every job and architecture, stands in the tree, and nothing else."""
    (tree,) = [block for block in page("architecture").blocks("") if block.startswith("pipelines/ ")]
    packages = re.findall(r"(?ms)^(pipelines|models)/ .*?(?=^\S)", tree)
    assert packages == ["pipelines", "models"]
    for package in packages:
        part = re.search(rf"(?ms)^{package}/ .*?(?=^\S)", tree)
        assert part
        folders = {path.name for path in (ROOT / package).iterdir() if path.is_dir()} - {"__pycache__"}
        modules = {path.name for path in (ROOT / package).glob("*.py")} - {"__init__.py"}
        assert set(re.findall(r"(?m)^  (\w+)/", part[0])) == folders
        assert set(re.findall(r"\b\w+\.py\b", part[0])) == modules


def test_the_picture_is_drawn_from_its_source() -> None:
    source = import_path(ROOT / "docs" / "images" / "road_of_the_data.py")
    assert source.SVG.read_text() == source.drawn(), "make docs draws it"
    code = "\n".join(path.read_text() for path in (ROOT / "pipelines" / "lakehouse").glob("*.py"))
    tables = {
        name: card.kind
        for card in source.CARDS
        if card.kind in ("bronze", "silver", "gold") or card.head == "results"
        for row, _ in card.rows
        for name in row.split(", ")
    }
    assert len(tables) == 9
    for name, kind in tables.items():
        assert re.search(rf'"({kind}/)?{name}"', code), name
    jobs = {arrow.job for arrow in source.ARROWS if arrow.job}
    jobs |= {name for card in source.CARDS if card.head == "more jobs" for name, _ in card.rows}
    assert jobs == {path.stem for path in (ROOT / "pipelines").glob("*.py")} - {"__init__", "config", "errors", "ml"}


def import_path(path: Path) -> Any:
    """A module that lies outside the packages."""
    sys.path.insert(0, str(path.parent))
    try:
        return import_module(path.stem)
    finally:
        sys.path.remove(str(path.parent))


def test_the_messages_are_those_of_the_code() -> None:
    """What the pages quote of messages and of reasons, between the names and numbers, stands in the code."""
    files = [*(ROOT / "pipelines").rglob("*.py"), *(ROOT / "models").rglob("*.py"), ROOT / "conf" / "setup.sh"]
    code = re.sub(r'"\s*\n\s*f?"', "", "\n".join(path.read_text() for path in files))  # a literal on several lines
    quoted = [message for message, _ in page("troubleshooting").entries]
    rows = [row[0] for row in page("data").rows]
    quoted += [
        reason
        for row in rows[rows.index("reason") + 2 : rows.index("the file is gone since it was planned") + 1]
        for reason in row.split("`, `")
    ]
    assert len(quoted) > 45
    for message in quoted:
        for piece in message.removeprefix("setup: ").split("…"):
            assert piece.strip(" :") in code, message


@pytest.mark.submit  # a process of its own: not for the quick loop
@pytest.mark.skipif(not importlib.util.find_spec("mkdocs"), reason="make docs installs MkDocs")
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    variables = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    fetched = r'<(?:script|link|img|iframe)[^>]*(?:src|href)="?https?://[^">]*'
    for path in tmp_path.rglob("*.html"):
        text = re.sub(r"(?s)<pre.*?</pre>", "", path.read_text())
        assert not re.findall(fetched, text), path
        assert not re.findall(r"\n(?:- |\d+\. |\| |\$\$).*", text), (
            f"{path}: a list, table or formula without a blank line above"
        )
