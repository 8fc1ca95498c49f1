"""The integer network as a predictor in NumPy alone, image by image: slower than the batch executor, the same bits."""

from __future__ import annotations

import numpy as np

from triovit.golden.integer.errors import NetworkError
from triovit.golden.integer.execute import execute, pixels_to_input
from triovit.golden.integer.network import IntegerNetwork
from triovit.golden.network.facts import crop_of


class ReferencePredictor:
    """`golden.integer.execute` on every image, without PyTorch.

    Raises NetworkError for a network whose last tensor is no vector of logits.
    """

    def __init__(self, network: IntegerNetwork):
        self._network = network
        self.resolution, self.crop = network.input_shape[1], crop_of(network.metadata)
        self.outputs = count_outputs(network)

    def logits(self, pixels: np.ndarray) -> np.ndarray:
        """(N, R, R, 3) uint8 -> (N, outputs) int64."""
        images = [execute(self._network, pixels_to_input(image))[self._network.output].reshape(-1) for image in pixels]
        return np.stack(images).astype(np.int64)


def count_outputs(network: IntegerNetwork) -> int:
    """Logits of a classifier; raises NetworkError when the network's last tensor has more than a value per channel."""
    channels, height, width = network.shapes()[network.output]
    if (height, width) != (1, 1):
        raise NetworkError(f"{network.name}: a classifier's last tensor must be 1 x 1, not {height} x {width}")
    return channels
