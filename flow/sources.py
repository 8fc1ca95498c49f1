"""What commands work on: networks and images, named on the command line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flow.errors import UsageError
from flow.output import say, steps
from golden.integer.execute import pixels_to_input
from golden.integer.network import IntegerNetwork
from golden.integer.serialize import load_network
from golden.network.bundled import ASSETS, load_bundled
from golden.network.checkpoint import load_model
from golden.network.datasets import CifarArchive, Dataset, ImageFolder
from golden.network.efficientvit import EfficientViT
from golden.network.preprocess import load_image
from golden.network.presets import PRESETS
from golden.network.weights import initialize
from golden.quantization.calibrate import random_images
from golden.quantization.quantize import quantize

BUNDLED = "bundled"
BUNDLED_NETWORK = ASSETS / "efficientvit_b0_cifar10_r64.int8.safetensors"
SEEDED = re.compile(r"(b[0-9])-r(\d+)")
SEEDED_IMAGES = 8
NETWORK_HELP = (
    "a quantized network (.safetensors from 'triovit quantize'), 'bundled' (EfficientViT-B0 for CIFAR-10 at 64 x 64, "
    "the default), or PRESET-rRESOLUTION such as b1-r224 for seeded random weights"
)


@dataclass(frozen=True)
class Source:
    """An image with its name and, from a data set, its label."""

    name: str
    pixels: np.ndarray
    label: int | None = None

    @property
    def input(self) -> np.ndarray:
        return pixels_to_input(self.pixels)


def seeded_model(name: str, seed: int) -> EfficientViT | None:
    """A float network with random weights if `name` is PRESET-rRESOLUTION, else None."""
    match = SEEDED.fullmatch(name)
    if not match:
        return None
    preset, resolution = match[1], int(match[2])
    if preset not in PRESETS:
        raise UsageError(f"unknown preset {preset!r}; presets: {', '.join(PRESETS)}")
    if resolution % 32 or not 32 <= resolution <= 1024:
        raise UsageError(f"resolution must be a multiple of 32 in 32..1024, not {resolution}")
    return initialize(EfficientViT(preset, 1000, resolution), seed)


def find_network(name: str, seed: int = 0) -> IntegerNetwork:
    """The quantized network that an argument names (see NETWORK_HELP)."""
    if name == BUNDLED:
        return load_network(BUNDLED_NETWORK)
    model = seeded_model(name, seed)
    if model is None:
        if not Path(name).is_file():
            raise UsageError(f"no network {name!r}: give {NETWORK_HELP}")
        return load_network(name)
    say(f"{name}: seeded random weights (seed {seed}), quantized on {SEEDED_IMAGES} random images")
    with steps("calibrating") as update:
        return quantize(
            model, random_images(seed, SEEDED_IMAGES, model.resolution), name=f"{name}-seed{seed}", progress=update
        )


def find_model(name: str, resolution: int, seed: int = 0) -> EfficientViT:
    """The float network that an argument names: 'bundled', PRESET-rRESOLUTION, or a checkpoint file."""
    if name == BUNDLED:
        return load_bundled().model
    return seeded_model(name, seed) or load_model(name, resolution)


def photo_path() -> Path:
    """The public-domain sample photo (a cat) that the package scikit-image carries."""
    import skimage

    return Path(skimage.__file__).parent / "data" / "chelsea.png"


def find_image(name: str, resolution: int) -> Source:
    """An image file, or 'cat' for the sample photo, cropped and resized for a network."""
    path = photo_path() if name == "cat" else Path(name)
    return Source("sample photo of a cat" if name == "cat" else str(name), load_image(path, resolution).numpy())


def find_dataset(path: str, split: str) -> Dataset:
    """A folder with a folder a class, or a CIFAR-10 JPEG archive (.npz)."""
    return CifarArchive(path, split) if str(path).endswith(".npz") else ImageFolder(path)


def dataset_images(dataset: Dataset, count: int | None, resolution: int) -> list[Source]:
    """`count` evenly spaced images of a data set (None: all)."""
    total = len(dataset)
    count = total if count is None else count
    if not 1 <= count <= total:
        raise UsageError(f"--images must lie in 1..{total} for this data set, not {count}")
    chosen = [k * total // count for k in range(count)]
    return [Source(f"image {k}", np.asarray(dataset.image(k, resolution)), dataset.labels[k]) for k in chosen]
