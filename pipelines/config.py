"""Configuration: defaults < conf/*.yaml < `key=value` arguments, merged into frozen dataclasses.

A group is chosen by `group=name`, which picks `conf/<group>/<name>.yaml`; `group.key=value` overrides one key.
Each component defines its own `Options`; this module only merges them.
"""

import dataclasses
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, make_dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from omegaconf import MISSING, OmegaConf

from models.dataset.tfidf import Options as TfidfOptions
from models.options.fields import described, setting
from models.storage import addresses
from models.training.task import Options as TrainOptions
from pipelines.arguments import conf_files, help_page
from pipelines.arguments.job_keys import JOBS, jobs_with, join_words, nearest
from pipelines.arguments.values import Value, parse
from pipelines.errors import UserError
from pipelines.lakehouse.splits import Split
from pipelines.readers.locations import DATA
from pipelines.text import tokenizer

CONF = Path(__file__).resolve().parent.parent / "conf"
GROUPS = ("source", "features", "model")


@dataclass(frozen=True)
class Maintain:
    """The `maintain.*` keys."""

    retention_hours: float = setting(168.0, "Hours for which replaced files are kept, at most 720.")

    def __post_init__(self) -> None:
        # The log's commits, which say when a file was replaced, are kept for 30 days.
        if not 0 <= self.retention_hours <= 720:
            raise ValueError("maintain.retention_hours must be from 0 to 720")


@dataclass(frozen=True)
class Common:
    """The keys that belong to no section."""

    lake: str = setting(str(DATA / "lake"), "Folder of all data sets' tables and bundles, local or on HDFS.")
    dataset: str = setting("", "Name of the data set's folder in the lake; empty for the source's name.")
    run: str = setting("", "Name of the run, which resumes one that was stopped; empty for a new run.")
    bundle: str = setting("", "Folder of the trained bundle.", example="data/lake/bbc/bundles/<run>")
    output: str = setting(
        "", "Where results go: a Delta table that predict replaces, or a CSV file that compare adds to."
    )
    report: str = setting("", "File that gets the job's report as JSON, local or on HDFS; empty writes none.")
    snapshot: str = setting("latest", "Snapshot of the features: its number, or latest.")
    overlap: str = setting("wait", "What to do while another job has the data set or the run: wait or leave.")
    overlap_s: float = setting(3600.0, "Longest wait for another job, in seconds.")
    bundles: list[str] = setting([], "Folders of the bundles to unite, two or more.", example="[<bundle>,<bundle>]")
    models: list[str] = setting([], "Names of the models to compare.", example="[logistic,mlp]")
    seeds: int = setting(1, "Number of trainings of each model, with the seeds 0, 1 and so on.")
    grid: list[str] = setting(
        [],
        "Values to search by validation, each key=value|value; a model uses the keys that it has.",
        example="[train.lr=1e-3|3e-3]",
    )


@dataclass(frozen=True)
class Names:
    """Which member of each group was chosen."""

    source: str
    features: str
    model: str


@dataclass(frozen=True)
class Config(Common):
    """One resolved configuration: `names` are the chosen files of `conf/`, `arguments` those of the command line."""

    source: Any = None
    features: tokenizer.Options = field(default_factory=tokenizer.Options)
    model: Any = None
    split: Split = field(default_factory=Split)
    tfidf: TfidfOptions = field(default_factory=TfidfOptions)
    train: TrainOptions = field(default_factory=TrainOptions)
    maintain: Maintain = field(default_factory=Maintain)
    names: Names = field(default_factory=lambda: Names("", "", ""))
    arguments: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for key in ("dataset", "run"):  # names of folders of the lake
            name = getattr(self, key)
            if re.search(r"[/\\\x00-\x1f]", name) or name in (".", ".."):
                raise UserError(f"{key} must be a folder's name, not {name!r}")

        if self.overlap not in ("wait", "leave") or not self.overlap_s >= 0:
            raise UserError("overlap must be wait or leave, and overlap_s must be 0 seconds or more")
        if not self.lake:
            raise UserError("lake is empty: name a folder")
        for key in ("lake", "bundle", "output", "report"):
            if path := getattr(self, key):
                object.__setattr__(self, key, _address(key, path))
        object.__setattr__(self, "bundles", [_address("bundles", path) for path in self.bundles])

    @property
    def dataset_name(self) -> str:
        """The name of the data set's folder: `dataset=`, else the source's own default, else the source's name."""
        return self.dataset or getattr(self.source, "dataset", self.names.source)


def _address(key: str, path: str) -> str:
    """The address of the path that `key` names, the same in every process.

    Raises:
        UserError: the path is on a file system that Textmill does not read.
    """
    try:
        return addresses.absolute(path).rstrip("/")
    except ValueError as error:
        raise UserError(f"{key}={error}") from error


def load(arguments: Iterable[str] = (), job: str = "") -> Config:
    """Resolve `arguments` (`key=value` strings) to a `Config`; with a `job`, they must be keys of that job.

    Raises:
        UserError: a key or name is unknown (the message names the nearest) or belongs to another job or member, a value
            has the wrong type or is out of its range, or a key without a default has no value.
    """
    arguments = tuple(arguments)
    pairs = [_pair(argument) for argument in arguments]
    names = _names(pairs)
    known = settings_of(names)
    for key, _ in pairs:
        _check_key(key, known, names, job)
    values = OmegaConf.create({})
    for key, text in pairs:
        if key not in GROUPS:
            OmegaConf.update(values, key, _value(key, text, known[key]), force_add=True)
    merged = OmegaConf.merge(_merged(names), values)
    for key in (*sorted(OmegaConf.missing_keys(merged)), *(JOBS[job].required if job else ())):
        if OmegaConf.select(merged, key) in (None, "", []):
            raise UserError(f"{key} is required and has no default: {described(known[key], 'meaning')}")
    try:
        resolved = OmegaConf.to_object(merged)
    except ValueError as error:
        raise UserError(str(error)) from error
    sections = {item.name: getattr(resolved, item.name) for item in dataclasses.fields(resolved)}  # type: ignore[arg-type]
    return Config(**sections, names=names, arguments=arguments)


def help_text(job: str, summary: str, arguments: Iterable[str] = ()) -> str:
    """What `--help` prints: the keys of a job, with the members of the groups that the arguments choose."""
    pairs = [(key, value) for key, sign, value in (argument.partition("=") for argument in arguments) if sign]
    names = _names(pairs)
    defaults: Any = OmegaConf.to_container(_merged(names))
    keys = []
    for key, item in settings_of(names).items():
        section, _, name = key.rpartition(".")
        value = defaults[section][name] if section else defaults[name]
        keys.append(help_page.Key(key, item, value, missing=value == MISSING))
    choices = [help_page.Choice(group, getattr(names, group), members(group)) for group in GROUPS]
    return help_page.help_text(job, summary, choices, keys)


def settings_of(names: Names) -> "dict[str, dataclasses.Field[Any]]":
    """Each key of the configuration with the chosen members, and the field that describes it."""
    settings = {item.name: item for item in dataclasses.fields(Common)}
    for section, kind in _sections(names).items():
        settings |= {f"{section}.{item.name}": item for item in dataclasses.fields(kind)}
    return settings


def members(group: str) -> list[str]:
    """The names that `group=` accepts: the files of `conf/<group>/`."""
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def component(group: str, name: str) -> ModuleType:
    """The module that owns the `Options` of `group=name`."""
    packages = {"source": "pipelines.sources.", "model": "models."}
    return import_module(packages[group] + name) if group in packages else tokenizer


def _pair(argument: str) -> tuple[str, str]:
    key, sign, value = argument.partition("=")
    if not sign or not key:
        raise UserError(f"'{argument}' is not of the form key=value; --help lists the keys")
    return key.strip(), value


def _names(pairs: Sequence[tuple[str, str]]) -> Names:
    defaults = conf_files.read(CONF / "default.yaml")
    chosen = {group: str(defaults[group]) for group in GROUPS}
    for key, value in pairs:
        if key in GROUPS:
            if value not in members(key):
                raise UserError(f"no {key} is named '{value}'{nearest(value, members(key))}")
            chosen[key] = value
    return Names(**chosen)


def _sections(names: Names) -> dict[str, Any]:
    """The dataclass of each section; those of the groups are the chosen members' own."""
    options = {group: component(group, getattr(names, group)).Options for group in GROUPS}
    return options | {"split": Split, "tfidf": TfidfOptions, "train": TrainOptions, "maintain": Maintain}


def _merged(names: Names) -> Any:
    """The defaults of the dataclasses, overridden by those of the files of `conf/`."""
    fields = [(name, kind, field(default_factory=kind)) for name, kind in _sections(names).items()]
    schema = OmegaConf.structured(make_dataclass("Settings", fields, bases=(Common,), frozen=True))
    known = settings_of(names)
    merged = conf_files.merge(schema, CONF / "default.yaml", known, without=GROUPS)
    for group in GROUPS:
        # A group's file is merged at the root, so that it may set other sections (a model its `train.*`) too.
        merged = conf_files.merge(merged, CONF / group / f"{getattr(names, group)}.yaml", known)
    return merged


def _check_key(key: str, known: Iterable[str], names: Names, job: str) -> None:
    """Raise UserError for a key that the job, the chosen members, or the whole configuration does not have."""
    group, _, name = key.partition(".")
    owners = _owners(group, name) if key not in known and group in GROUPS else []
    if key not in known and key not in GROUPS and not owners:
        own = [other for other in (*known, *GROUPS) if not job or JOBS[job].accepts(other)]
        raise UserError(f"unknown key '{key}'{nearest(key, own)}")
    if job and not JOBS[job].accepts(key):
        raise UserError(f"{key} belongs to {join_words(jobs_with(key))}, not to {job}")
    if owners:
        instead = f"; to set it for them alone, write 'grid=[{key}=...]'" if job == "compare" else ""
        raise UserError(f"{key} belongs to {group}={join_words(owners)}, not to {getattr(names, group)}{instead}")


def _owners(group: str, name: str) -> list[str]:
    """The members of a group whose options have a field of this name."""
    return [
        member
        for member in members(group)
        if name in {item.name for item in dataclasses.fields(component(group, member).Options)}
    ]


def _value(key: str, text: str, item: "dataclasses.Field[Any]") -> Value:
    value = parse(key, text, item)
    if "${" in text or MISSING in (value if isinstance(value, list) else [value]):
        raise UserError(f"{key} must not contain '${{' or be '???'")  # to OmegaConf these are not plain text
    return value
