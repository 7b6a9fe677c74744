"""Checkpoints: all that a training needs to go on as if it had never stopped, in one safetensors file.

A file's name holds its step and the digest of its content. It appears whole or not at all; one that is torn all the
same (a disk that lied) does not fit its name and is passed over. There is no random state to keep: each shard's stream
is seeded anew in each step, from the seed, the step and the shard's number.
"""

import hashlib
import json
import re
from typing import Any

import safetensors.torch
from torch import Tensor

from models.storage import files

FOLDER = "checkpoints"
KEPT = 2
NAME = re.compile(r"step-(\d{12})-([0-9a-f]{32})\.safetensors")


def save(folder: str, step: int, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
    """Write the state after `step` steps below `folder`; the last `KEPT` checkpoints stay."""
    plain = {name: tensor.contiguous() for name, tensor in tensors.items()}
    content = safetensors.torch.save(plain, {"values": json.dumps(values)})
    files.write(f"{folder}/{FOLDER}/step-{step:012}-{_digest(content)}.safetensors", content)
    for name in _names(folder)[:-KEPT]:
        files.remove(f"{folder}/{FOLDER}/{name}")


def newest(folder: str) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """The tensors and values of the newest checkpoint that is whole, if there is one."""
    for name in reversed(_names(folder)):
        content = files.read(f"{folder}/{FOLDER}/{name}")
        match = NAME.fullmatch(name)
        assert match
        if match[2] == _digest(content):
            length = int.from_bytes(content[:8], "little")
            values: dict[str, Any] = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["values"])
            return safetensors.torch.load(content), values
    return None


def last_step(folder: str) -> int:
    """The step of the newest checkpoint by its name, 0 where there is none."""
    match = NAME.fullmatch(_names(folder)[-1]) if _names(folder) else None
    return int(match[1]) if match else 0


def _names(folder: str) -> list[str]:
    return [name for name in files.names(f"{folder}/{FOLDER}") if NAME.fullmatch(name)]


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]
