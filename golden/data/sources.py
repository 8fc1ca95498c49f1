"""What a path of images means: an archive or a folder."""

from __future__ import annotations

from pathlib import Path

from triovit.golden.assets import SAMPLE
from triovit.golden.data.archives import CifarArchive, ImageArchive
from triovit.golden.data.folders import (
    Dataset,
    DatasetError,
    ImageFiles,
    ImageFolder,
    Images,
    has_class_folders,
    is_image_name,
)
from triovit.golden.data.formats import ACCEPTED, fault_of_file

CIFAR_SUFFIX = ".npz"
IMAGE_ARCHIVE_SUFFIXES = (".zip", ".tar")
SAMPLE_NAME = "sample"


def data_path(path) -> Path:
    """Where the data is: `path`, but "sample" means the labelled pictures that ship, unless something has that name."""
    path = Path(path)
    return SAMPLE if str(path) == SAMPLE_NAME and not path.exists() else path


def is_archive(path) -> bool:
    """Whether a path means an archive: its suffix says so, unless it is a folder's."""
    path = data_path(path)
    return path.suffix.lower() in (CIFAR_SUFFIX, *IMAGE_ARCHIVE_SUFFIXES) and not path.is_dir()


def open_images(path, split: str = "train") -> Images:
    """Images of a CIFAR archive (.npz; `split` of it), of an archive of image files (.zip, .tar), of a folder or of the
    sample (see `data_path`).

    Class names come with them where there are folders of classes. A folder whose sub-folders hold all of its images is
    an `ImageFolder`, any other one `ImageFiles`. Raises DatasetError for what is neither archive nor folder, is damaged
    or has no images.
    """
    path = data_path(path)
    if is_archive(path):
        return CifarArchive(path, split) if path.suffix.lower() == CIFAR_SUFFIX else ImageArchive(path)
    _check_folder(path)
    return ImageFolder(path) if has_class_folders(path) else ImageFiles(path)


def open_labelled(path, split: str = "test") -> Dataset:
    """Images with labels: of a CIFAR archive, or a folder per class, in a folder or archive; DatasetError otherwise.

    Images that lie beside the folders of a folder are passed over.
    """
    if not is_archive(path):
        path = Path(path)
        _check_folder(path)
        return ImageFolder(path)
    images = open_images(path, split)
    if not images.labels:
        raise DatasetError(f"{path}: no class folders in it; its {len(images):,} images have no labels")
    return images


def _check_folder(path: Path) -> None:
    if not path.exists():
        raise DatasetError(f"{path}: no such folder or archive")
    if path.is_dir():
        return
    if is_image_name(path):
        raise DatasetError(f"{path}: is one image: {ACCEPTED}; 'triovit run --image' takes single images")
    raise DatasetError(f"{path}: {fault_of_file(path)}")
