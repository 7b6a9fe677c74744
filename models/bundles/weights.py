"""A bundle's weights: a safetensors file, whose header is checked against the model before any tensor is read.

Format: the header's length in 8 bytes (little-endian), the header as JSON, the tensors' bytes
(https://huggingface.co/docs/safetensors/index#format).
"""

import hashlib
import json
import math
import struct

import safetensors.torch
from safetensors import SafetensorError
from torch import nn

from models.storage import files
from models.storage.json_values import JsonObject

FILE = "weights.safetensors"
MAX_HEADER_BYTES = 2**20


def save(folder: str, model: nn.Module) -> None:
    """Write the weights of `model` into the bundle `folder`, atomically."""
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    files.write(f"{folder}/{FILE}", safetensors.torch.save(state))


def check_header(folder: str, model: nn.Module) -> None:
    """Check that the file holds exactly the tensors of `model`, which may be on the meta device: names, types, shapes.

    Only the header is read, so a file that lies about its size costs nothing.

    Raises:
        ValueError: The tensors differ from the model's, or the file's size from theirs.
    """
    size = files.length(f"{folder}/{FILE}")
    header, start = read_header(folder, size)
    shapes = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    if set(header) != set(shapes):
        raise ValueError(f"{FILE} holds the tensors {sorted(header)}, the model has {sorted(shapes)}")
    for name, shape in shapes.items():
        entry = header[name]
        if not isinstance(entry, dict) or entry.get("dtype") != "F32" or entry.get("shape") != shape:
            raise ValueError(f"{FILE}: tensor {name} is not what model.json says: F32 of shape {shape}")
    if size != start + sum(4 * math.prod(shape) for shape in shapes.values()):
        raise ValueError(f"{FILE} has {size} bytes, not as many as its tensors need: it is truncated or padded")


def read_header(folder: str, size: int) -> tuple[JsonObject, int]:
    """The header of the file, which has `size` bytes, and the position at which the tensors' bytes start.

    Raises:
        ValueError: This is not a safetensors file.
    """
    filesystem, path = files.locate(f"{folder}/{FILE}")
    with filesystem.open(path, "rb") as file:
        first = file.read(8)
        length = struct.unpack("<Q", first)[0] if len(first) == 8 else 0
        if not 2 <= length <= min(size - 8, MAX_HEADER_BYTES):
            raise ValueError(f"{FILE} is not a safetensors file: impossible length of its header")
        try:
            header = json.loads(file.read(length))
        except (ValueError, RecursionError):
            raise ValueError(f"{FILE} is not a safetensors file: its header is not JSON") from None
    if not isinstance(header, dict):
        raise ValueError(f"{FILE} is not a safetensors file: its header is not an object")
    return header, 8 + length


def load(content: bytes, model: nn.Module) -> None:
    """Give `model` the weights in `content`, a file whose header `check_header` has passed.

    Raises:
        ValueError: The tensors overlap or lie outside the file.
    """
    try:
        model.load_state_dict(safetensors.torch.load(content), assign=True)
    except SafetensorError as error:
        raise ValueError(f"{FILE} cannot be read: {error}") from None


def digest(model: nn.Module) -> str:
    """SHA-256 over the names and bytes of the model's tensors, in the order of their names, as hexadecimal digits."""
    total = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        total.update(name.encode())
        total.update(tensor.cpu().contiguous().numpy())
    return total.hexdigest()
