"""Checkpoints: everything that a training needs to go on as if it had never stopped, in one safetensors file.

A file's name holds its step and the digest of its content. Files are written atomically; one that is damaged all the
same, for example by a disk, does not match the digest in its name and is skipped. There is no random state to keep: the
stream of each shard is seeded anew in each step, from the seed, the step and the shard's number.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

import safetensors.torch
from torch import Tensor

from models.storage import files
from models.training.state import TrainingState

FOLDER = "checkpoints"
KEPT = 2
NAME = re.compile(r"step-(\d{12})-([0-9a-f]{32})\.safetensors")


@dataclass(frozen=True)
class Checkpoint:
    """The state of a training and its tensors by name: those of `state.state_tensors`, and `history`."""

    state: TrainingState
    tensors: Mapping[str, Tensor]


def save(folder: str, checkpoint: Checkpoint) -> None:
    """Write a checkpoint below `folder`, and delete all but the last `KEPT` checkpoints."""
    contiguous = {name: tensor.contiguous() for name, tensor in checkpoint.tensors.items()}
    content = safetensors.torch.save(contiguous, {"values": json.dumps(checkpoint.state.to_dict())})
    name = f"step-{checkpoint.state.steps:012}-{_digest(content)}.safetensors"
    files.write(f"{folder}/{FOLDER}/{name}", content)
    for outdated in _names(folder)[:-KEPT]:
        files.remove(f"{folder}/{FOLDER}/{outdated}")


def newest(folder: str) -> Checkpoint | None:
    """The newest undamaged checkpoint below `folder`; None if there is none."""
    for name in reversed(_names(folder)):
        content = files.read(f"{folder}/{FOLDER}/{name}")
        match = NAME.fullmatch(name)
        assert match
        if match[2] == _digest(content):
            header_bytes = int.from_bytes(content[:8], "little")
            header = json.loads(content[8 : 8 + header_bytes])
            state = TrainingState.from_dict(json.loads(header["__metadata__"]["values"]))
            return Checkpoint(state, safetensors.torch.load(content))
    return None


def last_step(folder: str) -> int:
    """The step in the name of the newest checkpoint below `folder`; 0 if there is none."""
    match = NAME.fullmatch(_names(folder)[-1]) if _names(folder) else None
    return int(match[1]) if match else 0


def _names(folder: str) -> list[str]:
    return [name for name in files.names(f"{folder}/{FOLDER}") if NAME.fullmatch(name)]


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]
