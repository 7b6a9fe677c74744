"""Files are written atomically."""

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.storage import files


@pytest.fixture
def small_file_limit() -> Iterator[None]:
    """This process may write files of a thousand bytes at most."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, small_file_limit: None) -> None:
    files.write(f"{tmp_path}/a", b"old")
    with pytest.raises(OSError, match="File too large"):
        files.write(f"{tmp_path}/a", bytes(10_000))
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"old"
