"""Batch normalization folded into the convolution before it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import nn

from triovit.golden.quantization.settings import QuantizationError


@dataclass(frozen=True)
class FoldedConvolution:
    """A convolution with its batch normalization folded in, in float64.

    weight: (Cout, Cin / groups, k, k). bias: (Cout,). A fully connected layer has k = 1.
    """

    weight: np.ndarray
    bias: np.ndarray
    stride: int
    padding: int
    groups: int

    @property
    def channels(self) -> int:
        """Input channels."""
        return self.weight.shape[1] * self.groups


def fold(name: str, conv: nn.Conv2d | nn.Linear, norm: nn.Module | None = None) -> FoldedConvolution:
    """Fold `norm` (BatchNorm2d, or Identity / None for nothing) into `conv`.

    With g = gamma / sqrt(variance + eps): weight * g, and (bias - mean) * g + beta. `name` stands for the layer in
    errors. Raises QuantizationError for NaN or infinite values, parameters or results.
    """
    weight = _array(conv.weight)
    bias = np.zeros(weight.shape[0]) if conv.bias is None else _array(conv.bias)
    if isinstance(norm, nn.BatchNorm2d):
        gain = _array(norm.weight) / np.sqrt(_array(norm.running_var) + norm.eps)
        bias = (bias - _array(norm.running_mean)) * gain + _array(norm.bias)
        weight = weight * gain[:, None, None, None]
    if not np.isfinite(weight).all() or not np.isfinite(bias).all():
        raise QuantizationError(f"{name}: weights, biases and normalization must be finite numbers")
    if isinstance(conv, nn.Linear):
        return FoldedConvolution(weight[:, :, None, None], bias, 1, 0, 1)
    return FoldedConvolution(weight, bias, conv.stride[0], conv.padding[0], conv.groups)


def _array(tensor) -> np.ndarray:
    return tensor.detach().cpu().double().numpy()
