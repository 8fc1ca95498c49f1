"""Networks as functions from pixels to logits, computed by PyTorch, in a form that worker processes can be given."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from triovit.golden.batch.executor import BatchExecutor
from triovit.golden.data.images import CROP, IMAGENET_MEAN, IMAGENET_STD
from triovit.golden.evaluation.reference import count_outputs
from triovit.golden.integer.network import IntegerNetwork
from triovit.golden.network.checkpoint import CheckpointError
from triovit.golden.network.classifier import Classifier
from triovit.golden.network.facts import crop_of
from triovit.golden.network.normalize import normalize
from triovit.golden.torch_modes import plain_modes


class FloatPredictor:
    """The float network. mean, std: its normalization of pixels / 255, a value an RGB channel. crop: of its images."""

    def __init__(
        self,
        model: Classifier,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        crop: float = CROP,
    ):
        self._model, self._mean, self._std = model.eval(), tuple(mean), tuple(std)
        self.resolution, self.outputs, self.crop = model.resolution, model.n_classes, crop

    @plain_modes()
    @torch.inference_mode()
    def logits(self, pixels: np.ndarray) -> np.ndarray:
        """(N, R, R, 3) uint8 -> (N, outputs) float32; raises CheckpointError for logits that are not finite."""
        logits = self._model(normalize(torch.from_numpy(pixels), self._mean, self._std))
        if not torch.isfinite(logits).all():
            raise CheckpointError("the float network's logits are not finite numbers")
        return logits.numpy()


class IntegerPredictor:
    """The integer network on the batch executor, which is set up at its first use in every process.

    Raises NetworkError for a network whose last tensor is no vector of logits.
    """

    def __init__(self, network: IntegerNetwork):
        self._network, self._executor = network, None
        self.resolution, self.crop = network.input_shape[1], crop_of(network.metadata)
        self.outputs = count_outputs(network)

    def logits(self, pixels: np.ndarray) -> np.ndarray:
        """(N, R, R, 3) uint8 -> (N, outputs) int64."""
        if self._executor is None:
            self._executor = BatchExecutor(self._network)
        return self._executor.logits(pixels).numpy()

    def __getstate__(self):
        return self.__dict__ | {"_executor": None}
