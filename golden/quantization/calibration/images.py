"""Calibration images: from a folder, an archive or a seed, chosen reproducibly, and what metadata says about them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from triovit.golden.data.folders import Images, Sample, Subset
from triovit.golden.data.images import CROP
from triovit.golden.data.sources import is_archive, open_images
from triovit.golden.network import seeded
from triovit.golden.quantization.calibration.capture import Progress
from triovit.golden.quantization.settings import QuantizationError


@dataclass(frozen=True)
class CalibrationImages:
    """Images to iterate over, as often as wanted: (R, R, 3) uint8 arrays, decoded one at a time.

    kind: "folder", "archive" or "random". name: of the folder or file, without its path. available: images there.
    seed: of the choice and the order. classes: names in index order, empty if the source has none.
    """

    kind: str
    name: str
    available: int
    seed: int
    classes: tuple[str, ...]
    resolution: int
    images: Images = field(repr=False)
    crop: float = CROP

    def __len__(self) -> int:
        return len(self.images)

    def __iter__(self) -> Iterator[np.ndarray]:
        # Data sets are sorted by class: mixed, every batch has images of many classes.
        for index in np.random.default_rng(self.seed).permutation(len(self)):
            yield self.images.image(int(index), self.resolution, self.crop)

    @property
    def description(self) -> str:
        """For people: "32 of 50,000 images of cifar10_jpeg.npz, evenly spaced"."""
        if self.kind == "random":
            return f"{len(self)} random images, seed {self.seed}"
        choice = f"drawn with seed {self.seed}" if self.seed else "evenly spaced"
        choice = "all of them" if len(self) == self.available else choice
        return f"{len(self):,} of {self.available:,} images of {self.name}, {choice}"


def calibration_images(path, count: int, resolution: int, seed: int = 0, crop: float = CROP) -> CalibrationImages:
    """`count` images, or all where there are fewer, of an image folder or an archive (of CIFAR's its training part).

    path: see `golden.data.sources.open_images`; None: `count` random images, for networks without data. seed: 0
    takes evenly spaced images, another number a random sample without repetition; either way they come in a
    seeded random order. crop: of image files, as of `golden.data.images.fit`. Raises DatasetError for what is no folder
    and no archive or has no images; ImageError, while iterating, for an image that cannot be read.
    """
    if count < 1:
        raise QuantizationError(f"the number of calibration images must be at least 1, not {count}")
    if path is None:
        return CalibrationImages("random", "", count, seed, (), resolution, _RandomImages(count, resolution, seed))
    images = open_images(path, "train")
    available = len(images)
    count = min(count, available)
    kind = "archive" if is_archive(path) else "folder"
    name = Path(path).resolve().name  # a network's metadata must not tell where it was made
    chosen = Sample(images, count, seed) if seed else Subset(images, count)
    return CalibrationImages(kind, name, available, seed, tuple(images.classes), resolution, chosen, crop)


def random_images(seed: int, count: int, resolution: int) -> list[np.ndarray]:
    """`count` seeded (R, R, 3) uint8 images for networks without data: random colour patches with fine noise."""
    return list(seeded.random_images(count, resolution, seed).numpy())


def check_images(images: Iterable, resolution: int, progress: Progress | None = None) -> np.ndarray:
    """(N, R, R, 3) uint8 from an iterable of images; raises QuantizationError naming the image that is wrong."""
    checked, total = [], len(images) if isinstance(images, Sized) else 0
    for number, image in enumerate(images):
        image = np.asarray(image)
        if image.shape != (resolution, resolution, 3) or image.dtype != np.uint8:
            raise QuantizationError(
                f"calibration image {number} must be uint8 ({resolution}, {resolution}, 3), "
                f"not {image.dtype} {image.shape}"
            )
        checked.append(image)
        if progress:
            progress("reading images", len(checked), max(total, len(checked)))
    if not checked:
        raise QuantizationError("the calibration set is empty: at least one image is needed")
    return np.stack(checked)


def image_hash(images: np.ndarray) -> str:
    """SHA-256 of the pixels, in order, as hexadecimal."""
    return hashlib.sha256(np.ascontiguousarray(images).tobytes()).hexdigest()


def calibration_metadata(images: Iterable, pixels: np.ndarray) -> dict:
    """Entries of a network's metadata. images: as given to the quantizer; pixels: what `check_images` made of them.

    The number of images and the SHA-256 of their pixels; of `CalibrationImages` also the source's kind, name and number
    of images, and the seed of the choice: with the same source they give the same pixels.
    """
    entries = {"calibration_images": len(pixels), "calibration_sha256": image_hash(pixels)}
    if isinstance(images, CalibrationImages):
        entries |= {
            "calibration_source": " ".join(filter(None, (images.kind, images.name))),
            "calibration_available": images.available,
            "calibration_seed": images.seed,
        }
    return entries


class _RandomImages:
    """Seeded images in the place of a data set's, without classes and labels."""

    classes: tuple[str, ...] = ()
    labels: Sequence[int] = ()

    def __init__(self, count: int, resolution: int, seed: int):
        self._images = seeded.random_images(count, resolution, seed).numpy()

    def __len__(self):
        return len(self._images)

    def image(self, index: int, resolution: int, crop: float = CROP) -> np.ndarray:
        return self._images[index]
