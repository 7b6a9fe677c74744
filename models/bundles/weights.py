"""Weights as a safetensors file, whose header is believed only after it fits the model.

Format: 8 bytes of length (little-endian), a JSON header, the tensors' bytes
(https://huggingface.co/docs/safetensors/index#format).
"""

import json
import math
import struct
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import nn

from models.storage import files

FILE = "weights.safetensors"
LONGEST_HEADER = 2**20


def save(folder: str, model: nn.Module) -> None:
    """Write the weights of `model` into the bundle `folder`, whole or not at all."""
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    files.write(f"{folder}/{FILE}", safetensors.torch.save(state))


def check(folder: str, model: nn.Module) -> None:
    """The file holds exactly the tensors of `model` (it may be on the meta device): names, types, shapes.

    Only the header is read, so a file that lies about its size costs nothing.

    Raises:
        ValueError: it does not.
    """
    size = files.length(f"{folder}/{FILE}")
    header, start = read_header(folder, size)
    wanted = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    if set(header) != set(wanted):
        raise ValueError(f"{FILE} holds the tensors {sorted(header)}, the model has {sorted(wanted)}")
    for name, shape in wanted.items():
        entry = header[name]
        if not isinstance(entry, dict) or entry.get("dtype") != "F32" or entry.get("shape") != shape:
            raise ValueError(f"{FILE}: tensor {name} is not what model.json says: F32 of shape {shape}")
    if size != start + sum(4 * math.prod(shape) for shape in wanted.values()):
        raise ValueError(f"{FILE} has {size} bytes, not the number its tensors take: it is torn or padded")


def read_header(folder: str, size: int) -> tuple[dict[str, Any], int]:
    """The header and where the tensors' bytes start.

    Raises:
        ValueError: this is no safetensors file.
    """
    filesystem, path = files.locate(f"{folder}/{FILE}")
    with filesystem.open(path, "rb") as file:
        first = file.read(8)
        length = struct.unpack("<Q", first)[0] if len(first) == 8 else 0
        if not 2 <= length <= min(size - 8, LONGEST_HEADER):
            raise ValueError(f"{FILE} is not a safetensors file: impossible length of its header")
        try:
            header = json.loads(file.read(length))
        except (ValueError, RecursionError):
            raise ValueError(f"{FILE} is not a safetensors file: its header is not JSON") from None
    if not isinstance(header, dict):
        raise ValueError(f"{FILE} is not a safetensors file: its header is not an object")
    return header, 8 + length


def load(content: bytes, model: nn.Module) -> None:
    """Give `model` the weights in `content`, a file that `check` has passed.

    Raises:
        ValueError: the tensors overlap or lie outside the file.
    """
    try:
        model.load_state_dict(safetensors.torch.load(content), assign=True)
    except SafetensorError as error:
        raise ValueError(f"{FILE} cannot be read: {error}") from None
