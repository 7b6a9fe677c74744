"""A bundle's `model.json`: what it says of itself, believed after it has been checked."""

import hashlib
import json
import math
from collections.abc import Collection, Mapping
from typing import Any

from models.storage import files

FILE = "model.json"
FORMAT = 2
KINDS = ("label", "labels", "target")  # one of some labels, any number of them, a number
LARGEST_MANIFEST = 2**24
KEYS = {
    "format": int,
    "model": str,
    "options": dict,
    "tfidf": dict,
    "labels": list,
    "task": dict,
    "documents": int,
    "features": dict,
    "snapshot": dict,
    "train": dict,
    "digests": dict,
}


def read_manifest(folder: str, *, models: Collection[str]) -> dict[str, Any]:
    """The content of model.json, each key there and of its type.

    Raises:
        ValueError: not so.
    """
    try:
        manifest = json.loads(files.read(f"{folder}/{FILE}", most=LARGEST_MANIFEST))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        raise ValueError(f"{FILE} is not JSON") from None
    if not isinstance(manifest, dict) or {key: type(value) for key, value in manifest.items()} != KEYS:
        raise ValueError(f"{FILE} does not hold the keys {', '.join(KEYS)}, each of its type")
    if manifest["format"] != FORMAT:
        raise ValueError(f"its format is {manifest['format']}, this version reads {FORMAT}")
    if manifest["model"] not in models:
        raise ValueError(f"its model is {manifest['model']!r}, none of {', '.join(sorted(models))}")
    if not 0 < manifest["documents"] < 2**63:
        raise ValueError("its number of documents is impossible")
    labels, kind = manifest["labels"], _kind(manifest["task"])
    if (
        bool(labels) == (kind == "target")
        or not all(type(label) is str for label in labels)
        or labels != sorted(set(labels))
    ):
        raise ValueError("its labels are not distinct strings in sorted order")
    return manifest


def _kind(task: dict[str, Any]) -> str:
    """What the bundle's outputs are.

    Raises:
        ValueError: none of `KINDS`, or a target without a scale.
    """
    if (kind := task.get("kind")) not in KINDS:
        raise ValueError(f"its task is {kind!r}, none of {', '.join(KINDS)}")
    scale = [task.get(name) for name in ("mean", "std")]
    if kind == "target" and not all(type(value) is float and math.isfinite(value) for value in scale):
        raise ValueError("its target has no scale")
    return str(kind)


def write_manifest(folder: str, manifest: Mapping[str, Any]) -> None:
    """Write model.json, a bundle's last file."""
    files.write(f"{folder}/{FILE}", json.dumps(manifest, ensure_ascii=False, indent=2).encode())


def compare(content: bytes, manifest: Mapping[str, Any], name: str) -> None:
    """Check the digest of one file.

    Raises:
        ValueError: `content` is not what was published.
    """
    if digest(content) != manifest["digests"].get(name):
        raise ValueError(f"{name} is not the file that {FILE} was written for: another digest")


def digest(content: bytes) -> str:
    """SHA-256 as hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()
