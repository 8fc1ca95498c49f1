"""CIFAR-10 and CIFAR-100 as they are published: pickled batches ("python version") or records of bytes ("binary").

Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009; the layouts are those of the data sets' page.
"""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath

import numpy as np

from triovit.golden.data.folders import DatasetError
from triovit.golden.data.plain_pickle import read_pickle
from triovit.golden.messages import first_line, listing

SIDE, CHANNELS = 32, 3
PIXELS = CHANNELS * SIDE * SIDE  # bytes of an image: all red values in rows, then green, then blue
TRAINING_IMAGES, TEST_IMAGES = 50_000, 10_000
LARGEST_FILE = 1 << 28  # bytes; the largest published one has 155 million

Progress = Callable[[str, int, int], None]  # label, done, total


@dataclass(frozen=True)
class Layout:
    """One published form of a data set.

    folder: that its files lie in. train, test: files of images. names: file of class names. n_classes: of them.
    label: key of labels in a pickled batch, or the place of the label in a record of `label_bytes` and an image.
    names_key: key of class names; in the binary form they are lines.
    """

    folder: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    names: str
    n_classes: int
    label: str | int
    names_key: str = ""
    label_bytes: int = 0

    @property
    def files(self) -> tuple[str, ...]:
        return (*self.train, *self.test, self.names)


FIVE = range(1, 6)
LAYOUTS = {
    "cifar10": (
        Layout(
            "cifar-10-batches-py",
            tuple(f"data_batch_{k}" for k in FIVE),
            ("test_batch",),
            "batches.meta",
            10,
            "labels",
            "label_names",
        ),
        Layout(
            "cifar-10-batches-bin",
            tuple(f"data_batch_{k}.bin" for k in FIVE),
            ("test_batch.bin",),
            "batches.meta.txt",
            10,
            0,
            label_bytes=1,
        ),
    ),
    "cifar100": (  # of the two labels of an image, the fine one
        Layout("cifar-100-python", ("train",), ("test",), "meta", 100, "fine_labels", "fine_label_names"),
        Layout("cifar-100-binary", ("train.bin",), ("test.bin",), "fine_label_names.txt", 100, 1, label_bytes=2),
    ),
}


@dataclass(frozen=True)
class PublicCifar:
    """A data set, training images first. classes: names in the order of the labels. pixels: (N, 32, 32, 3) uint8.
    labels: (N,) int64. training: how many of the images are for training; the others are for tests."""

    classes: tuple[str, ...]
    pixels: np.ndarray
    labels: np.ndarray
    training: int


def read_public(path, name: str, progress: Progress | None = None) -> PublicCifar:
    """The data set `name`, a key of LAYOUTS, in a published archive (.tar.gz, or any tar) or its unpacked folder.

    Raises DatasetError for an archive that is damaged, of another data set or without one of its files, and for sizes,
    labels and class names that are not the data set's; PickleError for pickles of other than plain data. Pickled files
    are read by their opcodes: nothing in them is run. The number of images is the caller's to judge.
    """
    path = Path(path)
    layout, files = _open(path, name, progress or (lambda label, done, total: None))
    classes = _class_names(layout, files, path)
    parts = [_batch(layout, files[file], f"{path}, {file}", len(classes)) for file in (*layout.train, *layout.test)]
    counts = [len(labels) for _, labels in parts]
    pixels = np.concatenate([pixels for pixels, _ in parts]).reshape(-1, CHANNELS, SIDE, SIDE).transpose(0, 2, 3, 1)
    return PublicCifar(
        classes, pixels, np.concatenate([labels for _, labels in parts]), sum(counts[: len(layout.train)])
    )


def _open(path: Path, name: str, progress: Progress) -> tuple[Layout, dict[str, bytes]]:
    """The form in which the data set is there, and its files."""
    if not path.exists():
        raise DatasetError(f"{path}: no such file or folder")
    known = {(layout.folder, file) for layout in LAYOUTS[name] for file in layout.files}
    found: dict[str, dict[str, bytes]] = {}
    others: set[str] = set()
    most = max(len(layout.files) for layout in LAYOUTS[name])
    try:
        for place, read in _members(path):
            folder, file = place.parent.name, place.name
            if (folder, file) in known:
                progress(f"reading {file}", sum(map(len, found.values())), most)
                found.setdefault(folder, {})[file] = read()
            elif any(folder == layout.folder for other in LAYOUTS.values() for layout in other):
                others.add(folder)
    except Exception as error:  # of tar, gzip and the rest, of a damaged archive
        raise DatasetError(
            f"{path}: neither a folder nor a whole .tar.gz archive ({first_line(error)}); download it again"
        ) from None
    for layout in LAYOUTS[name]:
        if layout.folder in found:
            missing = [file for file in layout.files if file not in found[layout.folder]]
            if missing:
                raise DatasetError(f"{path}: {layout.folder} lacks {listing(missing)}; unpack or download it again")
            return layout, found[layout.folder]
    for other, layouts in LAYOUTS.items():
        if other != name and any(layout.folder in others for layout in layouts):
            raise DatasetError(f"{path}: is not {name} but {other}: give 'triovit data {other}'")
    folders = " nor ".join(layout.folder for layout in LAYOUTS[name])
    raise DatasetError(f"{path}: neither {folders} in it, the folders of the published {name}")


def _members(path: Path) -> Iterator[tuple[PurePath, Callable[[], bytes]]]:
    """Files of a folder (its own and those of its folders) or of an archive, with what reads each."""
    if path.is_dir():
        real = path.resolve()
        for file in sorted([*real.glob("*"), *real.glob("*/*")]):
            if file.is_file():
                yield file, lambda file=file: _whole(file.open("rb"), file.stat().st_size)
        return
    with tarfile.open(path, "r:*") as archive:
        for entry in archive:
            if entry.isreg():
                yield PurePosixPath(entry.name), lambda entry=entry: _whole(archive.extractfile(entry), entry.size)


def _whole(stream, size: int) -> bytes:
    if size > LARGEST_FILE:
        raise ValueError(f"a file of {size} bytes, more than {LARGEST_FILE}")
    with stream:
        return stream.read()


def _class_names(layout: Layout, files: dict[str, bytes], path: Path) -> tuple[str, ...]:
    where = f"{path}, {layout.names}"
    if layout.names_key:
        names = read_pickle(files[layout.names], where).get(layout.names_key)
    else:
        names = [line.strip() for line in files[layout.names].splitlines() if line.strip()]
    try:
        texts = tuple(name.decode("utf-8") if isinstance(name, bytes) else name for name in names or ())
    except (TypeError, UnicodeDecodeError):
        texts = ()
    if len(texts) != layout.n_classes or len(set(texts)) != len(texts) or not all(isinstance(x, str) for x in texts):
        raise DatasetError(f"{where}: must hold {layout.n_classes} different class names, not {len(set(texts))}")
    return texts


def _batch(layout: Layout, data: bytes, where: str, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """(N, 3072) uint8 and (N,) int64 of one file of images."""
    if isinstance(layout.label, str):
        values = read_pickle(data, where)
        pixels, labels = values.get("data"), values.get(layout.label)
        if not isinstance(pixels, np.ndarray) or pixels.ndim != 2 or pixels.shape[1] != PIXELS:
            found = f"of shape {pixels.shape}" if isinstance(pixels, np.ndarray) else "none"
            raise DatasetError(f"{where}: data must be an array of N rows of {PIXELS} bytes, not {found}")
        if not isinstance(labels, list) or not all(type(label) is int for label in labels):
            raise DatasetError(f"{where}: {layout.label} must be a list of whole numbers")
        if len(labels) != len(pixels):
            raise DatasetError(f"{where}: {len(labels)} labels for {len(pixels)} images")
        numbers = np.array(labels, np.int64)
    else:
        record = layout.label_bytes + PIXELS
        if len(data) % record:
            raise DatasetError(f"{where}: must be whole records of {record} bytes, not {len(data)} bytes")
        records = np.frombuffer(data, np.uint8).reshape(-1, record)
        pixels, numbers = records[:, layout.label_bytes :], records[:, layout.label].astype(np.int64)
    if not len(numbers):
        raise DatasetError(f"{where}: holds no images")
    if numbers.min() < 0 or numbers.max() >= classes:
        wrong = int(np.flatnonzero((numbers < 0) | (numbers >= classes))[0])
        raise DatasetError(f"{where}: label {numbers[wrong]} of image {wrong} must lie in 0..{classes - 1}")
    return pixels, numbers
