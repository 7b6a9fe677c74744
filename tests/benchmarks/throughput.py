"""Documents per second from files to Delta, against Spark ML from the same files, and against scikit-learn.

20 Newsgroups three times over, with one changed word in each copy: 56,463 documents in eight Parquet files. Both sides
run in turn in one session on two cores, each with a fresh lake; the second of two passes counts.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.ml import Pipeline
from pyspark.ml.feature import IDF, CountVectorizer, RegexTokenizer
from pyspark.sql import SparkSession
from sklearn.feature_extraction.text import TfidfVectorizer

from pipelines import featurize
from pipelines.config import load
from pipelines.job import session
from pipelines.readers.locations import DATA
from pipelines.text import tokenizer

COPIES, FILES = 3, 8


def measure() -> list[dict[str, Any]]:
    """Seconds and documents per second of each side, and the ratios."""
    with tempfile.TemporaryDirectory() as folder:
        texts = corpus(Path(folder) / "in")
        spark = session.start("throughput")
        seconds: dict[str, float] = {}
        for turn in range(2):
            report, seconds["textmill"] = timed(lambda turn=turn: _ours(spark, folder, turn))  # type: ignore[misc]
            _, seconds["spark ml"] = timed(lambda turn=turn: _spark_ml(spark, folder, turn))  # type: ignore[misc]
        seconds |= {f"textmill {stage}": value for stage, value in report["seconds"].items()}
        spark.stop()
        _, seconds["tokenizing and counting, one core"] = timed(lambda: tokenized(texts))
        _, seconds["scikit-learn"] = timed(lambda: TfidfVectorizer().fit_transform(texts))
    rows = [
        {"side": side, "seconds": round(value, 2), "documents_per_second": round(len(texts) / value)}
        for side, value in seconds.items()
    ]
    return [
        *rows,
        {"ratio": "textmill to spark ml", "value": round(seconds["spark ml"] / seconds["textmill"], 2)},
        {
            "ratio": "featurize to scikit-learn",
            "value": round(seconds["scikit-learn"] / seconds["textmill featurize"], 2),
        },
    ]


def corpus(folder: Path) -> list[str]:
    """Write the files; the texts."""
    lines = [line for name in ("train", "test") for line in (DATA / f"newsgroups/{name}.tab").open().readlines()[3:]]
    pairs = [line.rstrip("\n").partition("\t")[::2] for line in lines]
    rows = []
    for copy in range(COPIES):
        for number, (label, text) in enumerate(pair for pair in pairs if pair[1].strip()):
            changed = text.split()
            changed[(7 * number + copy) % len(changed)] = f"copy{copy}"
            rows.append({"id": f"{copy}-{number}", "label": label, "text": " ".join(changed)})
    folder.mkdir()
    size = -(-len(rows) // FILES)
    for number in range(FILES):
        part = pa.Table.from_pylist(rows[number * size : (number + 1) * size])
        pq.write_table(part, folder / f"{number}.parquet")
    return [row["text"] for row in rows]


def tokenized(texts: list[str]) -> None:
    """Cut and count all texts as `featurize` does, some thousands at a time, and keep nothing."""
    for start in range(0, len(texts), 3000):
        tokenizer.tokenize(texts[start : start + 3000], tokenizer.Options())


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """What `work` gives, and its seconds."""
    began = time.monotonic()
    result = work()
    return result, time.monotonic() - began


def _ours(spark: SparkSession, folder: str, turn: int) -> dict[str, Any]:
    arguments = [f"lake={folder}/lake{turn}", "source=files", f"source.path={folder}/in"]
    return featurize.run(spark, load([*arguments, "source.format=parquet", "source.label=label"])).to_dict()


def _spark_ml(spark: SparkSession, folder: str, turn: int) -> None:
    rows = spark.read.parquet(f"file://{folder}/in")
    stages = [
        RegexTokenizer(inputCol="text", outputCol="words", pattern=r"\b\w\w+\b", gaps=False),
        CountVectorizer(inputCol="words", outputCol="counts", vocabSize=1 << 20),
        IDF(inputCol="counts", outputCol="features"),
    ]
    model = Pipeline(stages=stages).fit(rows)
    done = model.transform(rows).select("id", "label", "features")
    done.write.format("delta").save(f"file://{folder}/ml{turn}")
