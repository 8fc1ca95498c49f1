"""Seeded random networks whose activations behave like a trained network's, and random images for them.

Random numbers come from NumPy integers scaled by exact factors, statistics are taken in float64 and then
rounded to a few digits: the same seed gives the same weights on every machine and thread count.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import torch
from torch import nn

from triovit.golden.network.architectures import layers_of
from triovit.golden.network.classifier import Classifier
from triovit.golden.network.graph import ConvolutionLayer
from triovit.golden.network.normalize import normalize
from triovit.golden.torch_modes import plain_modes

STATISTICS_IMAGES = 16  # attention averages over tokens: its spread shows between images only
STATISTICS_DIGITS = 12  # significant bits kept of a batch-norm statistic
SPREAD = 0.5  # batch-norm scales lie in [1 - SPREAD, 1 + SPREAD]
SHIFT = 0.5  # batch-norm shifts and biases lie in [-SHIFT, SHIFT]
HARDSWISH_POWER = 1 / 3  # mean square of hardswish on a standard normal input

Model = TypeVar("Model", bound=Classifier)


def random_images(count: int, resolution: int, seed: int) -> torch.Tensor:
    """(count, R, R, 3) uint8: coarse random colour patches with fine noise, so that neighbours correlate."""
    rng = np.random.default_rng(seed)
    patch = -(-resolution // 8)
    coarse = rng.integers(0, 192, (count, 8, 8, 3)).repeat(patch, 1).repeat(patch, 2)
    noise = rng.integers(0, 64, (count, resolution, resolution, 3))
    return torch.from_numpy((coarse[:, :resolution, :resolution] + noise).astype(np.uint8))


@plain_modes()
def initialize(model: Model, seed: int) -> Model:
    """Fill `model` with random weights and matching batch-norm statistics; returns it in evaluation mode.

    Weights are uniform with the variance that keeps a signal's power; batch-norm scales and shifts differ
    from channel to channel, so that channels have unequal ranges as trained ones do. Then random images run
    through the network, and each batch normalization takes the mean and variance of what reaches it, after
    those before it have been set.
    """
    model.float()  # however it was made
    rng, weaker = np.random.default_rng(seed), _behind_hardswish(model)
    for name, parameter in model.named_parameters():
        module = name.rpartition(".")[0]
        _fill(model.get_submodule(module), name, parameter, HARDSWISH_POWER if module in weaker else 1.0, rng)
    set_statistics(model, random_images(STATISTICS_IMAGES, model.resolution, seed))
    return model.eval()


def set_statistics(model: Classifier, images: torch.Tensor) -> None:
    """Set the running statistics of every batch normalization from (N, R, R, 3) uint8 images, in one pass."""

    def measure(norm, inputs):
        values = inputs[0]
        norm.running_mean.copy_(_round(values.mean((0, 2, 3))))
        norm.running_var.copy_(_round(values.var((0, 2, 3), correction=0)))

    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    hooks = [norm.register_forward_pre_hook(measure) for norm in norms]
    model.eval().double()
    try:
        with torch.no_grad():
            model(normalize(images).double())
    finally:
        for hook in hooks:
            hook.remove()
        model.float()


def _fill(owner: nn.Module, name: str, parameter: nn.Parameter, power: float, rng: np.random.Generator) -> None:
    """Random values for a parameter of the module `owner`, whose input has a mean square of `power`."""
    if isinstance(owner, (nn.BatchNorm2d, nn.LayerNorm)):
        low, high = (1 - SPREAD, 1 + SPREAD) if name.endswith("weight") else (-SHIFT, SHIFT)
    elif name.endswith("bias"):
        low, high = -SHIFT, SHIFT
    else:
        high = (3 / (_fan_in(parameter) * power)) ** 0.5  # uniform on [-a, a] has variance a*a/3
        low = -high
    unit = rng.integers(0, 1 << 24, tuple(parameter.shape)) / (1 << 24)
    with torch.no_grad():
        parameter.copy_(torch.from_numpy(low + (high - low) * unit))


def _behind_hardswish(model: Classifier) -> set[str]:
    """Names of the modules that convolve outputs of hardswish, which are weaker than normalized maps."""
    layers = layers_of(model)
    active = {layer.name for layer in layers if layer.activation == "hardswish"}
    return {layer.module for layer in layers if isinstance(layer, ConvolutionLayer) and layer.input in active}


def _fan_in(weight):
    return weight[0].numel()


def _round(values):
    mantissa, exponent = torch.frexp(values)
    return torch.ldexp(torch.round(mantissa * 2**STATISTICS_DIGITS), exponent - STATISTICS_DIGITS)
