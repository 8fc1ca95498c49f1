"""Training images decoded into memory, and the random numbers of a run."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from triovit.golden.data.folders import Dataset

SIDE = 32  # pixels: the images are kept, cropped and cut at CIFAR's own size, and enlarged last
ORDER, AUGMENTATION = 0, 1  # streams of random numbers


def decode(dataset: Dataset, progress: Callable[[int, int], None] = lambda done, total: None):
    """(images (N, 32, 32, 3) uint8, labels (N,) int64) of a whole data set; 3 kB an image.

    progress: called after every image with (done, total). Raises what the data set raises for a damaged image.
    """
    images = torch.empty((len(dataset), SIDE, SIDE, 3), dtype=torch.uint8)
    for index in range(len(dataset)):
        images[index] = torch.from_numpy(dataset.image(index, SIDE))
        progress(index + 1, len(dataset))
    return images, torch.tensor(dataset.labels, dtype=torch.int64)


def random_numbers(seed: int, stream: int, position: int) -> np.random.Generator:
    """Generator that depends on nothing but its arguments, each in 0..2**32 - 1.

    Every epoch's order and every step's augmentation has its own, so the position of a run is all that has to be kept
    to go on with the same random numbers.
    """
    return np.random.default_rng([seed, stream, position])


def epoch_order(count: int, seed: int, epoch: int) -> torch.Tensor:
    """(count,) int64: the images' order in epoch `epoch`."""
    return torch.from_numpy(random_numbers(seed, ORDER, epoch).permutation(count))
