"""The `--help` page: how to call a job, its keys with their defaults and meanings, and two examples."""

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import Field, dataclass
from typing import Any

from models.options.fields import described
from pipelines.arguments.job_keys import JOBS
from pipelines.arguments.values import as_argument

WIDTH, COLUMN = 100, 30
GENERAL = "Data set and reports"
TITLES = {
    "source": "Source",
    "split": "Split of documents without a published one",
    "features": "Features",
    "model": "Model",
    "tfidf": "Vocabulary and TF-IDF weights",
    "train": "Training",
    "maintain": "Maintenance",
}
MEANINGS = {
    "source": "Where documents come from.",
    "features": "How text becomes terms.",
    "model": "What is trained.",
}


@dataclass(frozen=True)
class Choice:
    """A group of the configuration: its members, and the one that is chosen."""

    group: str
    chosen: str
    members: Sequence[str]


@dataclass(frozen=True)
class Key:
    """A key and its default with the chosen members; `missing` if it has none."""

    name: str
    setting: "Field[Any]"
    value: Any
    missing: bool

    @property
    def section(self) -> str:
        """The part before the dot; empty if there is none."""
        return self.name.rpartition(".")[0]

    @property
    def first(self) -> str:
        """The section, or the name if there is none."""
        return self.section or self.name


def help_text(job: str, summary: str, choices: Sequence[Choice], keys: Sequence[Key]) -> str:
    """The whole text, 100 columns wide. `keys` are all keys of the configuration; the page lists the job's."""
    own = JOBS[job]
    job_keys = [key for key in keys if own.lists(key.name)]
    required = [key for key in job_keys if key.missing or key.name in own.required]
    lines = [f"usage: spark-submit pipelines/{job}.py [key=value ...]"]
    for text in filter(None, (summary, own.note)):
        lines += ["", *textwrap.wrap(text, WIDTH)]
    if required:
        lines += ["", "Required:", *_rows((f"{key.name}=...", described(key.setting, "meaning")) for key in required)]
    lines += ["", "Choices (name one beside --help to see its keys):"]
    lines += _rows(
        (f"{choice.group}={'|'.join(choice.members)}", f"{MEANINGS[choice.group]} Chosen: {choice.chosen}.")
        for choice in choices
        if own.lists(choice.group)
    )
    order = (*own.keys, *own.sections)
    rest = sorted((key for key in job_keys if key not in required), key=lambda key: order.index(key.first))
    headings = dict.fromkeys(_heading(key, choices) for key in rest)
    for heading in headings:
        lines += ["", f"{heading}:"]
        lines += _rows(
            (f"{key.name}={as_argument(key.value)}", described(key.setting, "meaning"))
            for key in rest
            if _heading(key, choices) == heading
        )
    return "\n".join([*lines, "", "Examples:", *_examples(job)])


def _heading(key: Key, choices: Sequence[Choice]) -> str:
    """The heading of the group that a key is listed in."""
    if not key.section:
        return GENERAL
    name = next((f" {choice.chosen}" for choice in choices if choice.group == key.section), "")
    heading = described(key.setting, "heading")
    return f"{TITLES[key.section]}{name}{f': {heading}' if heading else ''}"


def _rows(pairs: Iterable[tuple[str, str]]) -> Iterable[str]:
    """Lines in two columns; a left side that is too wide for its column gets a line of its own."""
    for left, right in pairs:
        head = f"  {left}".ljust(COLUMN)
        if len(left) + 4 > COLUMN:
            yield f"  {left}"
            head = " " * COLUMN
        yield from textwrap.wrap(right, WIDTH, initial_indent=head, subsequent_indent=" " * COLUMN)


def _examples(job: str) -> Iterable[str]:
    """The commands; a long one continues on further lines."""
    for example in JOBS[job].examples:
        command = f"spark-submit pipelines/{job}.py {example}"
        wrapped = textwrap.wrap(command, WIDTH - 4, break_long_words=False, break_on_hyphens=False)
        yield " \\\n      ".join(f"  {line}" if number == 0 else line for number, line in enumerate(wrapped))
