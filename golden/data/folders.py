"""Images of data sets: folders with a sub-folder a class, folders of any images, and selections of either.

All, and those of `golden.data.archives`, give `classes` (names in index order), `labels` (one class index an image),
`len()` and `image(index, resolution, crop)` -> (R, R, 3) uint8, as of `golden.data.images.fit`. A folder of any images
has no classes and no labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath
from typing import Protocol

import numpy as np

from triovit.golden.data.formats import fault_of_folder
from triovit.golden.data.images import CROP, load_image
from triovit.golden.errors import TriovitError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".pgm", ".tif", ".tiff", ".gif")


class DatasetError(TriovitError, ValueError):
    """A data set that cannot be used; the message is one line."""


class Images(Protocol):
    """What calibration needs: images; names of classes, and a label an image, if there are any."""

    @property
    def classes(self) -> tuple[str, ...]: ...

    @property
    def labels(self) -> Sequence[int]: ...

    def __len__(self) -> int: ...

    def image(self, index: int, resolution: int, crop: float = CROP) -> np.ndarray: ...


class Dataset(Images, Protocol):
    """What evaluation needs: images that all have labels."""


class ImageFolder:
    """Images in `root/<class name>/`, at any depth below the class folder.

    classes: the sorted folder names; a folder may be empty. Links to folders are followed. Hidden files and folders,
    and files of other suffixes, are passed over.
    """

    def __init__(self, root):
        self.root = Path(root)
        if not self.root.is_dir():
            raise DatasetError(f"{self.root}: no such folder")
        folders = sorted(entry.name for entry in self.root.iterdir() if entry.is_dir() and not is_hidden(entry.name))
        if not folders:
            images = len(image_files(self.root))
            what = f"; its {images:,} images have no labels" if images else fault_of_folder(self.root)
            raise DatasetError(f"{self.root}: no class folders in it{what}")
        self.classes = tuple(folders)
        self._paths = [path for path in image_files(self.root) if path.parent != self.root]
        if not self._paths:
            raise DatasetError(f"{self.root}: no images in its class folders{fault_of_folder(self.root)}")
        index, depth = {name: k for k, name in enumerate(folders)}, len(self.root.parts)
        self.labels = tuple(index[path.parts[depth]] for path in self._paths)

    def __len__(self):
        return len(self._paths)

    def image(self, index: int, resolution: int, crop: float = CROP) -> np.ndarray:
        return load_image(self._paths[index], resolution, crop)


class ImageList:
    """Image files of any names; no classes, no labels."""

    classes: tuple[str, ...] = ()
    labels: tuple[int, ...] = ()

    def __init__(self, paths: Sequence[Path]):
        self.paths = tuple(paths)

    def __len__(self):
        return len(self.paths)

    def image(self, index: int, resolution: int, crop: float = CROP) -> np.ndarray:
        return load_image(self.paths[index], resolution, crop)


class ImageFiles(ImageList):
    """All images below a folder, at any depth, in the order of their sorted paths; no classes, no labels.

    Links to folders are followed. Hidden files and folders, and files of other suffixes, are passed over.
    """

    def __init__(self, root):
        self.root = Path(root)
        if not self.root.is_dir():
            raise DatasetError(f"{self.root}: no such folder")
        super().__init__(image_files(self.root))
        if not self.paths:
            known = ", ".join(suffix[1:] for suffix in IMAGE_SUFFIXES)
            raise DatasetError(f"{self.root}: no images in it, files that end in {known}{fault_of_folder(self.root)}")


def image_files(folder) -> list[Path]:
    """Image files at any depth below a folder, in the order of their paths: those that data sets of it read.

    Links to folders are followed, but not back to a folder that the path already goes through. Hidden files and folders
    are passed over (some systems put a "._photo.jpg" beside a photo), and files of other suffixes.
    """
    return sorted(_walk(Path(folder), frozenset()))


def has_class_folders(folder: Path) -> bool:
    """Whether all images of a folder lie in its sub-folders."""
    entries = [entry for entry in folder.iterdir() if not is_hidden(entry.name)]
    return any(entry.is_dir() for entry in entries) and not any(_is_image(entry) for entry in entries)


class Selection:
    """Some images of a data set, in a given order. indices: of them in that data set; of a selection's selection, in
    the data set that both are of."""

    def __init__(self, dataset: Images, indices: Sequence[int]):
        if isinstance(dataset, Selection):
            dataset, indices = dataset._dataset, [dataset.indices[index] for index in indices]
        self._dataset = dataset
        self.indices = indices
        self.classes = dataset.classes
        self.labels = tuple(dataset.labels[index] for index in indices) if dataset.labels else ()

    def __len__(self):
        return len(self.indices)

    def image(self, index: int, resolution: int, crop: float = CROP) -> np.ndarray:
        return self._dataset.image(self.indices[index], resolution, crop)


class Subset(Selection):
    """`count` evenly spaced images of a data set.

    Data sets are often sorted by class (the CIFAR archive is): their first images are of one class, and a share of
    them that is right is no accuracy. Raises ValueError unless 1 <= count <= len(dataset).
    """

    def __init__(self, dataset: Images, count: int):
        _check_count(dataset, count)
        super().__init__(dataset, [i * len(dataset) // count for i in range(count)])


class Sample(Selection):
    """`count` images of a data set drawn with a seed, none twice, in the order drawn.

    Raises ValueError unless 1 <= count <= len(dataset).
    """

    def __init__(self, dataset: Images, count: int, seed: int):
        _check_count(dataset, count)
        super().__init__(dataset, np.random.default_rng(seed).permutation(len(dataset))[:count].tolist())


def _walk(folder: Path, above: frozenset[Path]) -> Iterator[Path]:
    real = folder.resolve()
    if real in above:
        return
    for entry in folder.iterdir():
        if is_hidden(entry.name):
            continue
        if _is_image(entry):
            yield entry
        elif entry.is_dir():
            yield from _walk(entry, above | {real})


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is passed over: hidden ones, and what macOS adds to archives."""
    return name.startswith(".") or name == "__MACOSX"


def is_image_name(path: PurePath) -> bool:
    """Whether a file's suffix is one of images."""
    return path.suffix.lower() in IMAGE_SUFFIXES


def _is_image(path: Path) -> bool:
    return is_image_name(path) and path.is_file()


def _check_count(dataset: Images, count: int) -> None:
    if not 1 <= count <= len(dataset):
        raise ValueError(f"count must lie in 1..{len(dataset)}, not {count}")
