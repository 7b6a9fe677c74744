"""Makes the lake, the bundles and the stopped run of a version, which later versions must go on reading.

    python tests/compatibility/make.py CHECKOUT FOLDER

runs the jobs of CHECKOUT, a checkout of that version with its own environment (`make setup`), and puts into FOLDER:

    inputs/          the files that were taken, one more, and some to predict; all texts are made up for this
    lake/notes/      two batches, with rejected rows and a broken file; the runs `finished` (mlp), `words` (textcnn),
                     `both` (their ensemble) and `stopped`, which was killed after a checkpoint; what they predicted
    bundles/         `target`, which learnt a number, and `labels`, which learnt several labels a document
    whole.safetensors  the weights that `stopped` ends with where nothing stops it
    expected.json    rows of each table, predictions of each bundle for `inputs/new`, the settings of the runs

Tables hold the absolute paths of the files that were taken, and reports those of bundles. So that no path of the
machine that made them is in there, all jobs work in /tmp/textmill-v0.1, and what they made is copied from there.
"""

import csv
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import cycle
from operator import itemgetter
from pathlib import Path
from typing import Any

import psutil
from deltalake import DeltaTable

PLACE = Path("/tmp/textmill-v0.1")  # noqa: S108 (the same on every machine, which is its purpose)
FOREIGN = (
    *("SPARK_HOME", "SPARK_CONF_DIR", "PYTHONPATH", "PYTHONHOME", "PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON"),
    *("PYSPARK_SUBMIT_ARGS", "HADOOP_CONF_DIR", "MASTER"),
)

# Small bundles and short trainings, in one thread: the number of processors shall not decide how sums are rounded.
SMALL = ("train.batch=8", "train.threads=1", "train.seed=5", "tfidf.min_df=1", "tfidf.size=60")
FILES = ("source=files", "source.format=csv")
NOTES = (*FILES, f"source.path={PLACE}/inputs/in", "source.label=label", "dataset=notes", "split.test=0.3")
MLP = ("model=mlp", "model.hidden=[4]")
FINISHED = (*MLP, "train.epochs=30", "train.lr=0.01")
STOPPED = (*MLP, "train.epochs=400", "train.patience=0")
CNN = ("model=textcnn", "model.embedding=4", "model.filters=3", "model.widths=[1,3]", "model.length=16")
WORDS = (*CNN, "train.epochs=20", "train.lr=0.01")
TARGET = (*FILES, f"source.path={PLACE}/inputs/target", "source.target=words", "dataset=target", "model=linear")
SEVERAL = ("source.label=label", "source.label_separator=|", "train.loss=binary")
LABELS = (*FILES, f"source.path={PLACE}/inputs/labels", *SEVERAL, "dataset=labels", *MLP, "train.lr=0.01")

HARBOUR = """the ferry waits at the quay until the fog has gone
two sailors mend a torn sail on the pier
gulls follow the fishing boat back to the harbour
the lighthouse keeper paints the railing white
a storm kept every boat in the harbour
the captain counts the ropes before the tide turns
nets full of herring dry beside the boat shed
at low tide the boat lies on the sand
the harbour master writes down each ferry
waves beat against the old pier all night
a sailor sells mussels near the lighthouse
the tide carried a rope out to sea
fog hid the pier from the captain
the boat shed smells of tar and herring""".splitlines()
ORCHARD = """the apple trees blossom late this spring
she prunes the pear tree before the frost
baskets of plums stand under the ladder
bees hum in the blossom of the cherry tree
frost took half of the apple blossom
the cider press stands behind the barn
he grafts an old pear onto a young tree
ladders lean against the cherry trees
wasps sit on the fallen plums
the barn is full of apples and straw
a late frost worries the orchard keeper
she carries a basket of cherries to the press
young trees are tied to a stake
the last apples hang high in the orchard""".splitlines()
WORKSHOP = """the lathe turns a table leg from ash
sawdust covers the bench and the floor
he sharpens the chisel on a wet stone
glue dries slowly in the cold workshop
the drawer sticks and wants a little wax
she planes the board until it is flat
an old clock stands open on the bench
the saw needs a new handle of beech
nails and screws are sorted into tins
varnish on the chair is still wet
the apprentice sweeps sawdust into a sack
a chisel without a handle lies in the drawer
the board is glued and held by clamps
he measures the door twice before he saws""".splitlines()
DOCUMENTS = {"harbour": HARBOUR, "orchard": ORCHARD, "workshop": WORKSHOP}


MORE = ("the ferry sails at noon", "a ladder in the plum tree", "he glues the chair", "the ferry sails at noon")
NEW = ("a boat in the harbour", "apples and cherries", "sawdust on the bench", " ", "nothing of this is known")


def main() -> int:
    if len(sys.argv) != 3:
        sys.stderr.write("make: two arguments are needed, CHECKOUT and FOLDER\n")
        return 2
    checkout, folder = (Path(given).resolve() for given in sys.argv[1:])
    if folder.exists():
        sys.stderr.write(f"make: {folder} is there already: take it away, or name another\n")
        return 2
    shutil.rmtree(PLACE, ignore_errors=True)
    trained, both = make_lake(checkout)
    whole = train(checkout, copied("whole"), "stopped", *NOTES, *STOPPED)
    stop(checkout, PLACE / "lake", "stopped", *NOTES, *STOPPED)
    continued = train(checkout, copied("continued"), "stopped", *NOTES, *STOPPED)
    assert weights(continued) == weights(whole), "the stopped run does not end as the undisturbed one"
    assert continued["train"]["resumed_at"], "the run was stopped before its first checkpoint"
    others = {"target": train(checkout, PLACE / "others", "target", *TARGET)}
    others["labels"] = train(checkout, PLACE / "others", "labels", *LABELS)
    keep(folder, whole, others)
    settled = trained | {"continued": continued, "whole": whole}
    bundles = trained | {"both": both} | others
    expected = {
        "place": str(PLACE),
        "processor": processor(),
        "arguments": {"notes": NOTES, "finished": [*SMALL, *FINISHED], "stopped": [*SMALL, *STOPPED]},
        # A run that goes on names its shards, which one that was not stopped leaves to the ranks: another digest.
        "settings": {name: run["settings"] for name, run in settled.items()},
        "whole": {"sha256": hashlib.sha256(weights(whole)).hexdigest(), "steps": whole["train"]["steps"]},
        "tables": {name: table.num_rows for name, table in tables(folder)},
        "predictions": {name: predictions(checkout, name, run["bundle"]) for name, run in bundles.items()},
    }
    (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    check_paths(folder, checkout)
    print(f"{folder}: {sum(path.stat().st_size for path in folder.rglob('*') if path.is_file()):,} bytes")
    return 0


def inputs() -> dict[str, bytes]:
    """All files, by their names below `inputs`."""
    columns = ["label", "text"]
    rows = [[label, text] for texts in zip(*DOCUMENTS.values(), strict=True) for label, text in labelled(texts)]
    numbered = [[len(text.split()), f"{text} {'again ' * (number % 4)}"] for number, (_, text) in enumerate(rows)]
    pairs = zip(rows, rows[1:] + rows[:1], strict=True)
    several = [["|".join(dict.fromkeys([one[0], other[0]])), f"{one[1]} and {other[1]}"] for one, other in pairs]
    found: dict[str, list[list[Any]]] = {
        "in/a.csv": [columns, *rows[:24], ["harbour", ""]],
        "in/b.csv": [columns, *rows[24:], rows[0], ["orchard"]],
        "labels/l.csv": [columns, *several[::2], *rows],
        "more/c.csv": [columns, *labelled(MORE), [""]],
        "new/n.csv": [["text"], *([text] for text in NEW)],
        "target/t.csv": [["words", "text"], *numbered, ["some", "no number"]],
    }
    files = {name: as_csv(table) for name, table in found.items()}
    return files | {"in/broken.csv.gz": gzip.compress(files["in/a.csv"], mtime=0)[:-12]}


def labelled(texts: Iterable[str]) -> Iterator[list[str]]:
    """Each text with its label, one of each in turn."""
    return ([label, text] for label, text in zip(cycle(DOCUMENTS), texts, strict=False))


def as_csv(rows: Iterable[list[Any]]) -> bytes:
    """Rows as CSV."""
    stream = io.StringIO(newline="")
    csv.writer(stream).writerows(rows)
    return stream.getvalue().encode()


def make_lake(checkout: Path) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """Two batches, two trainings and their ensemble: their reports."""
    lake = PLACE / "lake"
    place("in/a.csv")
    submit(checkout, "featurize", f"lake={lake}", *NOTES)
    place(*inputs())
    trained = {
        "finished": train(checkout, lake, "finished", *NOTES, *FINISHED),
        "words": train(checkout, lake, "words", *NOTES, *WORDS),
    }
    bundles = ",".join(run["bundle"] for run in trained.values())
    both = submit(checkout, "ensemble", f"lake={lake}", "run=both", f"bundles=[{bundles}]", *NOTES)
    return trained, both


def place(*names: str) -> None:
    """Write some of the inputs."""
    for name in names:
        path = PLACE / "inputs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(inputs()[name])


def copied(name: str) -> Path:
    """A copy of the lake as it is now."""
    return Path(shutil.copytree(PLACE / "lake", PLACE / name))


def train(checkout: Path, lake: Path, run: str, *arguments: str) -> dict[str, Any]:
    """A training's report."""
    return submit(checkout, "train", f"lake={lake}", f"run={run}", *SMALL, *arguments)


def submit(checkout: Path, job: str, *arguments: str) -> dict[str, Any]:
    """The report of one job that ended well."""
    with started(checkout, job, *arguments) as running:
        output, errors = running.communicate()
    assert running.returncode == 0, errors[-3000:]
    report: dict[str, Any] = json.loads(output.strip().rsplit("\n", 1)[-1])
    print(f"{job} {report.get('run', '')}: {report['status']}", flush=True)
    return report


def started(checkout: Path, job: str, *arguments: str) -> subprocess.Popen[str]:
    """A job under way, with the checkout's environment."""
    scripts = checkout / ".venv" / "bin"
    kept = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    variables = kept | {"PATH": f"{scripts}:{os.environ['PATH']}", "VIRTUAL_ENV": str(checkout / ".venv")}
    command = [str(scripts / "spark-submit"), "--master", "local[2]", f"pipelines/{job}.py", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=checkout, env=variables, stdout=pipe, stderr=pipe, text=True)


def stop(checkout: Path, lake: Path, run: str, *arguments: str) -> None:
    """Start a training and kill its processes, each by its number, as soon as it has written a checkpoint."""
    folder = lake / "notes" / "bundles" / run
    given = (f"lake={lake}", f"run={run}", "train.checkpoint_steps=20", *SMALL, *arguments)
    with started(checkout, "train", *given) as running:
        job = psutil.Process(running.pid)
        while not list(folder.glob("checkpoints/step-*")):
            assert running.poll() is None, "it ended before its first checkpoint"
            processes = [job, *job.children(recursive=True)]
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(processes[1:], timeout=60)
        running.communicate()
    assert not (folder / "model.json").exists(), "it was not killed in time"
    for leftover in (*folder.glob("**/.*.tmp"), *lake.glob("**/.locks/*")):  # with the name of this machine
        leftover.unlink()
    print(f"train {run}: killed", flush=True)


def weights(report: dict[str, Any]) -> bytes:
    """What a training ended with."""
    return Path(report["bundle"].removeprefix("file://"), "weights.safetensors").read_bytes()


def keep(folder: Path, whole: dict[str, Any], others: dict[str, dict[str, Any]]) -> None:
    """Copy what is to stay; empty folders are none in git."""
    shutil.copytree(PLACE / "inputs", folder / "inputs")
    shutil.copytree(PLACE / "lake", folder / "lake", ignore=shutil.ignore_patterns(".locks", "*.crc"))
    for name, report in others.items():
        shutil.copytree(report["bundle"].removeprefix("file://"), folder / "bundles" / name)
    (folder / "whole.safetensors").write_bytes(weights(whole))
    (folder / ".gitattributes").write_text("* -text\n")  # files are recognised by their bytes, line ends too


def tables(folder: Path) -> Iterator[tuple[str, Any]]:
    """Each Delta table of the lake, by its place in it."""
    for log in sorted((folder / "lake").rglob("_delta_log")):
        yield str(log.parent.relative_to(folder / "lake")), DeltaTable(str(log.parent)).to_pyarrow_table()


def predictions(checkout: Path, name: str, bundle: str) -> list[dict[str, Any]]:
    """What a bundle says of `inputs/new`, in the order of the rows."""
    output = PLACE / "predicted" / name
    new = ("source=files", f"source.path={PLACE}/inputs/new", "source.format=csv")
    submit(checkout, "predict", f"bundle={bundle}", f"output={output}", *new)
    rows = DeltaTable(str(output)).to_pyarrow_table().drop_columns("path").to_pylist()
    return sorted(rows, key=itemgetter("row"))


def processor() -> str:
    """The kind of this machine's processor, which decides how sums are rounded."""
    information = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    found = re.findall(r"(?m)^(?:vendor_id|cpu family|model|model name|stepping)\s*: (.*)$", information)
    return " ".join(found[:5]) or os.uname().machine


def check_paths(folder: Path, checkout: Path) -> None:
    """Nothing names this machine or a folder of it."""
    texts = {str(path): path.read_bytes().decode(errors="replace") for path in folder.rglob("*") if path.is_file()}
    texts |= {name: repr(table.to_pylist()) for name, table in tables(folder)}
    for name, text in texts.items():
        assert socket.gethostname() not in text, name
        assert str(checkout) not in text, name
        absolute = re.findall(r"(?<![\w.<])/[a-z]{2,}/[\w./-]+", text) if text.isprintable() or "\n" in text else []
        assert all(path.startswith(str(PLACE)) for path in absolute), (name, absolute)


if __name__ == "__main__":
    sys.exit(main())
