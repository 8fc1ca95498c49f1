"""First and second moments of every layer's input: what a change of its weights does to its output, without running it.

With dw the change of a filter's weights and x the input that they multiply (a window of the input, flattened), the mean
output error is dw . E[x] and the mean squared one dw E[x x^T] dw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from triovit.golden.network.classifier import Classifier
from triovit.golden.network.graph import ConvolutionLayer, FoldedConvolution, Layer
from triovit.golden.quantization.calibration import capture
from triovit.golden.quantization.weights.steps import Error

IMAGES = 64  # many pixels each: more change little
BATCH = 8  # windows of a 3 x 3 kernel take nine times the memory of the input


@dataclass(frozen=True)
class Moments:
    """mean: (groups, n), second: (groups, n, n) float64 of the n = Cin / groups * k * k inputs of a filter."""

    mean: np.ndarray
    second: np.ndarray

    def output_error(self, columns: np.ndarray) -> Error:
        """Mean squared error of each filter's output. columns: (F, n), what a difference of weights is divided by."""

        def error(difference: np.ndarray) -> np.ndarray:
            groups, n = self.mean.shape
            real = (difference / columns).reshape(groups, -1, n)
            return ((real @ self.second) * real).sum(axis=2).reshape(-1)

        return error

    def mean_error(self, difference: np.ndarray) -> np.ndarray:
        """(F,) mean output error of a difference of real weights (F, n)."""
        groups, n = self.mean.shape
        return (difference.reshape(groups, -1, n) * self.mean[:, None]).sum(axis=2).reshape(-1)


def measure_moments(
    model: Classifier, layers: Sequence[Layer], images: np.ndarray, mean, std, progress: capture.Progress | None = None
) -> dict[str, Moments]:
    """Moments of the inputs of all convolution layers, by name, from at most 64 of the (N, R, R, 3) uint8 images."""
    sums: dict[str, list] = {}

    def visit(name: str, conv: FoldedConvolution):
        def add(x: torch.Tensor, _output: torch.Tensor) -> None:
            windows = _windows(x, conv)  # (groups, n, windows)
            count, total, second = sums.setdefault(name, [0, 0.0, 0.0])
            products = windows @ windows.transpose(1, 2)
            sums[name] = [count + windows.shape[2], total + windows.sum(2).double(), second + products.double()]

        return add

    convolutions = [layer for layer in layers if isinstance(layer, ConvolutionLayer)]
    capture.run(
        model,
        capture.evenly(images, IMAGES),
        [(model.get_submodule(layer.module), visit(layer.name, layer.folded)) for layer in convolutions],
        batch=BATCH,
        mean=mean,
        std=std,
        what="moments",
        progress=progress,
    )
    return {
        name: Moments((total / count).numpy(), (second / count).numpy())
        for name, (count, total, second) in sums.items()
    }


def _windows(x: torch.Tensor, conv: FoldedConvolution) -> torch.Tensor:
    kernel = conv.weight.shape[2]
    x = x.reshape(*x.shape[:2], *(x.shape[2:] or (1, 1)))
    if kernel > 1:
        x = functional.unfold(x, kernel, padding=conv.padding, stride=conv.stride)
    n = conv.weight.shape[1] * kernel * kernel
    return x.reshape(len(x), conv.groups, n, -1).permute(1, 2, 0, 3).reshape(conv.groups, n, -1)
