"""The README holds: its commands run as they are written, and its tree is the tree."""

import csv
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from pipelines import compare
from pipelines import config as configuration
from pipelines.config import Config
from tests.conftest import documents, last_json
from tests.jobs import ROOT, environment

README = (ROOT / "README.md").read_text()


def blocks(language: str, heading: str) -> list[str]:
    """The fenced blocks of a language below a heading."""
    section = README.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```", section)


def commands(heading: str) -> list[str]:
    """The spark-submit commands below a heading, continued lines joined."""
    lines = "\n".join(blocks("sh", heading)).replace("\\\n", "").splitlines()
    return [" ".join(line.split()) for line in lines if line.startswith("spark-submit")]


def run(command: str, *more: str) -> subprocess.CompletedProcess[str]:
    """A command of the README in the project's folder."""
    words = [*shlex.split(command), *more]
    return subprocess.run(words, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False, timeout=300)


def write_csv(path: Path, rows: list[dict[str, str]]) -> None:
    path.parent.mkdir(parents=True)
    with path.open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["stars", "body"])
        table.writerows([row["label"], row["text"]] for row in rows)


@pytest.mark.submit
def test_your_own_files(spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_csv(tmp_path / "reviews" / "a.csv", [*documents(100), {"label": "sea", "text": ""}])
    write_csv(tmp_path / "new" / "b.csv", documents(3, start=500))
    train, predict = commands("Your own files")
    trained = run(train.replace("/data/", f"{tmp_path}/"), f"lake={tmp_path}/lake", "train.epochs=3")
    assert trained.returncode == 0, trained.stderr[-3000:]
    report = last_json(trained.stdout)
    assert report["rows"] | {"duplicates": 0, "two_labels": 0} == {
        "read": 101,
        "kept": 100,
        "quarantined": 1,
        "duplicates": 0,
        "two_labels": 0,
    }
    assert report["bundle"].startswith(f"file://{tmp_path}/lake/files/bundles/")
    there = predict.replace("data/lake/files/bundles/<run>", report["bundle"]).replace("=/data/", f"={tmp_path}/")
    predicted = run(there)
    assert predicted.returncode == 0, predicted.stderr[-3000:]
    assert last_json(predicted.stdout)["rows"] == {"read": 3, "predicted": 3, "rejected": 0}
    (refused,) = blocks("python", "Your own files")
    exec(refused.replace("data/lake", f"file://{tmp_path}/lake"), {"spark": spark})  # noqa: S102
    assert "no text" in capsys.readouterr().out


@pytest.mark.spark
def test_from_python(spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load = configuration.load

    def load_small(arguments: list[str]) -> Config:
        return load([*arguments, f"lake={tmp_path}/lake", "train.epochs=1", "train.refit=false"])

    monkeypatch.setattr(configuration, "load", load_small)
    names = {"spark": spark}
    (code,) = blocks("python", "Two commands")
    exec(code, names)  # noqa: S102
    result = names["result"]
    assert (result["model"], result["source"], result["rows"]["read"]) == ("logistic", "bbc", 2225)
    assert result["metrics"]["test"]["accuracy"] > 0.5


@pytest.mark.submit
def test_submitted_by_hand() -> None:
    train, help_wanted = commands("Two commands")
    assert configuration.load(shlex.split(train)[2:]).names.model == "logistic"
    helped = run(help_wanted)
    assert helped.returncode == 0
    for key in (
        "source=bbc|digits|files|",
        "|linear|logistic|mlp|",
        "train.epochs=",
        "split.salt=0",
        "model.dropout=0.5",
    ):
        assert key in helped.stdout


def test_comparisons() -> None:
    """Understood as they are written; they run in tests/pipelines/test_compare.py."""
    several, searched, united, classic = (
        configuration.load(shlex.split(command, comments=True)[2:]) for command in commands("Compare models")
    )
    compare.check(several)
    compare.check(searched)
    compare.check(classic)
    lstm = {axis for axis in classic.grid if compare.has_key(classic, "rnn", axis)}
    assert lstm == set(classic.grid)
    assert (several.models, several.seeds) == (["logistic", "mlp", "attention"], 3)
    assert len(compare.axis_values(searched.grid[0])) == 2
    assert len(united.bundles) == 2


def test_each_key_of_the_table_is_one() -> None:
    rows = re.findall(r"(?m)^\| (`.*?) \|", README.split("\n## Your own files\n")[1].split("\n## ")[0])
    keys = re.findall(r"`([a-z_]+(?:\.[a-z_{},]+)?)`", " ".join(rows))
    assert len(keys) > 12
    known = set(configuration.settings_of(configuration.Names("files", "words", "mlp")))
    named = {
        f"{key.split('.')[0]}.{part}" if "." in key else key
        for key in keys
        for part in key.split(".")[-1].strip("{}").split(",")
    }
    assert named <= known


def test_the_tree_is_the_tree() -> None:
    (tree,) = re.findall(r"(?ms)^## The tree\n\n```\n(.*?)^```", README)
    for name in re.findall(r"(?<!\*)\b[a-z0-9_-]+\.(?:py|yaml|conf|properties|sh|toml|md)\b", tree):
        assert list(ROOT.rglob(name)), name
    for path in (ROOT / "pipelines").glob("*.py"):
        assert path.name in tree or path.name == "__init__.py", path.name
