"""A comparison of models: a row for each model, as a table for people and as a CSV file."""

import csv
import io
import shlex
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields

from models.storage import files
from pipelines.errors import UserError

FORMATS = dict.fromkeys(("accuracy", "low", "high", "macro_f1"), ".4f")
FORMATS |= dict.fromkeys(("train_seconds", "megabytes"), ",.1f")
IDENTITY = ("dataset", "features", "model", "seed")  # identify a row of the CSV file
NOT_OF_A_TRAINING = (
    "models",
    "seeds",
    "grid",
    "output",
    "lake",
    "report",
)  # keys that are not repeated in the command of one training


@dataclass(frozen=True, kw_only=True)
class Scores:
    """How well a model does and what it costs: accuracy with its 95 % interval, size, seconds, documents per second."""

    accuracy: float
    low: float
    high: float
    macro_f1: float
    parameters: int
    train_seconds: float
    trained_per_second: float
    scored_per_second: float
    megabytes: float


METRICS = tuple(item.name for item in fields(Scores))
HEADER = [*IDENTITY, *METRICS, "command"]


@dataclass(frozen=True, kw_only=True)
class TrainingRow(Scores):
    """One training of a comparison; `settings` are the arguments that a grid search chose."""

    model: str
    run: str
    seed: int
    settings: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class ModelRow(Scores):
    """One model of a comparison: the means over its seeds."""

    model: str
    seeds: int


@dataclass(frozen=True)
class Difference:
    """Two models: how many test documents only one of them gets right, and McNemar's p.

    `more_than_chance` allows for the number of pairs (Holm, "A simple sequentially rejective multiple test procedure",
    Scandinavian Journal of Statistics 6, 1979).
    """

    one: str
    other: str
    only_one: int
    only_other: int
    p: float
    more_than_chance: bool = False


def summarize(rows: Sequence[TrainingRow]) -> list[ModelRow]:
    """A row for each model: the means over its seeds, also those of the bounds of the intervals."""
    summaries = []
    for model in dict.fromkeys(row.model for row in rows):
        own = [row for row in rows if row.model == model]
        means = {name: statistics.fmean(getattr(row, name) for row in own) for name in METRICS if name != "parameters"}
        summaries.append(ModelRow(model=model, seeds=len(own), parameters=own[0].parameters, **means))
    return summaries


def render(models: Sequence[ModelRow], differences: Sequence[Difference]) -> str:
    """The comparison for people: a line for each model, then a line for each pair."""
    columns = ("model", "seeds", *METRICS)
    lines = [
        [name.replace("_", " ") for name in columns],
        *([_cell(name, getattr(row, name)) for name in columns] for row in models),
    ]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    text = ["  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
    for pair in differences:
        verdict = "more than chance" if pair.more_than_chance else "may be chance"
        text.append(
            f"{pair.one} against {pair.other}: {pair.only_one} and {pair.only_other} documents that only"
            f" one of them gets right, p = {pair.p:.2g}: {verdict}"
        )
    return "\n".join(text)


def _cell(name: str, value: str | float) -> str:
    return str(value) if name == "model" else f"{value:{FORMATS.get(name, ',.0f')}}"


def check_output(output: str) -> None:
    """Refuse, before any work, a file that `record_csv` cannot add to.

    Raises:
        UserError: the file is not a comparison's CSV file.
    """
    text = _read_existing(output) if output else ""
    if text and text.splitlines()[0].split(",") != HEADER:
        raise UserError(f"output={output} is not a comparison's CSV file; name a new file")


def _read_existing(output: str) -> str:
    folder, _, name = output.rpartition("/")
    return files.read(output).decode(errors="replace") if name in files.names(folder) else ""


def record_csv(
    output: str, rows: Sequence[TrainingRow], *, dataset: str, features: str, arguments: Sequence[str]
) -> None:
    """Put the trainings into the CSV file `output`, each with the command that repeats it.

    A training replaces an older one of the same data set, features, model and seed. `arguments` are the comparison's.
    """
    older = csv.DictReader(io.StringIO(_read_existing(output)))
    kept = {tuple(row[name] for name in IDENTITY): row for row in older}
    shared = [argument for argument in arguments if argument.partition("=")[0] not in NOT_OF_A_TRAINING]
    for row in rows:
        own = [f"model={row.model}", f"train.seed={row.seed}", *row.settings]
        command = shlex.join(["spark-submit", "pipelines/train.py", *shared, *own])
        identity = (dataset, features, row.model, str(row.seed))
        values = asdict(row)
        kept[identity] = (
            dict(zip(IDENTITY, identity, strict=True)) | {name: values[name] for name in METRICS} | {"command": command}
        )
    text = io.StringIO()
    table = csv.DictWriter(text, HEADER, lineterminator="\n")
    table.writeheader()
    table.writerows(kept[key] for key in sorted(kept))
    files.write(output, text.getvalue().encode())
