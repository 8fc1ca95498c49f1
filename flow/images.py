"""Images to run: a photo, or evenly spaced ones of a data set; their logits and accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from triovit.flow.broken_images import told_to_skip, without_broken
from triovit.flow.errors import UsageError
from triovit.flow.network_names import BUNDLED, SEEDED
from triovit.flow.output import say
from triovit.flow.progress import steps
from triovit.golden.assets import PHOTO
from triovit.golden.data.broken import Broken
from triovit.golden.data.classes import match_classes
from triovit.golden.data.folders import ImageFiles, ImageList, Images, Subset
from triovit.golden.data.images import CROP, load_image
from triovit.golden.data.sources import open_labelled
from triovit.golden.evaluation.accuracy import Share
from triovit.golden.evaluation.evaluate import BATCH, Predictor
from triovit.golden.integer.execute import pixels_to_input


@dataclass(frozen=True)
class Source:
    """An image with its name and, from a data set, its label. pixels: (R, R, 3) uint8."""

    name: str
    pixels: np.ndarray
    label: int | None = None

    @property
    def input(self) -> np.ndarray:
        """(3, R, R) int8 of the integer network."""
        return pixels_to_input(self.pixels)


def find_sources(
    options, resolution: int, crop: float, names: tuple[str, ...], outputs: int
) -> tuple[list[Source], tuple[str, ...], Broken]:
    """The images that the options name, names of the network's outputs, and images that were passed over, which only
    --skip-broken allows.

    resolution, crop: of the network's images. names: its own of its outputs, empty if unknown.
    """
    if options.data is None:
        if options.images is not None:
            raise UsageError("--images goes with --data")
        if not options.image:
            return [find_image(None, resolution, crop)], names, ()
        files = find_files(options.image)
        kept, broken = without_broken(files, resolution, options.skip_broken)
        found = zip(kept.indices, read_images(kept, resolution, crop), strict=True)
        return [Source(str(files.paths[index]), pixels) for index, pixels in found], names, broken
    labelled = find_labelled(options.data, options.images, names, outputs)
    dataset, broken = without_broken(labelled, resolution, options.skip_broken)
    found = zip(dataset.indices, read_images(dataset, resolution, crop), dataset.labels, strict=True)
    return [Source(f"image {index}", pixels, label) for index, pixels, label in found], dataset.classes, broken


def find_image(path: str | None, resolution: int, crop: float = CROP) -> Source:
    """An image file, by default the sample photo, cropped and resized for a network."""
    if path is None:
        return Source("sample photo of a cat", load_image(PHOTO, resolution, crop))
    return Source(path, load_image(path, resolution, crop))


def find_files(paths: Sequence[str]) -> ImageList:
    """Image files, and all images below folders, in the order in which they are named."""
    found: list[Path] = []
    for path in paths:
        if Path(path).is_dir():
            found += ImageFiles(path).paths
            continue
        if not Path(path).is_file() and (path == BUNDLED or SEEDED.fullmatch(path)):
            raise UsageError(f"--image {path}: is a network, not an image: it goes before --image")
        if Path(path).suffix == ".safetensors":
            raise UsageError(f"--image {path}: is no image; a network goes before --image")
        found.append(Path(path))
    return ImageList(found)


def find_labelled(data: str, count: int | None, names: Sequence[str], outputs: int) -> Subset:
    """`count` evenly spaced images (None: all) of --data: a folder per class, in a folder or archive, or CIFAR-10 (its
    test part). Labels are outputs of the network, `classes` names of all outputs; names: the network's own, if known.

    Raises DatasetError for an unusable data set and for classes that are not the network's, UsageError for `count`.
    """
    dataset, by_name = match_classes(open_labelled(data), names, outputs, f"--data {data}")
    if not by_name:
        say(f"{data}: {outputs} classes, as many as the network's outputs: taken in this order, not by name")
    if count is not None and count > len(dataset):
        raise UsageError(f"--images must lie in 1..{len(dataset)} for this data set, not {count}")
    return Subset(dataset, count or len(dataset))


def read_images(images: Images, resolution: int, crop: float = CROP) -> np.ndarray:
    """(N, R, R, 3) uint8, all images of a data set, with progress."""
    pixels = np.empty((len(images), resolution, resolution, 3), np.uint8)
    with steps("reading images") as update:
        for index in range(len(images)):
            with told_to_skip():
                pixels[index] = images.image(index, resolution, crop)
            update("reading images", index + 1, len(images))
    return pixels


def predict(predictor: Predictor, sources: list[Source]) -> np.ndarray:
    """(images, outputs) logits of all images, with progress."""
    logits = []
    with steps("classifying") as update:
        for start in range(0, len(sources), BATCH):
            batch = np.stack([source.pixels for source in sources[start : start + BATCH]])
            logits.append(predictor.logits(batch))
            update("classifying", start + len(batch), len(sources))
    return np.concatenate(logits)


def accuracy(logits: np.ndarray, sources: list[Source]) -> float:
    """Top-1 in per cent."""
    hits = logits.argmax(axis=1) == [source.label for source in sources]
    return Share(int(hits.sum()), len(sources)).percent
