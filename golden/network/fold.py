"""Parameters of layers from float modules: batch normalization folded into the convolution before it."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from triovit.golden.network.graph import FoldedConvolution, GraphError


def fold(name: str, conv: nn.Conv2d | nn.Linear, norm: nn.Module | None = None) -> FoldedConvolution:
    """Fold `norm` (BatchNorm2d, or Identity / None for nothing) into `conv`.

    With g = gamma / sqrt(variance + eps): weight * g, and (bias - mean) * g + beta. `name` stands for the layer in
    errors. Raises GraphError for NaN or infinite values, parameters or results, and for a normalization without them.
    """
    weight = _array(name, conv.weight)
    bias = np.zeros(weight.shape[0]) if conv.bias is None else _array(name, conv.bias)
    if isinstance(norm, nn.BatchNorm2d):
        gamma, beta, mean, variance = (
            _array(name, values) for values in (norm.weight, norm.bias, norm.running_mean, norm.running_var)
        )
        gain = gamma / np.sqrt(variance + norm.eps)
        bias = (bias - mean) * gain + beta
        weight = weight * gain[:, None, None, None]
    if not np.isfinite(weight).all() or not np.isfinite(bias).all():
        raise GraphError(f"{name}: weights, biases and normalization must be finite numbers")
    if isinstance(conv, nn.Linear):
        return FoldedConvolution(weight[:, :, None, None], bias, 1, 0, 1)
    return FoldedConvolution(weight, bias, conv.stride[0], int(conv.padding[0]), conv.groups)


def layer_norm_parameters(name: str, norm: nn.LayerNorm) -> tuple[np.ndarray, np.ndarray]:
    """(gamma, beta) in float64; raises GraphError naming the layer `name` for NaN or infinity."""
    gamma, beta = _array(name, norm.weight), _array(name, norm.bias)
    if not np.isfinite(gamma).all() or not np.isfinite(beta).all():
        raise GraphError(f"{name}: weights and biases must be finite numbers")
    return gamma, beta


def _array(name: str, tensor: torch.Tensor | None) -> np.ndarray:
    if tensor is None:
        raise GraphError(f"{name}: a normalization must have weights and biases, and a batch normalization statistics")
    return tensor.detach().cpu().double().numpy()
