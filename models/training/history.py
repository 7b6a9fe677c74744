"""The history of a training, step by step, kept in memory and in checkpoints; at the end a table in the bundle."""

import io
import os
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from models.storage import files

FILE = "history.parquet"
EVENTS = "tensorboard"
COLUMNS = ("loss", "learning_rate", "documents_per_second", "memory_mb")


class History:
    """For each step the mean loss, the learning rate, documents per second of all ranks, and this process's memory."""

    def __init__(self, rows: Tensor | None = None) -> None:
        """`rows` are those of a checkpoint, as `tensor` made them."""
        self.rows: list[tuple[float, ...]] = [] if rows is None else [tuple(row) for row in rows.tolist()]

    def add(self, **values: float) -> None:
        """Add a step; `values` must have the names in `COLUMNS`."""
        self.rows.append(tuple(values[name] for name in COLUMNS))

    def tensor(self) -> Tensor:
        """All steps as a tensor (steps, columns), for a checkpoint."""
        return torch.tensor(self.rows, dtype=torch.float64).reshape(-1, len(COLUMNS))

    def table(self) -> pa.Table:
        """One row per step, with the steps numbered from 1 in the column `step`."""
        columns = dict(zip(COLUMNS, self.tensor().numpy().T, strict=True))
        return pa.table({"step": pa.array(range(1, len(self.rows) + 1), pa.int64()), **columns})

    def save(self, folder: str, *, events: bool) -> None:
        """Write the table into the bundle `folder`, and with `events` TensorBoard's event files, too."""
        content = io.BytesIO()
        pq.write_table(self.table(), content, compression="zstd")
        files.write(f"{folder}/{FILE}", content.getvalue())
        if events:
            self._save_events(folder)

    def _save_events(self, folder: str) -> None:
        from torch.utils.tensorboard import SummaryWriter

        with tempfile.TemporaryDirectory() as temporary:
            with SummaryWriter(temporary) as writer:
                for step, row in enumerate(self.rows, 1):
                    for name, value in zip(COLUMNS, row, strict=True):
                        writer.add_scalar(f"train/{name}", value, step)
            for path in Path(temporary).iterdir():
                files.write(f"{folder}/{EVENTS}/{path.name}", path.read_bytes())


def read(folder: str) -> Any:
    """The table of a finished training, a `pyarrow.Table`."""
    return pq.read_table(pa.BufferReader(files.read(f"{folder}/{FILE}")))


def resident_mb() -> float:
    """The resident memory of this process, in MB (2^20 bytes)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
