"""Images to run: a photo, or evenly spaced ones of a data set; their logits and accuracy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from flow.errors import UsageError
from flow.output import steps
from golden.integer.execute import execute as execute_network
from golden.integer.execute import pixels_to_input
from golden.integer.network import IntegerNetwork
from golden.network.datasets import CifarArchive, Dataset, ImageFolder
from golden.network.preprocess import load_image, normalize


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


def find_sources(options, resolution: int, classes: tuple[str, ...]) -> tuple[list[Source], tuple[str, ...]]:
    """The images that the options name, and names of classes: the network's own, else the data set's."""
    if options.data is None:
        if options.images is not None:
            raise UsageError("--images goes with --data")
        return [find_image(options.image, resolution)], classes
    dataset = find_dataset(options.data, "test", classes)
    return dataset_images(dataset, options.images, resolution), classes or tuple(dataset.classes)


def find_image(path: str | None, resolution: int) -> Source:
    """An image file, by default the sample photo, cropped and resized for a network."""
    if path is None:
        return Source("sample photo of a cat", load_image(photo_path(), resolution).numpy())
    return Source(path, load_image(path, resolution).numpy())


def photo_path() -> Path:
    """The public-domain sample photo (a cat) that the package scikit-image carries."""
    import skimage

    return Path(skimage.__file__).parent / "data" / "chelsea.png"


def find_dataset(path: str, split: str, classes: tuple[str, ...] = ()) -> Dataset:
    """A folder with a folder a class, or a CIFAR-10 JPEG archive (.npz); labels are indices into `classes` if given.

    Raises DatasetError for an unusable data set or folders that name no class, UsageError for an archive of others.
    """
    if not path.endswith(".npz"):
        return ImageFolder(path, classes or None)
    archive = CifarArchive(path, split)
    if classes and archive.classes != tuple(classes):
        raise UsageError(f"--data {path}: its classes are not the network's")
    return archive


def dataset_images(dataset: Dataset, count: int | None, resolution: int) -> list[Source]:
    """`count` evenly spaced images of a data set (None: all)."""
    total = len(dataset)
    count = total if count is None else count
    if not 1 <= count <= total:
        raise UsageError(f"--images must lie in 1..{total} for this data set, not {count}")
    chosen = [k * total // count for k in range(count)]
    return [Source(f"image {k}", np.asarray(dataset.image(k, resolution)), dataset.labels[k]) for k in chosen]


def float_logits(model, sources: list[Source]) -> np.ndarray:
    """(images, classes) logits of the float network."""
    with torch.inference_mode():
        return np.concatenate([model(normalize(torch.from_numpy(source.pixels)[None])).numpy() for source in sources])


def golden_logits(network: IntegerNetwork, sources: list[Source]) -> np.ndarray:
    """(images, classes) logits of the integer network."""
    logits = []
    with steps("integer model") as update:
        for done, source in enumerate(sources):
            update("integer model", done, len(sources))
            logits.append(execute_network(network, source.input)[network.output].reshape(-1))
    return np.stack(logits)


def accuracy(logits: np.ndarray, sources: list[Source]) -> float:
    """Top-1 in per cent."""
    return 100 * float(np.mean(logits.argmax(axis=1) == [source.label for source in sources]))
