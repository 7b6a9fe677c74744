"""Configuration: defaults < conf/*.yaml < `key=value` arguments, merged into frozen dataclasses.

A group is chosen by `group=name`, which picks `conf/<group>/<name>.yaml`; `group.key=value` overrides one key.
Each component owns its `Options`; this module only brings them together.
"""

import dataclasses
import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, make_dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf, StringNode
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from models.dataset.tfidf import Options as TfidfOptions
from models.storage import addresses
from models.training.task import Options as TrainOptions
from pipelines.errors import UserError
from pipelines.lakehouse.splits import Split
from pipelines.readers.locations import DATA
from pipelines.text import tokenizer

CONF = Path(__file__).resolve().parent.parent / "conf"
GROUPS = ("source", "features", "model")


@dataclass(frozen=True)
class Maintain:
    """How long `maintain` keeps files that the tables' newest state does not need."""

    retention_hours: float = 168.0

    def __post_init__(self) -> None:
        # The log's commits, which tell when a file was replaced, are kept for 30 days.
        if not 0 <= self.retention_hours <= 720:
            raise ValueError("maintain.retention_hours must be from 0 to 720")


@dataclass(frozen=True)
class Common:
    """The keys that belong to no group."""

    lake: str = str(DATA / "lake")
    dataset: str = ""
    run: str = ""
    bundle: str = ""
    output: str = ""
    report: str = ""
    snapshot: str = "latest"
    overlap: str = "wait"  # or leave, where another job has the data set or the run
    overlap_s: float = 3600.0
    bundles: list[str] = field(default_factory=list)  # for ensemble
    models: list[str] = field(default_factory=list)  # these three for compare
    seeds: int = 1
    grid: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Names:
    """Which member of each group was chosen."""

    source: str
    features: str
    model: str


@dataclass(frozen=True)
class Config(Common):
    """One resolved configuration: `names` says which files of `conf/` it came from, `arguments` what was given."""

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
            raise UserError("overlap must be wait or leave, and overlap_s a number of seconds")
        if not self.lake:
            raise UserError("lake is empty")
        for key in ("lake", "bundle", "output", "report"):
            try:
                addresses.absolute(getattr(self, key))
            except ValueError as error:
                raise UserError(f"{key}={error}") from error

    @property
    def dataset_name(self) -> str:
        """The data set's folder in the lake: `dataset=`, else what the source says, else the source's name."""
        return self.dataset or getattr(self.source, "dataset", self.names.source)


def load(arguments: Iterable[str] = ()) -> Config:
    """Resolve `arguments` (`key=value` strings) to a `Config`.

    Raises:
        UserError: an unknown key or name (the nearest is named), a wrong type, a value out of its range.
    """
    given = tuple(arguments)
    pairs = [_pair(argument) for argument in given]
    defaults = _yaml(CONF / "default.yaml")
    names = _names(defaults, pairs)
    schema = _schema(names)
    settings = [(key, value) for key, value in pairs if key not in GROUPS]
    known = list(_keys(schema))
    for key, _ in settings:
        _check_key(key, known)
    try:
        layers = [_group_file(group, getattr(names, group)) for group in GROUPS]
        merged = OmegaConf.merge(schema, _without_groups(defaults), *layers, _dotted(schema, settings))
        resolved = OmegaConf.to_object(merged)
    except MissingMandatoryValue as error:
        raise UserError(f"{_missing(merged)} is needed and has no default") from error
    except (OmegaConfBaseException, ValueError) as error:
        raise UserError(_first_line(error)) from error
    values = {item.name: getattr(resolved, item.name) for item in dataclasses.fields(resolved)}  # type: ignore[arg-type]
    return Config(**values, names=names, arguments=given)


def members(group: str) -> list[str]:
    """The names that `group=` accepts: the files of `conf/<group>/`."""
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def component(group: str, name: str) -> ModuleType:
    """The module that owns the `Options` of `group=name`."""
    places = {"source": "pipelines.sources.", "model": "models."}
    return import_module(places[group] + name) if group in places else tokenizer


def help_text(job: str, summary: str) -> str:
    """What `--help` prints: usage, groups with their names, keys with their defaults."""
    names = _names(_yaml(CONF / "default.yaml"), [])
    config = load()
    lines = [f"usage: spark-submit pipelines/{job}.py [key=value ...]", "", summary, "", "groups:"]
    for group in GROUPS:
        lines.append(f"  {group}={'|'.join(members(group))}  (default: {getattr(names, group)})")
    lines += ["", "keys, with the values they have now:"]
    for key in _keys(_schema(names)):
        value: Any = config
        for part in key.split("."):
            value = getattr(value, part)
        lines.append(f"  {key}={value if value is not None else ''}")
    for group in ("source", "model"):
        for name in members(group):
            if name != getattr(names, group):
                keys = " ".join(item.name for item in dataclasses.fields(component(group, name).Options))
                lines.append(f"  with {group}={name}, {group}.*: {keys}")
    return "\n".join(lines)


def _pair(argument: str) -> tuple[str, str]:
    key, sign, value = argument.partition("=")
    if not sign or not key:
        raise UserError(f"'{argument}' is not of the form key=value; --help lists the keys")
    return key.strip(), value


def _names(defaults: DictConfig, pairs: Sequence[tuple[str, str]]) -> Names:
    chosen = {group: str(defaults[group]) for group in GROUPS}
    for key, value in pairs:
        if key in GROUPS:
            if value not in members(key):
                raise UserError(f"no {key} is named '{value}'{_nearest(value, members(key))}")
            chosen[key] = value
    return Names(**chosen)


def _schema(names: Names) -> DictConfig:
    """A structured configuration with the chosen components' own options in it."""
    options = {group: component(group, getattr(names, group)).Options for group in GROUPS}
    sections: dict[str, Any] = options | {
        "split": Split,
        "tfidf": TfidfOptions,
        "train": TrainOptions,
        "maintain": Maintain,
    }
    fields = [(name, kind, field(default_factory=kind)) for name, kind in sections.items()]
    return OmegaConf.structured(make_dataclass("Settings", fields, bases=(Common,), frozen=True))  # type: ignore[no-any-return]


def _keys(node: DictConfig, prefix: str = "") -> Iterable[str]:
    for name in map(str, node):
        child = node._get_node(name)
        if isinstance(child, DictConfig):
            yield from _keys(child, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def _check_key(key: str, known: list[str]) -> None:
    if key not in known:
        raise UserError(f"unknown key '{key}'{_nearest(key, known + list(GROUPS))}")


def _nearest(word: str, known: list[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    if near:
        return f"; did you mean '{near[0]}'?"
    return f"; known are {', '.join(known)}" if len(known) <= 12 else "; --help lists the keys"


def _dotted(schema: DictConfig, settings: Sequence[tuple[str, str]]) -> DictConfig:
    """The arguments as a configuration: text where text is wanted, letter by letter; YAML elsewhere."""
    result = OmegaConf.create({})
    for key, value in settings:
        if "${" in value or value == "???":  # OmegaConf would read these as other than text
            raise UserError(f"{key} may not hold '${{', nor be '???'")
        found = _text(value) if _wants_text(schema, key) else _parsed(key, value)
        OmegaConf.update(result, key, found, force_add=True)
    return result


def _wants_text(schema: DictConfig, key: str) -> bool:
    parent, _, name = key.rpartition(".")
    node = OmegaConf.select(schema, parent) if parent else schema
    return isinstance(node._get_node(name), StringNode)


def _text(value: str) -> str | None:
    """`null` takes a value away."""
    return None if value == "null" else value


def _parsed(key: str, value: str) -> Any:
    try:
        return yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise UserError(f"{key}: cannot read {value!r}") from error


def _yaml(path: Path) -> DictConfig:
    node = OmegaConf.load(path)
    assert isinstance(node, DictConfig), f"{path} is not a mapping"
    return node


def _group_file(group: str, name: str) -> DictConfig:
    """A group's file is merged at the root, so that it may set other sections (a model its `train.*`) too."""
    return _yaml(CONF / group / f"{name}.yaml")


def _without_groups(defaults: DictConfig) -> DictConfig:
    kept = {str(key): value for key, value in defaults.items() if key not in GROUPS}
    return OmegaConf.create(kept)


def _missing(merged: Any) -> str:
    return ", ".join(sorted(OmegaConf.missing_keys(merged)))


def _first_line(error: Exception) -> str:
    message = str(error).strip().splitlines()[0]
    key = getattr(error, "full_key", None)
    return f"{key}: {message}" if key else message
