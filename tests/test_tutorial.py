"""The tutorial holds true: its code runs, its commands are understood, and what it names is there. No Spark."""

import importlib.util
import re
import shlex
import sys
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pipelines.config import load

ROOT = Path(__file__).resolve().parents[1]
TUTORIAL = ROOT / "docs" / "tutorial"
CHAPTERS = sorted(TUTORIAL.glob("[0-9]*.md"))
PAGES = [TUTORIAL / "index.md", *CHAPTERS]
MODELS = sorted(path.stem for path in (ROOT / "conf" / "model").glob("*.yaml"))
SECTIONS = ("train", "tfidf", "split", "features", "model", "source")
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
each_chapter = pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda page: page.stem)


def blocks(text: str, language: str) -> list[tuple[int, str]]:
    """The fenced blocks of a language, each with the number of its first line."""
    found = re.finditer(rf"(?ms)^```{language}\n(.*?)^```$", text)
    return [(text.count("\n", 0, block.start(1)) + 1, block[1]) for block in found]


def prose(text: str) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"(?ms)^```.*?^```$", "", text)


def commands(text: str) -> list[list[str]]:
    """The words of each `spark-submit` command in the blocks, continued lines joined."""
    scripts = "\n".join(script for _, script in blocks(text, "sh")).replace("\\\n", " ")
    lines = [shlex.split(line, comments=True) for line in scripts.splitlines()]
    return [words[1:] for words in lines if words[:1] == ["spark-submit"]]


def run(page: Path) -> dict[str, Any]:
    """Execute a page's Python blocks in one namespace; tracebacks show the page's own lines."""
    names: dict[str, Any] = {"__name__": page.stem}
    for first, source in blocks(page.read_text(), "python"):
        exec(compile("\n" * (first - 1) + source, str(page), "exec"), names)  # noqa: S102
    return names


def script(path: Path) -> ModuleType:
    """A module that lies outside the packages."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_chapters_are_listed_in_order_and_linked_one_to_the_next() -> None:
    listed = re.findall(r"(?m)^\| \d+\. \[.*?\]\((.*?)\)", (TUTORIAL / "index.md").read_text())
    assert listed == [chapter.name for chapter in CHAPTERS]
    for chapter, following in zip(listed, [*listed[1:], "index.md"], strict=True):
        assert f"]({following})" in (TUTORIAL / chapter).read_text().splitlines()[-1], chapter


@each_chapter
def test_code_runs(chapter: Path) -> None:
    """Each block asserts something itself: of numpy, of torch, or of this project's own code."""
    sources = [source for _, source in blocks(chapter.read_text(), "python")]
    assert len(sources) >= 2
    assert [source for source in sources if "assert " not in source] == []
    run(chapter)


def test_a_block_that_does_not_hold_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Page\n\n```python\nnumber = 1\n```\n\n```python\nassert number == 2\n```\n")
    with pytest.raises(AssertionError) as error:
        run(page)
    assert error.traceback[-1].lineno + 1 == 8


@each_page
def test_commands_are_understood(page: Path) -> None:
    found = commands(page.read_text())
    assert found
    for job, *arguments in found:
        assert (ROOT / job).is_file(), job
        assert job.startswith("pipelines/")
        load(arguments)


@each_page
def test_names_of_files_and_of_what_is_in_them(page: Path) -> None:
    """`models/mlp.py` is a file, and `models/mlp.py::Model` has that name."""
    text = page.read_text()
    paths = re.findall(r"`((?:[\w.-]+/)+[\w.-]*)(?:::([\w.]+))?`", text)
    assert paths
    for path, name in paths:
        assert (ROOT / path).exists(), path
        if name:
            value: Any = import_module(path.removesuffix(".py").replace("/", "."))
            for part in name.split("."):
                assert hasattr(value, part), f"{path}::{name}"
                value = getattr(value, part)
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (page.parent / target).is_file(), target


@each_page
def test_keys_are_keys(page: Path) -> None:
    """Of some model or source, where the section depends on it."""
    known = set()
    for name in MODELS:
        config = load([f"model={name}"])
        known |= {f"{section}.{item.name}" for section in SECTIONS for item in fields(getattr(config, section))}
    named = set(re.findall(rf"`'?((?:{'|'.join(SECTIONS)})\.[a-z_0-9]+)(?:=[^`]*)?`", prose(page.read_text())))
    reported = {"train.parameters"}  # a key of the report
    assert named - known - reported == set()


@each_chapter
def test_parts_of_a_chapter(chapter: Path) -> None:
    text = chapter.read_text()
    headings = re.findall(r"(?m)^## (.*)$", prose(text))
    assert headings[-4:] == ["Run it", "Pitfalls", "Exercises", "Sources"]
    assert text.count("\n$$") >= 2
    assert len(re.findall(r"(?m)^- [A-ZÉÜ].*?,", text.split("\n## Sources\n")[1])) >= 3
    assert "](figures/" in text or "```text\n" in text
    assert re.search(r"\b20\d\d-\d\d-\d\d\b", text.split("\n## Run it\n")[1]), "figures without a date"


@each_chapter
def test_sources_are_cited_where_their_idea_is(chapter: Path) -> None:
    """By the first author's surname."""
    body, sources = chapter.read_text().split("\n## Sources\n")
    authors = re.findall(r"(?m)^- (?:[A-ZÉÜ]\.(?:-[A-Z]\.)? )*([\w -]+?)(?: and |,)", sources)
    assert len(authors) == len(re.findall(r"(?m)^- ", sources))
    for author in authors:
        assert author in body, author


@each_page
def test_lines_are_short_and_formulas_simple(page: Path) -> None:
    text = page.read_text()
    assert [line for line in text.splitlines() if len(line) >= 100] == []
    assert len(re.findall(r"(?<!\\)\$", prose(text))) % 2 == 0
    assert not re.search(r"\\(?:newcommand|def|operatorname|tag|label)\b", text)


def test_figures_are_what_the_script_draws() -> None:
    draw = script(TUTORIAL / "figures" / "draw.py")
    for name, figure in draw.FIGURES.items():
        assert (TUTORIAL / "figures" / name).read_text() == figure(), f"run python {Path(draw.__file__).name}"
    shown = set(re.findall(r"\(figures/([\w-]+\.svg)\)", "".join(page.read_text() for page in PAGES)))
    assert shown == set(draw.FIGURES) == {path.name for path in (TUTORIAL / "figures").glob("*.svg")}


def test_nothing_starts_spark() -> None:
    """The readers' blocks need no JVM: what they import is of `models`, beside numpy, torch and scikit-learn."""
    for chapter in CHAPTERS:
        sources = "\n".join(source for _, source in blocks(chapter.read_text(), "python"))
        packages = {found.partition(".")[0] for found in re.findall(r"(?m)^(?:from|import) ([\w.]+)", sources)}
        assert packages <= {"models", "numpy", "torch", "sklearn"} | sys.stdlib_module_names, chapter.name
