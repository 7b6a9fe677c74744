"""Cost follows what is new: seconds and bytes of adding 1,000 documents to a small lake and to a large one.

The large lake is filled by a driver of 2 GB; the peak memory of its processes is told too.
"""

import random
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.benchmarks.jobs import submit

WORDS = 50_000
NEW, SIZES = 1_000, (2_000, 200_000)


def measure() -> list[dict[str, Any]]:
    """One row a lake, and the ratios of the larger to the smaller."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for size in SIZES:
            source, lake = Path(folder) / f"in{size}", Path(folder) / f"lake{size}"
            arguments = [f"lake={lake}", "source=files", f"source.path={source}", "source.format=parquet"]
            documents(source, 0, size)
            filled = submit("featurize", *arguments)
            added = []
            for turn in range(3):
                documents(source, size + turn * NEW, NEW)
                before = written(lake)
                added.append((stages(submit("featurize", *arguments)), written(lake) - before))
            nothing = submit("featurize", *arguments)
            rows.append(
                {
                    "lake": size,
                    "fill_seconds": stages(filled),
                    "add_seconds": sorted(second for second, _ in added)[1],
                    "add_bytes": sorted(number for _, number in added)[1],
                    "nothing_new_seconds": stages(nothing),
                    "fill_peak_mb": filled["peak_mb"],
                }
            )
    small, large = rows
    ratios = {key: round(large[key] / small[key], 2) for key in ("add_seconds", "add_bytes")}
    return [*rows, {"ratio": "large to small", **ratios}]


def stages(report: dict[str, Any]) -> float:
    """Seconds of the three stages, the session's start aside."""
    return round(sum(value for name, value in report["seconds"].items() if name != "session"), 2)


def documents(folder: Path, first: int, count: int) -> None:
    """A Parquet file of documents of 150 words each, drawn by Zipf's law from a vocabulary of 50,000."""
    folder.mkdir(exist_ok=True)
    draw = random.Random(first)  # noqa: S311
    weights = [1 / rank for rank in range(1, WORDS + 1)]
    names = [f"word{number}" for number in range(WORDS)]
    texts = [f"document{first + n} " + " ".join(draw.choices(names, weights, k=150)) for n in range(count)]
    pq.write_table(pa.table({"text": texts}), folder / f"{first}.parquet")


def written(lake: Path) -> int:
    """The bytes of all files of a lake."""
    return sum(path.stat().st_size for path in lake.rglob("*") if path.is_file())
