"""Whether two checkouts of the project give the same results: record what the commands of each make, then compare.

    python tests/equivalence.py record CHECKOUT OUT [--data DIR]
    python tests/equivalence.py compare OUT1 OUT2

`record` runs the jobs of `steps` with the checkout's own environment, which `make setup` has made, in some minutes.
DIR holds r8, reviews_zh and digits, as `make data` brings them (by default this repository's `data`). `compare` prints
a line for each thing compared. Exit status: 0 equal; 1 something differs, is missing or empty, or a job failed; 2 wrong
arguments.

Both recordings belong on one machine: other processors round sums of floats in other ways. Nothing of the project is
imported, so that any two checkouts can be compared.
"""

import argparse
import csv
import gzip
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any, NoReturn

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

# What two runs of one checkout differ in, each with the reason. All else is compared, floats to the last bit.
COLUMNS_LEFT_OUT = {
    "modified": "when an input file was changed: each environment installs BBC News at a time of its own",
}
FIGURES_LEFT_OUT = {  # keys of reports and of figures.json, columns of history.parquet, values of the table `metrics`
    "seconds": "how long a stage took",
    "stepping": "how long the training's steps took",
    "launching": "how long the launch of the ranks took",
    "documents_per_second": "how fast a step was",
    "memory_mb": "how much memory a process held at that moment",
    "bytes": "of files that hold reports, whose length differs with the digits of their seconds",
}
ACTIONS_LEFT_OUT = {  # keys of a Delta log's actions
    "id": "drawn anew for each table",
    "createdTime": "a time",
    "timestamp": "a time",
    "modificationTime": "a time",
    "deletionTimestamp": "a time",
    "lastUpdated": "a time",
    "txnId": "drawn anew for each commit",
    "path": "a file's name holds a word drawn anew for each job",
    "size": "see `bytes`",
    "operationMetrics": "holds sizes and times",
}
TIME_NAMES = re.compile(r"\b\d{8}-\d{6}-[0-9a-f]{4}\b")  # of jobs without `run=`: they say when they began

TABLES = (
    *("bronze/batches", "bronze/documents", "bronze/quarantine", "silver/documents", "gold/*/features"),
    *("gold/*/vocabulary", "gold/*/snapshots", "predictions", "runs", "metrics"),
)
MAY_BE_EMPTY = {  # nothing is wrong with those files, and images have no words
    *((dataset, "bronze/quarantine") for dataset in ("r8", "reviews_zh", "digits")),
    ("digits", "gold/*/vocabulary"),
}
BUNDLES = {
    "bbc": ("mlp",),
    "r8": ("ensemble", "hybrid", "logistic", "textcnn"),
    "reviews_zh": ("mlp",),
    "digits": ("imagecnn",),
    "files": ("mlp",),
    "numbers": ("linear",),
    "topics": ("mlp",),
}
BUNDLE_FILES = (
    "model.json",
    "weights.safetensors",
    "vocabulary.parquet",
    "history.parquet",
    "figures.json",
    "run.json",
)
ENSEMBLE_FILES = ("model.json", "members/0/weights.safetensors", "members/1/weights.safetensors")

FOREIGN = (
    *("SPARK_HOME", "SPARK_CONF_DIR", "PYTHONPATH", "PYTHONHOME", "PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON"),
    *("PYSPARK_SUBMIT_ARGS", "HADOOP_CONF_DIR", "MASTER"),
)
ROOT = Path(__file__).resolve().parents[1]
INPUTS = Path(tempfile.gettempdir()) / "textmill-equivalence"  # one place, so that the tables hold equal paths
RECORDING = "recording.json"  # written last
SHOWN = 3  # differences of one thing that are printed


@dataclass(frozen=True)
class Step:
    """One job of a recording: `spark-submit pipelines/<job>.py <arguments>`."""

    name: str
    job: str
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class Result:
    """What was compared, how much of it there is, and in what it differs."""

    name: str
    size: str
    differences: list[str] = field(default_factory=list)


class Parser(argparse.ArgumentParser):
    """Wrong arguments are one sentence and status 2."""

    def error(self, message: str) -> NoReturn:
        sys.stderr.write(f"equivalence: {message}\n")
        sys.exit(2)


def main() -> int:
    parser = Parser(prog="equivalence.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    recording = commands.add_parser("record", help="run a checkout's jobs")
    recording.add_argument("checkout", type=Path)
    recording.add_argument("out", type=Path)
    recording.add_argument("--data", type=Path, default=ROOT / "data", help="the folder with r8, reviews_zh and digits")
    comparing = commands.add_parser("compare", help="compare two recordings")
    comparing.add_argument("first", type=Path)
    comparing.add_argument("second", type=Path)
    given = parser.parse_args()
    if given.command == "record":
        return record(parser, given.checkout.resolve(), given.out.resolve(), given.data.resolve())
    return compare(parser, given.first.resolve(), given.second.resolve())


# ---------------------------------------------------------------------------------------------------- recording


def record(parser: Parser, checkout: Path, out: Path, data: Path) -> int:
    """Run all steps into `out`; 1 where a job fails."""
    for path in (checkout / "pipelines" / "train.py", checkout / ".venv" / "bin" / "spark-submit"):
        if not path.exists():
            parser.error(f"{checkout} is no checkout that is set up: {path} is missing")
    for path in (data / "r8" / "train.tab", data / "reviews_zh" / "pos.txt", data / "digits"):
        if not path.exists():
            parser.error(f"{path} is missing: 'make data' brings it, or name its folder with --data")
    if out.exists() and any(out.iterdir()):
        parser.error(f"{out} is not empty: name a new folder")
    place_inputs(INPUTS)
    seconds = {}
    for step in steps(out, data):
        began = time.monotonic()
        if not run(step, checkout, out):
            return 1
        seconds[step.name] = round(time.monotonic() - began, 1)
    told = {"places": {"OUT": str(out), "CHECKOUT": str(checkout)}, "data": str(data), "processor": processor()}
    (out / RECORDING).write_text(json.dumps(told | {"seconds": seconds}, indent=2))
    print(f"{out}: {len(seconds)} jobs in {sum(seconds.values()):.0f} seconds")
    return 0


def steps(out: Path, data: Path) -> list[Step]:
    """The jobs of a recording, in their order; epochs are few, for the results need not be good."""
    lake, seed = f"lake={out}/lake", "train.seed=7"
    bundles = {dataset: [f"{out}/lake/{dataset}/bundles/{run}" for run in runs] for dataset, runs in BUNDLES.items()}
    ensemble, _, *parts = bundles["r8"]
    r8 = ("source=r8", f"source.path={data}/r8")
    chinese = ("source=reviews_zh", f"source.path={data}/reviews_zh", "features=characters", seed)
    digits = ("source=digits", f"source.path={data}/digits", seed)
    plan = [
        ("bbc-mlp", "train", ("source=bbc", "model=mlp", "run=mlp", "train.epochs=3", seed)),
        ("r8-logistic", "train", (*r8, "model=logistic", "run=logistic", "train.epochs=3", seed)),
        ("r8-textcnn", "train", (*r8, "model=textcnn", "run=textcnn", "train.epochs=1", seed)),
        ("r8-hybrid", "train", (*r8, "model=hybrid", "run=hybrid", "train.epochs=1", "train.ranks=2", seed)),
        ("r8-ensemble", "ensemble", (*r8, "run=ensemble", f"bundles=[{','.join(parts)}]")),
        ("r8-maintain", "maintain", ("source=r8", "maintain.retention_hours=0")),
        ("reviews_zh-mlp", "train", (*chinese, "model=mlp", "run=mlp", "train.epochs=1")),
        ("digits-imagecnn", "train", (*digits, "model=imagecnn", "run=imagecnn", "train.epochs=1")),
        *own_files(f"bundle={bundles['bbc'][0]}", seed),
    ]
    new = ("source=files", f"source.path={INPUTS}/new", "source.format=csv", "source.text=body")
    predict = Step("predict", "predict", (f"bundle={ensemble}", f"output={out}/predicted", *new))
    return [*(Step(name, job, (lake, *given)) for name, job, given in plan), predict]


def own_files(bundle: str, seed: str) -> list[tuple[str, str, tuple[str, ...]]]:
    """The jobs on the script's own inputs: four batches, each by another job, then the other tasks and tokenizers."""
    files = ("source=files", "source.label=label", "split.test=0.4")
    mlp = ("model=mlp", "run=mlp", "train.epochs=5", seed)
    first, second, third, fourth = (f"source.path={INPUTS}/batches/{number}" for number in range(1, 5))
    numbers = ("source=files", f"source.path={INPUTS}/numbers", "source.format=csv", "source.target=number")
    numbered = ("dataset=numbers", "features=character_ngrams", "model=linear", "run=linear", "train.epochs=3", seed)
    topics = ("source=files", f"source.path={INPUTS}/topics", "source.format=json", "source.label=topics")
    several = ("source.label_separator=|", "train.loss=binary", "dataset=topics", "features=jieba")
    return [
        ("files-evaluate", "evaluate", (*files, first, "source.format=csv", bundle)),
        ("files-featurize", "featurize", (*files, second, "source.format=json")),
        ("files-clean", "clean", (*files, third, "source.format=csv")),
        ("files-mlp", "train", (*files, fourth, "source.format=csv", *mlp)),
        ("files-maintain", "maintain", ("source=files", first, "maintain.retention_hours=0")),
        ("numbers-linear", "train", (*numbers, *numbered)),
        ("topics-mlp", "train", (*topics, *several, *mlp)),
    ]


def run(step: Step, checkout: Path, out: Path) -> bool:
    """Run one job, keep its report and what it said; False where it failed."""
    scripts = checkout / ".venv" / "bin"
    kept = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    variables = kept | {"PATH": f"{scripts}:{os.environ['PATH']}", "VIRTUAL_ENV": str(checkout / ".venv")}
    command = [str(scripts / "spark-submit"), "--master", "local[2]", f"pipelines/{step.job}.py", *step.arguments]
    done = subprocess.run(command, cwd=checkout, env=variables, capture_output=True, text=True, check=False)
    logs, reports = out / "logs", out / "reports"
    for folder in (logs, reports):
        folder.mkdir(parents=True, exist_ok=True)
    (logs / f"{step.name}.txt").write_text(done.stderr)
    if done.returncode:
        sys.stderr.write(f"{done.stderr[-3000:]}\nequivalence: {step.name} ended with status {done.returncode}\n")
        return False
    (reports / f"{step.name}.json").write_text(done.stdout.strip().rsplit("\n", 1)[-1])
    print(f"{step.name}: done", flush=True)
    return True


def processor() -> str:
    """The kind of this machine's processor, which decides how sums are rounded."""
    information = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    found = re.findall(r"(?m)^(?:vendor_id|cpu family|model|model name|stepping)\s*: (.*)$", information)
    return " ".join(found[:5]) or os.uname().machine


def place_inputs(folder: Path) -> None:
    """Make `folder` hold the inputs, and nothing else; left alone where it does, for another recording may read it."""
    wanted = inputs()
    there = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    if there == wanted:
        return
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in wanted.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def inputs() -> dict[str, bytes]:
    """Files with good and bad rows, by their names."""
    new = [["n", "body"], *([str(number), text] for number, (_, text) in enumerate(texts(200, 240)))]
    odd = [
        ["41", 'a quoted, "text"\nof two lines'],
        ["42", "股市上涨 油价下跌 ✓"],
        ["43", "   "],
        ["44"],
        ["45", "a", "b"],
    ]
    numbers = [[str(number % 7 + 0.5), f"{'wheat ' * (number % 7)}barley {number}"] for number in range(60)]
    return batches() | {
        "numbers/a.csv": as_csv([["number", "text"], *numbers, ["many", "no number"]]),
        "topics/a.json": b"".join(several_topics(number) for number in range(60)) + b"[1]\n",
        "new/g.csv": as_csv([*new, *odd]) + b"46,\xff\xfe not UTF-8\n",
        "new/h.csv": as_csv([["n", "body"], *([str(number), "wheat corn grain exports"] for number in range(3))]),
        "new/i.csv.gz": b"no gzip at all",
    }


def batches() -> dict[str, bytes]:
    """Four batches of labelled texts: duplicates, rows and a file that are broken, a label that no model knows."""
    columns = ["label", "text"]
    rows = [dict(zip(columns, row, strict=True)) for row in texts(30, 50)]
    lines = [*map(json.dumps, rows), '{"label": "sport"}', "[1]", "{broken"]
    short = b"sport\nsport,\n,a text without a label\n"
    odd = [["opera", "a label that no model knows"]]
    return {
        "batches/1/a.csv": as_csv([columns, *texts(0, 30)]) + short,
        "batches/1/b.csv": as_csv([columns, *texts(50, 70), *texts(0, 5)]),
        "batches/2/c.json": "".join(f"{line}\n" for line in lines).encode(),
        "batches/3/d.csv": as_csv([columns, *texts(70, 90), *odd]) + b"tech,\xff\xfe\n",
        "batches/4/e.csv.gz": gzip.compress(as_csv([columns, *texts(90, 120)]), mtime=0),
        "batches/4/f.csv.gz": gzip.compress(as_csv([columns, *texts(120, 130)]), mtime=0)[:-9],
    }


def several_topics(number: int) -> bytes:
    """A made-up Chinese text of one topic or two, as a line of JSON."""
    known = {"体育": "球队赢得比赛", "科技": "手机和电脑软件", "商业": "银行股票市场"}
    chosen = [list(known)[number * step % 3] for step in (1, 2)]
    text = f"{' '.join(known[topic] for topic in chosen)} {number}"
    return json.dumps({"topics": "|".join(chosen), "text": text}).encode() + b"\n"


def texts(start: int, end: int) -> list[list[str]]:
    """Made-up labelled texts, each distinct."""
    topics = {
        "sport": "match goal team coach season win",
        "tech": "software phone network users computer games",
        "business": "shares profit bank market oil prices",
    }
    found = []
    for number in range(start, end):
        label = list(topics)[number % 3]
        words = topics[label].split()
        chosen = [words[(number * step + step) % len(words)] for step in (1, 2, 3, 5)]
        found.append([label, f"{' '.join(chosen)} text number {number} {'again ' * (number % 4)}".strip()])
    return found


def as_csv(rows: Iterable[list[str]]) -> bytes:
    """Rows as CSV."""
    stream = io.StringIO(newline="")
    csv.writer(stream).writerows(rows)
    return stream.getvalue().encode()


# ---------------------------------------------------------------------------------------------------- comparing


def compare(parser: Parser, first: Path, second: Path) -> int:
    """Print a line for each thing compared; 1 where any differs."""
    for folder in (first, second):
        if not (folder / RECORDING).is_file():
            parser.error(f"{folder} holds no whole recording: {RECORDING} is missing")
    if first == second:
        parser.error(f"{first} is given twice")
    sides = (Side(first), Side(second))
    different = total = 0
    for result in results(*sides):
        total += 1
        different += bool(result.differences)
        print(f"{result.name}: {result.size}, {'DIFFERENT' if result.differences else 'equal'}", flush=True)
        for line in result.differences[:SHOWN]:
            print(f"    {line}")
        if len(result.differences) > SHOWN:
            print(f"    and {len(result.differences) - SHOWN} more differences")
    print(f"{total} things compared, {different} different")
    return 1 if different else 0


class Side:
    """One recording: its folder, and texts with its places and times taken out."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.told: dict[str, Any] = json.loads((out / RECORDING).read_text())
        self.places: dict[str, str] = {self.told["data"]: "DATA"}  # first: it may lie below the checkout
        self.places |= {path: name for name, path in self.told["places"].items()}

    def neutral(self, value: Any) -> Any:
        """A value without the recording's own folders and names of jobs that say when they began."""
        if isinstance(value, str):
            for path, name in self.places.items():
                value = value.replace(path, name)
            return TIME_NAMES.sub("<time>", value)
        if isinstance(value, dict):
            return {self.neutral(key): self.neutral(item) for key, item in value.items()}
        return [self.neutral(item) for item in value] if isinstance(value, list) else value

    def report(self, text: str) -> Any:
        """A report, or a training's figures, without what differs from run to run."""
        return without(self.neutral(json.loads(text)), FIGURES_LEFT_OUT)


def without(value: Any, keys: Iterable[str]) -> Any:
    """A JSON value without some keys, at any depth; the others in one order."""
    if isinstance(value, dict):
        return {key: without(value[key], keys) for key in sorted(value) if key not in keys}
    return [without(item, keys) for item in value] if isinstance(value, list) else value


def results(first: Side, second: Side) -> Iterator[Result]:
    """All that is compared."""
    told = [{key: side.told[key] for key in ("data", "processor")} for side in (first, second)]
    yield Result("recording", "inputs and processor", unequal(*told))
    for name in union(first, second, "reports/*.json", [f"reports/{step.name}.json" for step in steps(ROOT, ROOT)]):
        yield compared_files(first, second, name, lambda side, path: side.report(path.read_text()))
    for name in union(first, second, "lake/*"):
        if name.removeprefix("lake/") not in BUNDLES:
            yield Result(name, "a data set", ["it was not expected"])
    for dataset, runs in BUNDLES.items():
        yield from compared_tables(first, second, dataset)
        yield from compared_bundles(first, second, dataset, runs)
    yield from compared_table(first, second, "predicted")


def union(first: Side, second: Side, pattern: str, expected: Iterable[str] = ()) -> list[str]:
    """The names below either folder that fit a pattern, and those that are expected."""
    found = {str(path.relative_to(side.out)) for side in (first, second) for path in side.out.glob(pattern)}
    return sorted(found | set(expected))


def compared_tables(first: Side, second: Side, dataset: str) -> Iterator[Result]:
    """All tables of a data set, and those that should be there."""
    logs = union(first, second, f"lake/{dataset}/**/_delta_log")
    places = {log.removesuffix("/_delta_log") for log in logs}
    for pattern in TABLES:
        fitting = re.compile(re.escape(f"lake/{dataset}/{pattern}").replace(r"\*", "[^/]+"))
        found = {place for place in places if fitting.fullmatch(place)}
        if len(found) != 1:
            yield Result(f"lake/{dataset}/{pattern}", f"{len(found)} tables", ["there should be one, equal in both"])
        for place in sorted(found):
            yield from compared_table(first, second, place, may_be_empty=(dataset, pattern) in MAY_BE_EMPTY)
        places -= found
    for place in sorted(places):
        yield Result(place, "a table", ["it was not expected"])


def compared_table(first: Side, second: Side, place: str, *, may_be_empty: bool = False) -> Iterator[Result]:
    """A Delta table's columns and rows, in any order, and its log."""
    missing = [str(side.out) for side in (first, second) if not (side.out / place / "_delta_log").is_dir()]
    if missing:
        yield Result(place, "a table", [f"missing in {' and '.join(missing)}"])
        return
    try:
        tables = [DeltaTable(str(side.out / place)).to_pyarrow_table() for side in (first, second)]
    except (DeltaError, pa.ArrowException, OSError) as error:
        yield Result(place, "a table", [f"cannot be read: {error}"])
        return
    yield compared_rows(first, second, place, tables, may_be_empty=may_be_empty)
    logs = [log(side, place) for side in (first, second)]
    yield Result(f"{place}, its log", f"{len(logs[0])} commits", unequal_in_order(*logs))


def compared_rows(first: Side, second: Side, name: str, tables: list[Any], *, may_be_empty: bool = False) -> Result:
    """Two Arrow tables, row by row in any order."""
    size = f"{tables[0].num_rows} rows"
    schemas = [[f"{column.name} {column.type}" for column in table.schema] for table in tables]
    if schemas[0] != schemas[1]:
        return Result(name, size, unequal(*schemas))
    if not any(table.num_rows for table in tables):
        return Result(name, size, [] if may_be_empty else ["empty in both"])
    return Result(name, size, unequal_rows(comparable(first, tables[0]), comparable(second, tables[1])))


def comparable(side: Side, table: pa.Table) -> list[dict[str, Any]]:
    """A table's rows without what differs from run to run."""
    kept = [name for name in table.column_names if name not in (COLUMNS_LEFT_OUT | FIGURES_LEFT_OUT)]
    columns = {name: table[name].to_pylist() for name in kept}
    for name in kept:
        if pa.types.is_string(table[name].type) or pa.types.is_large_string(table[name].type):
            columns[name] = [side.report(text) if name == "report" else side.neutral(text) for text in columns[name]]
    if {"name", "value"} <= set(kept):  # the table `metrics`
        left_out = {f"train.{figure}" for figure in FIGURES_LEFT_OUT}
        pairs = zip(columns["name"], columns["value"], strict=True)
        columns["value"] = ["left out" if figure in left_out else value for figure, value in pairs]
    return [dict(zip(kept, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def log(side: Side, place: str) -> list[Any]:
    """The commits of a Delta table: what each says of the table, its transaction, and of all its new files together.

    Which rows share a file is not compared: tasks are assigned by the names of files, which are random.
    """
    commits = []
    for path in sorted((side.out / place / "_delta_log").glob("*.json")):
        actions = [action(side, line) for line in path.read_text().splitlines()]
        statistics = [entry["add"]["stats"] for entry in actions if "add" in entry]
        others = [entry for entry in actions if not {"add", "remove"} & set(entry)]
        commits.append([*sorted(others, key=repr), {"added": united(statistics)}])
    return commits


def united(statistics: list[dict[str, Any]]) -> dict[str, Any]:
    """The statistics of several files as those of one: rows, and each column's least and greatest value."""
    rows = sum(one["numRecords"] for one in statistics)
    least, greatest = (
        {
            column: choose(one[key][column] for one in statistics if column in one[key])
            for column in sorted({column for one in statistics for column in one[key]})
        }
        for key, choose in (("minValues", min), ("maxValues", max))
    )
    return {"rows": rows, "least": least, "greatest": greatest}


def action(side: Side, line: str) -> Any:
    """One action of a commit."""
    value = side.neutral(without(json.loads(line), ACTIONS_LEFT_OUT))
    for told in value.values():
        for key in ("stats", "schemaString"):
            if key in told:
                told[key] = json.loads(told[key])
    return value


def compared_bundles(first: Side, second: Side, dataset: str, runs: tuple[str, ...]) -> Iterator[Result]:
    """All files of a data set's bundles, and those that should be there."""
    folder = f"lake/{dataset}/bundles"
    wanted = {
        f"{folder}/{run}/{name}" for run in runs for name in (ENSEMBLE_FILES if run == "ensemble" else BUNDLE_FILES)
    }
    for name in union(first, second, f"{folder}/**/*", wanted):
        if not any((side.out / name).is_dir() for side in (first, second)):
            yield compared_bundle_file(first, second, name)


def compared_bundle_file(first: Side, second: Side, name: str) -> Result:
    """One file of a bundle."""
    if name.endswith("history.parquet") and all((side.out / name).is_file() for side in (first, second)):
        return compared_rows(first, second, name, [pq.read_table(side.out / name) for side in (first, second)])
    if name.endswith("figures.json"):
        return compared_files(first, second, name, lambda side, path: side.report(path.read_text()))
    if name.endswith(".json"):
        return compared_files(first, second, name, lambda side, path: side.neutral(json.loads(path.read_text())))
    return compared_files(first, second, name, lambda _, path: path.read_bytes())


def compared_files(first: Side, second: Side, name: str, content: Callable[[Side, Path], Any]) -> Result:
    """What `content` makes of a file in both."""
    missing = [str(side.out) for side in (first, second) if not (side.out / name).is_file()]
    if missing:
        return Result(name, "a file", [f"missing in {' and '.join(missing)}"])
    found = [content(side, side.out / name) for side in (first, second)]
    if isinstance(found[0], bytes):
        count = f", {pq.read_metadata(first.out / name).num_rows} rows" if name.endswith(".parquet") else ""
        return Result(name, f"{len(found[0])} bytes{count}", unequal_bytes(*found))
    size = f"{sum(1 for _ in leaves(found[0]))} values"
    return Result(name, size, unequal(*found) if found[0] else ["empty"])


def leaves(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """The values of a JSON value, each with its place."""
    if isinstance(value, dict | list) and value:
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        yield from chain.from_iterable(leaves(item, f"{place}.{key}".lstrip(".")) for key, item in pairs)
    else:
        yield place, value


def unequal(first: Any, second: Any) -> list[str]:
    """In which places two JSON values differ; floats are compared by all their digits."""
    one, other = dict(leaves(first)), dict(leaves(second))
    places = [place for place in one | other if repr(one.get(place, "nothing")) != repr(other.get(place, "nothing"))]
    return [f"{place}: {apart(one.get(place, 'nothing'), other.get(place, 'nothing'))}" for place in places]


def unequal_bytes(first: bytes, second: bytes) -> list[str]:
    """The first byte that differs."""
    if first == second:
        return []
    place = next((place for place, (one, other) in enumerate(zip(first, second, strict=False)) if one != other), None)
    where = "one is longer" if place is None else f"the first difference is at byte {place}"
    return [f"{len(first)} and {len(second)} bytes, {where}"]


def unequal_in_order(first: list[Any], second: list[Any]) -> list[str]:
    """In what two lists differ."""
    pairs = enumerate(zip_longest(first, second, fillvalue="nothing"))
    return [f"number {number}, {line}" for number, (one, other) in pairs for line in unequal(one, other)]


def unequal_rows(first: list[dict[str, Any]], second: list[dict[str, Any]]) -> list[str]:
    """In what two tables differ, whatever the order of their rows; `repr` tells floats apart to the last bit."""
    counted = Counter(map(repr, first)), Counter(map(repr, second))
    left = counted[0] - counted[1], counted[1] - counted[0]
    known = {repr(row): row for row in chain(first, second) if repr(row) in left[0] | left[1]}
    only = [[known[key] for key in sorted(side.elements())] for side in left]
    return [row_difference(one, other) for one, other in zip_longest(*only)]


def row_difference(first: dict[str, Any] | None, second: dict[str, Any] | None) -> str:
    """In which columns two rows differ that stand at one place among those that differ."""
    if first is None or second is None:
        return f"only in the {'first' if second is None else 'second'}: {short(repr(first or second))}"
    columns = [name for name in first if repr(first[name]) != repr(second[name])]
    same = {name: value for name, value in first.items() if name not in columns and not isinstance(value, list)}
    told = ", ".join(f"{name} {apart(first[name], second[name])}" for name in columns)
    return f"{told}, where {short(repr(same))}"


def apart(first: Any, second: Any) -> str:
    """Two values, from shortly before where they differ."""
    one, other = repr(first), repr(second)
    place = next((place for place, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), 0)
    start = max(0, place - 20)
    return f"{short(one[start:], 60)} and {short(other[start:], 60)}"


def short(text: str, most: int = 200) -> str:
    """A text's beginning."""
    return text if len(text) <= most else f"{text[:most]}…"


if __name__ == "__main__":
    sys.exit(main())
