"""Images of data sets: the CIFAR-10 JPEG archive, folders with a sub-folder a class, and folders of any images.

All give `classes` (names in index order), `labels` (one class index an image), `len()` and
`image(index, resolution)` -> (R, R, 3) uint8. A folder of any images has no classes and no labels.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from golden.network.preprocess import decode_image, load_image

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".pgm", ".tif", ".tiff", ".gif")
ARCHIVE_SUFFIX = ".npz"
SPLITS = {"train": 0, "test": 1}
ARCHIVE_ARRAYS = ("jpeg", "offset", "label", "split", "classes")


class DatasetError(ValueError):
    """A data set that cannot be used; the message is one line."""


class Images(Protocol):
    """What calibration needs: images, and names of classes if there are any."""

    classes: tuple[str, ...]

    def __len__(self) -> int: ...

    def image(self, index: int, resolution: int) -> torch.Tensor: ...


class Dataset(Images, Protocol):
    """What evaluation needs: images with labels."""

    labels: Sequence[int]


class CifarArchive:
    """One split of CIFAR-10 kept as JPEG files in an .npz archive.

    The archive's arrays: `jpeg` uint8, all files one after the other; `offset` (images + 1), where each
    begins; `label` and `split` (0 train, 1 test), one an image; `classes`, the names.
    """

    def __init__(self, path, split: str = "test"):
        if split not in SPLITS:
            raise ValueError(f"split must be one of {', '.join(SPLITS)}, not {split!r}")
        self.path = Path(path)
        arrays = self._read()
        self._check(arrays)
        self._indices = np.flatnonzero(arrays["split"] == SPLITS[split])
        if not len(self._indices):
            raise DatasetError(f"{self.path}: no {split} images in it")
        self._jpeg, self._offset = arrays["jpeg"], arrays["offset"].astype(np.int64)
        self.classes = tuple(str(name) for name in arrays["classes"])
        self.labels = tuple(int(label) for label in arrays["label"][self._indices])

    def __len__(self):
        return len(self._indices)

    def image(self, index: int, resolution: int) -> torch.Tensor:
        position = self._indices[index]
        data = self._jpeg[self._offset[position] : self._offset[position + 1]].tobytes()
        return decode_image(io.BytesIO(data), resolution, f"{self.path}, image {position}")

    def _read(self):
        if not self.path.is_file():
            raise DatasetError(f"{self.path}: no such archive")
        try:
            with np.load(self.path, allow_pickle=False) as archive:
                missing = [name for name in ARCHIVE_ARRAYS if name not in archive.files]
                arrays = {name: archive[name] for name in ARCHIVE_ARRAYS if name not in missing}
        except Exception as error:  # zip, header and compression errors of a damaged archive
            lines = str(error).splitlines() or [type(error).__name__]
            raise DatasetError(f"{self.path}: not a whole .npz archive ({lines[0]})") from None
        if missing:
            raise DatasetError(f"{self.path}: arrays missing: {', '.join(missing)}")
        return arrays

    def _check(self, arrays):
        offset, label = arrays["offset"], arrays["label"]
        rules = {
            "jpeg must be a uint8 vector": arrays["jpeg"].dtype == np.uint8 and arrays["jpeg"].ndim == 1,
            "label, split and offset must agree in length": len(label) == len(arrays["split"]) == len(offset) - 1,
            "offset must rise from 0 to the length of jpeg": len(offset) > 1
            and offset[0] == 0
            and offset[-1] == len(arrays["jpeg"])
            and bool((np.diff(offset.astype(np.int64)) > 0).all()),
            "label must index classes": len(label) > 0
            and int(label.min()) >= 0
            and int(label.max()) < len(arrays["classes"]),
        }
        broken = [rule for rule, holds in rules.items() if not holds]
        if broken:
            raise DatasetError(f"{self.path}: {'; '.join(broken)}")


class ImageFolder:
    """Images in `root/<class name>/`, at any depth below the class folder.

    classes: names in index order; by default the sorted folder names. A folder that is not among them is an
    error, a class without a folder is not. Hidden files and folders, and files of other suffixes, are passed over.
    """

    def __init__(self, root, classes: Sequence[str] | None = None):
        self.root = Path(root)
        if not self.root.is_dir():
            raise DatasetError(f"{self.root}: no such folder")
        folders = sorted(entry.name for entry in self.root.iterdir() if entry.is_dir() and entry.name[0] != ".")
        if not folders:
            raise DatasetError(f"{self.root}: no class folders in it")
        self.classes = tuple(folders if classes is None else classes)
        unknown = sorted(set(folders) - set(self.classes))
        if unknown:
            raise DatasetError(f"{self.root}: folders that name no class of the network: {', '.join(unknown[:4])}")
        self._paths, labels = [], []
        for folder in folders:
            found = _image_files(self.root / folder)
            self._paths += found
            labels += [self.classes.index(folder)] * len(found)
        if not self._paths:
            raise DatasetError(f"{self.root}: no images in its class folders")
        self.labels = tuple(labels)

    def __len__(self):
        return len(self._paths)

    def image(self, index: int, resolution: int) -> torch.Tensor:
        return load_image(self._paths[index], resolution)


class ImageFiles:
    """All images below a folder, at any depth, in the order of their sorted paths; no classes, no labels.

    Hidden files and folders, and files of other suffixes, are passed over.
    """

    classes: tuple[str, ...] = ()
    labels: tuple[int, ...] = ()

    def __init__(self, root):
        self.root = Path(root)
        if not self.root.is_dir():
            raise DatasetError(f"{self.root}: no such folder")
        self._paths = _image_files(self.root)
        if not self._paths:
            known = ", ".join(suffix[1:] for suffix in IMAGE_SUFFIXES)
            raise DatasetError(f"{self.root}: no images in it, files that end in {known}")

    def __len__(self):
        return len(self._paths)

    def image(self, index: int, resolution: int) -> torch.Tensor:
        return load_image(self._paths[index], resolution)


def open_images(path, split: str = "train") -> Images:
    """Images of a CIFAR archive (.npz; `split` of it) or of a folder, with class names where the folder has them.

    A folder whose sub-folders hold all of its images is an `ImageFolder`, any other one `ImageFiles`. Raises
    DatasetError for what is neither archive nor folder, is damaged or has no images.
    """
    path = Path(path)
    if path.suffix == ARCHIVE_SUFFIX and not path.is_dir():
        return CifarArchive(path, split)
    if not path.is_dir():
        fault = f"must be a folder of images or an {ARCHIVE_SUFFIX} archive" if path.exists() else "no such folder"
        raise DatasetError(f"{path}: {fault}")
    entries = [entry for entry in path.iterdir() if not entry.name.startswith(".")]
    in_classes = any(entry.is_dir() for entry in entries) and not any(_is_image(entry) for entry in entries)
    return ImageFolder(path) if in_classes else ImageFiles(path)


class _Selection:
    """Some images of a data set, in a given order."""

    def __init__(self, dataset: Images, indices: Sequence[int]):
        self._dataset = dataset
        self._indices = indices
        self.classes = dataset.classes
        labels = getattr(dataset, "labels", ())
        self.labels = tuple(labels[index] for index in indices) if labels else ()

    def __len__(self):
        return len(self._indices)

    def image(self, index: int, resolution: int) -> torch.Tensor:
        return self._dataset.image(self._indices[index], resolution)


class Subset(_Selection):
    """`count` evenly spaced images of a data set.

    Data sets are often sorted by class (the CIFAR archive is): their first images are of one class, and a share of
    them that is right is no accuracy. Raises ValueError unless 1 <= count <= len(dataset).
    """

    def __init__(self, dataset: Images, count: int):
        _check_count(dataset, count)
        super().__init__(dataset, [i * len(dataset) // count for i in range(count)])


class Sample(_Selection):
    """`count` images of a data set drawn with a seed, none twice, in the order drawn.

    Raises ValueError unless 1 <= count <= len(dataset).
    """

    def __init__(self, dataset: Images, count: int, seed: int):
        _check_count(dataset, count)
        super().__init__(dataset, np.random.default_rng(seed).permutation(len(dataset))[:count].tolist())


def _image_files(folder: Path) -> list[Path]:
    """Image files below a folder without hidden ones (some systems put a "._photo.jpg" beside a photo)."""
    files = [path for path in sorted(folder.rglob("*")) if _is_image(path)]
    return [path for path in files if not any(part.startswith(".") for part in path.relative_to(folder).parts)]


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()


def _check_count(dataset: Images, count: int) -> None:
    if not 1 <= count <= len(dataset):
        raise ValueError(f"count must lie in 1..{len(dataset)}, not {count}")
