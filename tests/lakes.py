"""Two data sets of a lake compared: all tables, all columns, read without Spark."""

import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable

# What two runs that do the same need not share: in reports durations, sizes, and from where a run went on; in the table
# of metrics what is measured in each step.
MEASURED = {"seconds", "stepping", "memory_mb", "launching", "failures", "resumed_at", "seen"}
MEASURED_STEPS = {"train.documents_per_second", "train.memory_mb"}
# And in reports the data set's name, or a digest of it.
NAMED = {"dataset", "settings"}
RUN = re.compile(r"\d{8}-\d{6}-[0-9a-f]{4}")  # a name that was made by the time of day


def assert_equal_lakes(lake: Path, one: str, other: str) -> None:
    """Data sets `one` and `other` have equal tables, but for measurements and names; trained weights are equal, too."""
    assert_equal_bundles(lake / one / "bundles", lake / other / "bundles")
    names = table_names(lake / one)
    assert names == table_names(lake / other)
    for name in names:
        first, second = (rows(lake, dataset, name) for dataset in (one, other))
        assert first == second, f"{name} of {one} and of {other} differ"


def assert_equal_bundles(one: Path, other: Path) -> None:
    """The same runs have bundles, with equal weights and vocabularies."""
    names = ("weights.safetensors", "vocabulary.parquet")
    first, second = (
        {path.relative_to(folder): path.read_bytes() for name in names for path in folder.glob(f"*/{name}")}
        for folder in (one, other)
    )
    assert first.keys() == second.keys()
    for name in first:
        assert first[name] == second[name], f"{name} of {one} and of {other} differ"


def table_names(folder: Path) -> list[str]:
    """The Delta tables of a data set."""
    return sorted(str(log.parent.relative_to(folder)) for log in folder.rglob("_delta_log"))


def rows(lake: Path, dataset: str, name: str) -> list[str]:
    """All rows of a table as text, sorted."""
    table = pa.table(DeltaTable(str(lake / dataset / name)).to_pyarrow_table())
    kept = [row for row in table.to_pylist() if row.get("name") not in MEASURED_STEPS]
    for row in kept:
        if "report" in row:
            row["report"] = comparable(json.loads(row["report"]))
    texts = (json.dumps(row, sort_keys=True, default=repr) for row in kept)
    return sorted(RUN.sub("<run>", text).replace(f"/{dataset}/", "/<dataset>/") for text in texts)


def comparable(report: Any) -> Any:
    """A report, or a part of one, without what differs between two equal runs."""
    if isinstance(report, list):
        return [comparable(each) for each in report]
    if isinstance(report, dict):
        return {name: comparable(each) for name, each in report.items() if name not in MEASURED | NAMED}
    return report
