"""What each step of a run was like: kept in memory, in checkpoints, and at the end as a table beside the bundle."""

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
NAMES = ("loss", "learning_rate", "documents_per_second", "memory_mb")


class History:
    """Loss a document, learning rate, global documents a second and megabytes of this process, step by step."""

    def __init__(self, rows: Tensor | None = None) -> None:
        self.rows: list[tuple[float, ...]] = [] if rows is None else [tuple(row) for row in rows.tolist()]

    def add(self, **values: float) -> None:
        """One more step; `NAMES` are its values."""
        self.rows.append(tuple(values[name] for name in NAMES))

    def tensor(self) -> Tensor:
        """(steps, values), for a checkpoint."""
        return torch.tensor(self.rows, dtype=torch.float64).reshape(-1, len(NAMES))

    def table(self) -> pa.Table:
        """One row a step, `step` from 1."""
        columns = dict(zip(NAMES, self.tensor().numpy().T, strict=True))
        return pa.table({"step": pa.array(range(1, len(self.rows) + 1), pa.int64()), **columns})

    def save(self, folder: str, *, events: bool) -> None:
        """Write the table, and TensorBoard's event files where they are wanted."""
        content = io.BytesIO()
        pq.write_table(self.table(), content, compression="zstd")
        files.write(f"{folder}/{FILE}", content.getvalue())
        if events:
            self._save_events(folder)

    def _save_events(self, folder: str) -> None:
        from torch.utils.tensorboard import SummaryWriter

        with tempfile.TemporaryDirectory() as place:
            with SummaryWriter(place) as writer:
                for step, row in enumerate(self.rows, 1):
                    for name, value in zip(NAMES, row, strict=True):
                        writer.add_scalar(f"train/{name}", value, step)
            for path in Path(place).iterdir():
                files.write(f"{folder}/{EVENTS}/{path.name}", path.read_bytes())


def read(folder: str) -> Any:
    """The table of a finished run."""
    return pq.read_table(pa.BufferReader(files.read(f"{folder}/{FILE}")))


def resident_mb() -> float:
    """This process's memory now, in megabytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
