"""Images to run: a photo, or evenly spaced ones of a data set; their logits and accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from triovit.flow.errors import UsageError
from triovit.flow.output import say
from triovit.flow.progress import steps
from triovit.golden.assets import PHOTO
from triovit.golden.data.classes import match_classes
from triovit.golden.data.folders import Images, Subset
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
) -> tuple[list[Source], tuple[str, ...]]:
    """The images that the options name, and names of the network's outputs.

    resolution, crop: of the network's images. names: its own of its outputs, empty if unknown.
    """
    if options.data is None:
        if options.images is not None:
            raise UsageError("--images goes with --data")
        return [find_image(options.image, resolution, crop)], names
    dataset = find_labelled(options.data, options.images, names, outputs)
    found = zip(dataset.indices, read_images(dataset, resolution, crop), dataset.labels, strict=True)
    return [Source(f"image {index}", pixels, label) for index, pixels, label in found], dataset.classes


def find_image(path: str | None, resolution: int, crop: float = CROP) -> Source:
    """An image file, by default the sample photo, cropped and resized for a network."""
    if path is None:
        return Source("sample photo of a cat", load_image(PHOTO, resolution, crop))
    return Source(path, load_image(path, resolution, crop))


def find_labelled(data: str, count: int | None, names: Sequence[str], outputs: int) -> Subset:
    """`count` evenly spaced images (None: all) of --data: a folder a class, in a folder or an archive, or CIFAR-10 (its
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
