"""A comparison's figures: a row a model, a table for people, a CSV file to keep."""

import csv
import io
import shlex
import statistics
from collections.abc import Sequence
from typing import Any

from models.storage import addresses, files
from pipelines.config import Config
from pipelines.errors import UserError

COLUMNS = (
    *("model", "seeds", "accuracy", "low", "high", "macro_f1", "parameters", "train_seconds"),
    *("trained_per_second", "scored_per_second", "megabytes"),
)
FORMATS = dict.fromkeys(("accuracy", "low", "high", "macro_f1"), ".4f")
FORMATS |= dict.fromkeys(("train_seconds", "megabytes"), ",.1f")
NAMED = ("dataset", "features", "model", "seed")  # what a row of the CSV file is known by
HEADER = [*NAMED, *COLUMNS[2:], "command"]
NOT_TRAINS = ("models", "seeds", "grid", "output", "lake", "report")  # keys that say nothing of a single training


def summaries(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row a model, the means of its seeds; the interval is of all its seeds' predictions together."""
    found = []
    for name in dict.fromkeys(row["model"] for row in rows):
        own = [row for row in rows if row["model"] == name]
        means = {key: statistics.fmean(row[key] for row in own) for key in COLUMNS[2:]}
        found.append({"model": name, "seeds": len(own), **means, "parameters": own[0]["parameters"]})
    return found


def table(result: dict[str, Any]) -> str:
    """The comparison for people: a line a model, then a line a pair."""
    heads = [name.replace("_", " ") for name in COLUMNS]
    lines = [heads, *([_cell(name, model[name]) for name in COLUMNS] for model in result["models"])]
    widths = [max(len(line[place]) for line in lines) for place in range(len(heads))]
    text = ["  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
    for pair in result["differences"]:
        verdict = "more than chance" if pair["more_than_chance"] else "may be chance"
        text.append(
            f"{pair['one']} against {pair['other']}: {pair['only_one']} and {pair['only_other']} documents that only"
            f" one of them has right, p = {pair['p']:.2g}: {verdict}"
        )
    return "\n".join(text)


def _cell(name: str, value: Any) -> str:
    return value if name == "model" else f"{value:{FORMATS.get(name, ',.0f')}}"


def check(output: str) -> None:
    """Refuse a file that `record` cannot add to, before any work.

    Raises:
        UserError: it is not one of ours.
    """
    older = _older(output) if output else ""
    if older and older.splitlines()[0].split(",") != HEADER:
        raise UserError(f"output={output} holds something else than a comparison's rows; name a new file")


def _older(output: str) -> str:
    path = addresses.absolute(output)
    folder, _, name = path.rpartition("/")
    return files.read(path).decode(errors="replace") if name in files.names(folder) else ""


def record(config: Config, rows: Sequence[dict[str, Any]]) -> None:
    """Put the trainings into the CSV file `output=`, each with the command that repeats it."""
    kept = {tuple(row[name] for name in NAMED): row for row in csv.DictReader(io.StringIO(_older(config.output)))}
    own = [argument for argument in config.arguments if argument.partition("=")[0] not in NOT_TRAINS]
    for row in rows:
        more = [f"model={row['model']}", f"train.seed={row['seed']}", *row["settings"]]
        command = shlex.join(["spark-submit", "pipelines/train.py", *own, *more])
        chosen = (config.dataset_name, config.names.features, row["model"], str(row["seed"]))
        named = dict(zip(NAMED, chosen, strict=True))
        kept[tuple(named.values())] = named | {key: row[key] for key in COLUMNS[2:]} | {"command": command}
    text = io.StringIO()
    table = csv.DictWriter(text, HEADER, lineterminator="\n")
    table.writeheader()
    table.writerows(kept[key] for key in sorted(kept))
    files.write(addresses.absolute(config.output), text.getvalue().encode())
