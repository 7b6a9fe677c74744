"""What the pages tell a newcomer to run, run as it is written: jobs by spark-submit, Python in the test's session."""

import csv
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from pipelines import config, evaluate
from pipelines.config import Config, load
from tests.conftest import documents, last_json
from tests.pages import README, page


def write_csv(path: Path, rows: list[dict[str, str]]) -> None:
    path.parent.mkdir(parents=True)
    with path.open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["stars", "body"])
        table.writerows([row["label"], row["text"]] for row in rows)


@pytest.mark.submit
def test_your_own_files(spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Train, predict and evaluate as README and predicting.md say, and query the tables as the pages do."""
    write_csv(tmp_path / "reviews" / "a.csv", [*documents(100), {"label": "sea", "text": ""}])
    write_csv(tmp_path / "new" / "b.csv", [*documents(3, start=500), {"label": "", "text": ""}])
    lake = f"lake={tmp_path}/lake"
    train, predict = (command for command in README.commands if "source=files" in command.arguments)
    more = (lake, "train.epochs=3", "train.ranks=2", f"report={tmp_path}/report.json")
    trained = train.run(*more, replacing={"=/data/": f"={tmp_path}/"})
    assert trained.returncode == 0, trained.stderr[-3000:]
    report = last_json(trained.stdout)
    assert report["rows"] == {"read": 101, "kept": 100, "quarantined": 1, "duplicates": 0, "two_labels": 0}
    assert report["train"]["ranks"] == 2
    assert report["metrics"]["test"]["accuracy"] == 1.0
    assert report["bundle"].startswith(f"file://{tmp_path}/lake/files/bundles/")
    assert last_json((tmp_path / "report.json").read_text()) == report
    assert "epoch 3/3" in trained.stderr
    assert "@progress" not in trained.stderr
    assert "epoch" not in trained.stdout.split("\n", 1)[0]

    replacing = {"data/lake/files/bundles/x": report["bundle"], "=/data/": f"={tmp_path}/"}
    predicted = predict.run(f"lake={tmp_path}/nowhere", replacing=replacing)
    assert predicted.returncode == 0, predicted.stderr[-3000:]
    assert last_json(predicted.stdout)["rows"] == {"read": 4, "predicted": 3, "rejected": 1}
    assert not (tmp_path / "nowhere").exists(), "the bundle alone is needed"

    (command,) = (command for command in page("predicting").commands if command.job == "evaluate")
    again = evaluate.run(spark, load([*command.arguments, f"bundle={report['bundle']}", *source(tmp_path), lake]))
    assert again.to_dict()["status"] == "unchanged"

    # Whatever data set a page queries, here it is this one.
    queries = [
        query for each in (README, *map(page, ("data", "training", "predicting"))) for query in each.blocks("python")
    ]
    for query in queries:
        if "data/" in query:
            code = query.replace('"data/lake/bbc/', '"data/lake/files/').replace('"data/lake/r8/', '"data/lake/files/')
            code = code.replace('"data/lake/', f'"file://{tmp_path}/lake/').replace('"/data/', f'"file://{tmp_path}/')
            exec(code, {"spark": spark})  # noqa: S102
    assert capsys.readouterr().out.count("no text") == 2  # the quarantine's row, and its reason


def source(tmp_path: Path) -> list[str]:
    """The arguments by which the data set was made."""
    return [
        "source=files",
        f"source.path={tmp_path}/reviews",
        "source.format=csv",
        "source.text=body",
        "source.label=stars",
    ]


def test_both_pages_say_the_same() -> None:
    """What the pages repeat of the README is as it stands there."""
    known = [command for each in ("data", "predicting", "hadoop", "index") for command in page(each).commands]
    for command in README.commands:
        if "source=files" in command.arguments or command.arguments == ("model=logistic", "train.epochs=5"):
            assert command in known, command


@pytest.mark.spark
def test_from_python(spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def load_small(arguments: list[str]) -> Config:
        return load([*arguments, f"lake={tmp_path}/lake", "train.epochs=1", "train.refit=false"])

    monkeypatch.setattr(config, "load", load_small)
    names = {"spark": spark}
    (code,) = (block for block in README.blocks("python") if "import" in block)
    exec(code, names)  # noqa: S102
    result = names["report"].to_dict()
    assert (result["model"], result["source"], result["rows"]["read"]) == ("logistic", "bbc", 2225)
    assert result["metrics"]["test"]["accuracy"] > 0.5
