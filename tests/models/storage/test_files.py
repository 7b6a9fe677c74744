"""A file that cannot be written whole."""

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.storage import files


@pytest.fixture
def little_room() -> Iterator[None]:
    """This process may write files of a thousand bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_nothing_is_left_of_it_and_the_old_one_stays(tmp_path: Path, little_room: None) -> None:
    files.write(f"{tmp_path}/a", b"old")
    with pytest.raises(OSError, match="File too large"):
        files.write(f"{tmp_path}/a", bytes(10_000))
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"old"
