"""What a file or folder is that holds no images which can be read, and what would do instead."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path, PurePath

from triovit.golden.messages import listing

SIGNATURES = (  # bytes, where they stand, what has them, remedy
    (b"\x1f\x8b", 0, "gzip-compressed", "unpack it first (tar xf)"),
    (b"BZh", 0, "bzip2-compressed", "unpack it first (tar xf)"),
    (b"\xfd7zXZ\0", 0, "xz-compressed", "unpack it first (tar xf)"),
    (b"\x28\xb5\x2f\xfd", 0, "zstd-compressed", "unpack it first (tar xf)"),
    (b"Rar!", 0, "a RAR archive", "unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", 0, "a 7-Zip archive", "unpack it first"),
    (b"PK\x03\x04", 0, "a zip archive by its content", "let its name end in .zip"),
    (b"ustar", 257, "a tar archive by its content", "let its name end in .tar"),
    (b"\x93NUMPY", 0, "one NumPy array (.npy)", "write its images as files, in a folder per class"),
    (b"\x89HDF\r\n\x1a\n", 0, "HDF5", "write its images as files, in a folder per class"),
    (b"PAR1", 0, "Parquet", "write its images as files, in a folder per class"),
    (b"ARROW1", 0, "Arrow", "write its images as files, in a folder per class"),
    (b"\xde\xc0\xef\xbe", 16, "an LMDB database", "write its images as files, in a folder per class"),
    (b"SQLite format 3\0", 0, "an SQLite database", "write its images as files, in a folder per class"),
    (b"\x80\x02", 0, "a Python pickle", "'triovit data' reads those of CIFAR; write other images as files"),
)
PUBLISHED = {"cifar-100": "cifar100", "cifar-10": "cifar10"}  # beginning of a name -> argument of 'triovit data'
ARCHIVES = (".tar", ".zip", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".rar", ".7z")
ACCEPTED = "must be a folder of images or an archive (.npz, .zip, .tar)"
HEAD = 512  # bytes of a file that tell what it is


def fault_of_file(path: Path) -> str:
    """Why a file that exists is no data, and what would be."""
    if hint := _published(path):
        return f"is CIFAR as published: {hint}"
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    for bytes_, place, what, remedy in SIGNATURES:
        if head[place : place + len(bytes_)] == bytes_:
            return f"is {what}: {ACCEPTED}; {remedy}"
    return ACCEPTED


def fault_of_folder(path: Path) -> str:
    """What a folder without images holds, to follow "no images in it"; empty if there is nothing to tell."""
    if hint := _published(path):
        return f": it is CIFAR as published: {hint}"
    names = [entry.name for entry in path.iterdir()]
    if "data.mdb" in names:
        return ": it is an LMDB database; write its images as files, in a folder per class"
    return what_is_there(entry for entry in path.rglob("*") if entry.is_file())


def what_is_there(paths: Iterable[PurePath]) -> str:
    """Kinds of files, most frequent first: "; it holds 3 .npy, 1 .txt: unpack the archives"."""
    counts = Counter(path.suffix.lower() or "without suffix" for path in paths)
    if not counts:
        return ""
    kinds = listing([f"{count:,} {suffix}" for suffix, count in counts.most_common()])
    archives = ": unpack the archives first" if any(suffix in ARCHIVES for suffix in counts) else ""
    return f"; it holds files, {kinds}{archives}"


def _published(path: Path) -> str:
    name = path.resolve().name
    kind = next((kind for start, kind in PUBLISHED.items() if name.startswith(start)), None)
    return f"make a data file of it with 'triovit data {kind} {path} -o FILE.npz'" if kind else ""
