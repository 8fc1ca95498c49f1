"""Data sets in archives: CIFAR and the like as image files in an .npz, and image files in a .zip or .tar."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

import numpy as np

from triovit.golden.data.folders import DatasetError, is_hidden, is_image_name
from triovit.golden.data.formats import what_is_there
from triovit.golden.data.images import CROP, ImageError, decode_image
from triovit.golden.messages import first_line, listing

LARGEST_FILE = 1 << 30  # bytes of one image file: a small archive may claim to hold terabytes
SPLITS = {"train": 0, "test": 1}
ARCHIVE_ARRAYS = {  # name -> what it is a vector of, kinds of NumPy types
    "jpeg": ("bytes", "u"),
    "offset": ("integers", "iu"),
    "label": ("integers", "iu"),
    "split": ("integers", "iu"),
    "classes": ("texts", "U"),
}


class CifarArchive:
    """One split of CIFAR-10, CIFAR-100 or another labelled set, kept as image files in an .npz archive.

    The archive's arrays: `jpeg` uint8, all files one after the other, JPEG or of another format of
    `golden.data.images` ('triovit data' writes PNG, which loses nothing); `offset` (images + 1), where each begins;
    `label` and `split` (0 train, 1 test), one per image; `classes`, the names.
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

    def image(self, index: int, resolution: int, crop: float = CROP) -> np.ndarray:
        position = self._indices[index]
        data = self._jpeg[self._offset[position] : self._offset[position + 1]].tobytes()
        return decode_image(io.BytesIO(data), resolution, f"{self.path}, image {position}", crop)

    def _read(self):
        if not self.path.is_file():
            raise DatasetError(f"{self.path}: no such archive")
        try:
            with np.load(self.path, allow_pickle=False) as archive:
                names = archive.files
                missing = [name for name in ARCHIVE_ARRAYS if name not in archive.files]
                arrays = {name: archive[name] for name in ARCHIVE_ARRAYS if name not in missing}
        except Exception as error:  # zip, header and compression errors of a damaged archive
            # NumPy takes what it does not know for a pickle, and advises to load it all the same.
            reason = "it is damaged" if "pickle" in str(error) else first_line(error)
            raise DatasetError(f"{self.path}: not a whole .npz archive ({reason})") from None
        if missing:
            there = f"it holds {listing(names)}" if names else "it holds none"
            remedy = "'triovit data' makes data files of CIFAR, other images come as files in a folder per class"
            raise DatasetError(f"{self.path}: arrays missing: {', '.join(missing)}; {there}; {remedy}")
        return arrays

    def _check(self, arrays):
        for name, (what, kinds) in ARCHIVE_ARRAYS.items():
            array = arrays[name]
            if array.ndim != 1 or array.dtype.kind not in kinds or (what == "bytes" and array.itemsize != 1):
                found = f"{array.dtype} of shape {array.shape}"
                raise DatasetError(f"{self.path}: {name} must be a vector of {what}, not {found}")
        jpeg, offset, label, split, classes = (arrays[name] for name in ARCHIVE_ARRAYS)
        rules = {
            "label, split and offset must agree in length": len(label) == len(split) == len(offset) - 1,
            "offset must rise from 0 to the length of jpeg": len(offset) > 1
            and offset[0] == 0
            and offset[-1] == len(jpeg)
            and bool((np.diff(offset.astype(np.int64)) > 0).all()),
            "label must index classes": len(label) > 0 and label.min() >= 0 and label.max() < len(classes),
            "classes must differ": len(set(classes)) == len(classes),
        }
        broken = [rule for rule, holds in rules.items() if not holds]
        if broken:
            raise DatasetError(f"{self.path}: {'; '.join(broken)}")


class ImageArchive:
    """Image files in a .zip or .tar archive, with or without a folder per class, read without unpacking.

    A folder that holds everything is passed over (an archive of `val/` begins with it). If every image then lies in a
    folder, the outermost folders are the classes, in sorted order; otherwise there are no classes and no labels.
    Hidden files and folders, and files of other suffixes, are passed over.
    """

    def __init__(self, path):
        self.path = Path(path)
        if not self.path.is_file():
            raise DatasetError(f"{self.path}: no such archive")
        self._zip: zipfile.ZipFile | None = None
        try:
            members = self._zip_members() if zipfile.is_zipfile(self.path) else self._tar_members()
        except Exception as error:  # of a damaged archive
            raise DatasetError(f"{self.path}: not a whole .zip or .tar archive ({first_line(error)})") from None
        found = sorted((PurePosixPath(name).parts, name, place) for name, place in members if _is_visible_image(name))
        if not found:
            there = what_is_there(PurePosixPath(name) for name, _ in members)
            raise DatasetError(f"{self.path}: no images in it{there}")
        self._members = [(name, place) for _, name, place in found]
        parts = [parts for parts, _, _ in found]
        outer = int(all(len(p) > 1 and p[0] == parts[0][0] for p in parts))
        in_classes = all(len(p) > outer + 1 for p in parts)
        self.classes = tuple(sorted({p[outer] for p in parts})) if in_classes else ()
        index = {name: number for number, name in enumerate(self.classes)}
        self.labels = tuple(index[p[outer]] for p in parts) if in_classes else ()

    def __len__(self):
        return len(self._members)

    def __getstate__(self):
        return self.__dict__ | {"_zip": None}  # an open file stays in its process

    def image(self, index: int, resolution: int, crop: float = CROP) -> np.ndarray:
        name, place = self._members[index]
        full = f"{self.path}, {name}"
        try:
            data = self._read(name, place)
        except Exception as error:  # an encrypted or damaged member, a compression that Python does not have
            raise ImageError(f"{full}: cannot be read ({first_line(error)})") from None
        return decode_image(io.BytesIO(data), resolution, full, crop)

    def _zip_members(self) -> list[tuple[str, None]]:
        with zipfile.ZipFile(self.path) as archive:
            return [(entry.filename, None) for entry in archive.infolist() if not entry.is_dir()]

    def _tar_members(self) -> list[tuple[str, tuple[int, int]]]:
        """Names, with where in the file the bytes of each begin, and how many there are."""
        with tarfile.open(self.path, "r:") as archive:  # uncompressed: others can only be read from their beginning
            return [(entry.name, (entry.offset_data, entry.size)) for entry in archive if entry.isreg()]

    def _read(self, name: str, place: tuple[int, int] | None) -> bytes:
        if place is None:
            self._zip = self._zip or zipfile.ZipFile(self.path)  # once: it reads the list of all members
            _check_size(self._zip.getinfo(name).file_size)
            return self._zip.read(name)
        start, size = place
        _check_size(size)
        with self.path.open("rb") as file:
            file.seek(start)
            return file.read(size)


def _check_size(size: int) -> None:
    if size > LARGEST_FILE:
        raise ValueError(f"{size} bytes, more than {LARGEST_FILE}")


def _is_visible_image(name: str) -> bool:
    path = PurePosixPath(name)
    return is_image_name(path) and not any(is_hidden(part) for part in path.parts)
