"""Which files are listed at a path, and by which names and addresses."""

from pathlib import Path

import pytest

from pipelines.readers.listing import list_downloaded, list_files
from pipelines.readers.locations import resolve_package


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.txt", "a.txt", "sub/c.txt", "sub/we[i]rd*.txt", ".hidden.txt", "_SUCCESS", "_delta_log/0.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("12345")
    return tmp_path


def names(path: object) -> list[str]:
    return [file.name for file in list_files(str(path))]


def test_a_folder_is_listed_with_its_subfolders_without_hidden_files(folder: Path) -> None:
    assert (
        names(folder)
        == names(f"{folder}/")
        == names(f"file://{folder}")
        == [
            "a.txt",
            "b.txt",
            "sub/c.txt",
            "sub/we[i]rd*.txt",
        ]
    )


def test_a_file_is_described_by_its_address_size_and_time(folder: Path) -> None:
    (file,) = list_files(str(folder / "sub" / "c.txt"))
    modified = int((folder / "sub" / "c.txt").stat().st_mtime * 1000)
    assert (file.path, file.name, file.size, file.modified) == (f"file://{folder}/sub/c.txt", "c.txt", 5, modified)


def test_a_glob_lists_the_matches_relative_to_the_folder_before_it(folder: Path) -> None:
    assert names(folder / "[bc].txt") == ["b.txt"]
    assert names(folder / "s*") == ["sub/c.txt", "sub/we[i]rd*.txt"]


def test_a_name_with_glob_characters_that_exists_is_taken_literally(folder: Path) -> None:
    (file,) = list_files(f"{folder}/sub/we[i]rd*.txt")
    assert file.path == f"file://{folder}/sub/we[i]rd*.txt"


def test_an_installed_packages_files_keep_their_short_address(folder: Path) -> None:
    paths = [file.path for file in list_files("package:pipelines/sources")]
    assert "package:pipelines/sources/r8.py" in paths
    assert resolve_package("package:pipelines/sources/r8.py").endswith("/pipelines/sources/r8.py")
    with pytest.raises(FileNotFoundError, match="the package nosuchpackage is not installed"):
        list_files("package:nosuchpackage/x")


def test_a_path_without_a_file_is_refused(folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match=f"there is nothing at {folder}/none"):
        list_files(f"{folder}/none")
    with pytest.raises(FileNotFoundError, match="'make data' downloads it"):
        list_downloaded(f"{folder}/none")
