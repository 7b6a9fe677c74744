"""The project's Markdown pages in parts: fenced blocks, commands, code in the text, tables, links."""

import re
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tests.jobs import ROOT, environment

FENCE = re.compile(r"(?ms)^( *)```([a-z]*)((?: [^\n]*)?)\n(.*?)^\1```$")


@dataclass(frozen=True)
class Command:
    """A `spark-submit` of a page: its words, the job and the job's arguments. Placeholders such as <run> are an x."""

    words: tuple[str, ...]
    job: str
    arguments: tuple[str, ...]

    def run(self, *more: str, replacing: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run it in the project's folder, with some text replaced and more arguments."""
        words = list(self.words)
        for old, new in (replacing or {}).items():
            words = [word.replace(old, new) for word in words]
        command = [*words, *more]
        return subprocess.run(
            command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False, timeout=300
        )


@dataclass(frozen=True)
class Page:
    """One Markdown file."""

    path: Path

    @property
    def name(self) -> str:
        """Its path below the project's folder."""
        return str(self.path.relative_to(ROOT))

    @cached_property
    def text(self) -> str:
        """Its content."""
        return self.path.read_text()

    @cached_property
    def prose(self) -> str:
        """Its content without fenced blocks, line by line as in the file."""
        return FENCE.sub(lambda fence: "\n" * fence[0].count("\n"), self.text)

    def blocks(self, language: str) -> list[str]:
        """The fenced blocks of a language."""
        found = FENCE.findall(self.text)
        return [re.sub(f"(?m)^{indent}", "", body) for indent, kind, _, body in found if kind == language]

    @cached_property
    def titled(self) -> list[tuple[str, str]]:
        """The fenced blocks that have a file's path as their title: (path, content)."""
        found = [(re.search(r'title="([^"]+)"', head), body) for _, _, head, body in FENCE.findall(self.text)]
        return [(title[1], body) for title, body in found if title]

    @cached_property
    def spans(self) -> list[str]:
        """What stands in backticks, outside fenced blocks."""
        return [span.replace("\\|", "|") for span in re.findall(r"(?<!`)`([^`]+)`(?!`)", self.prose)]

    @cached_property
    def shell_lines(self) -> list[str]:
        """The lines of shell blocks, continued ones joined."""
        return "\n".join(self.blocks("sh")).replace("\\\n", " ").splitlines()

    @cached_property
    def commands(self) -> list[Command]:
        """The jobs that the page submits, in their order; those that only ask for help are left out."""
        lines = [line for line in self.shell_lines if "spark-submit" in line and "pipelines/" in line]
        return [command for line in lines if (command := submitted(line))]

    @cached_property
    def rows(self) -> list[list[str]]:
        """The rows of its tables, the cells without backticks."""
        lines = [line for line in self.prose.splitlines() if line.lstrip().startswith("|")]
        cells = [re.split(r"(?<!\\)\|", line.strip().strip("|")) for line in lines]
        return [[cell.strip().strip("`").replace("\\|", "|") for cell in row] for row in cells]

    @cached_property
    def entries(self) -> list[tuple[str, str]]:
        """The list items that open with code in bold: (the code, what is said of it)."""
        items = re.findall(r"(?ms)^- \*\*`([^`]+)`\*\*:\s(.*?)(?=^- |^$|\Z)", self.prose)
        return [(code, " ".join(text.split())) for code, text in items]

    @cached_property
    def links(self) -> list[str]:
        """The targets of its links and pictures."""
        return re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", "", self.prose))

    @cached_property
    def anchors(self) -> set[str]:
        """What a link may name of it: its headings, as GitHub and MkDocs write them."""
        heads = re.findall(r"(?m)^#+ +(.+)$", self.prose)
        return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


def submitted(line: str) -> Command | None:
    """The job that a line of shell submits; None if it only asks for help."""
    words = shlex.split(re.sub(r"<[^<>]*>", "x", re.sub(r"\s#.*", "", line)))
    (position,) = [number for number, word in enumerate(words) if re.search(r"(^|/)pipelines/\w+\.py$", word)]
    arguments = tuple(words[position + 1 :])
    return None if "--help" in arguments else Command(tuple(words), Path(words[position]).stem, arguments)


README = Page(ROOT / "README.md")
PAGES = [
    README,
    *(Page(ROOT / name) for name in ("CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")),
    *(Page(ROOT / name) for name in ("data/README.md", "conf/kubernetes/README.md")),
    *map(Page, sorted((ROOT / "docs").rglob("*.md"))),
]


def page(name: str) -> Page:
    """A page of docs/."""
    return Page(ROOT / "docs" / f"{name}.md")
