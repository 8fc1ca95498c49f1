"""Scales of activations as powers of two (P2-ViT, sections on power-of-two scales, adaptive rounding and smoothing).

A tensor's scale is `constant * 2**k`. The constant is what an operation leaves behind that is no power of two (1/6 of
hardswish, 1 / pixels of the pool) and what a residual sum takes over from the tensor it adds; the weights that read the
tensor absorb it, so that every ratio of scales that a requantizer sees is a power of two.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
import torch
from torch.nn import functional

from triovit.golden.integer.network import INPUT
from triovit.golden.network.classifier import Classifier
from triovit.golden.network.graph import (
    ConvolutionLayer,
    Layer,
    LayerNormLayer,
    LinearAttentionLayer,
    PoolLayer,
    readers,
)
from triovit.golden.quantization import exponents
from triovit.golden.quantization.calibration import capture
from triovit.golden.quantization.calibration.observers import Range
from triovit.golden.quantization.encoding import Encoding, encode, pixel_encoding, range_scales
from triovit.golden.quantization.rules import TensorRule
from triovit.golden.quantization.settings import Settings
from triovit.golden.quantization.weights.layers import operand_bits

IMAGES = 32
BATCH = 8
MOST_SMOOTHING = 6  # exponents of a channel's factor stay within +-6


def constants(layers: Sequence[Layer]) -> dict[str, float]:
    """The constant factor of every tensor's scale."""
    found: dict[str, float] = {}
    for layer in layers:
        match layer:
            case ConvolutionLayer(activation="hardswish") | LayerNormLayer(activation="hardswish"):
                found[layer.name] = 1 / 6
            case PoolLayer():
                found[layer.name] = found[layer.input] / layer.pixels
            case ConvolutionLayer(residual=str(added)):
                found[layer.name] = found[added]
            case _:
                found[layer.name] = 1.0
    return found


def smoothing_factors(
    layer: Layer, layers: Sequence[Layer], found: Range, exponent: float, equalized: np.ndarray | float = 1.0
) -> np.ndarray | None:
    """(channels,) powers of two, how much coarser each channel of a tensor is stored; None where that cannot be.

    s_j = 2**round(log2(max|X_j|**t / max|W_j|**(1 - t))), W_j the weights of all readers on channel j, relative to the
    middle of all channels; log2 is rounded at 1.5. Possible where all readers are dense convolutions: their weights
    take s_j, the producer's requantizer (a record per channel) 1 / s_j, whatever non-linearity lies before that, and a
    residual sum has a shift a channel. equalized: factors that the channels have already, taken out of their range.
    """
    dense = [
        reader.folded
        for reader in readers(layers, layer.name)
        if isinstance(reader, ConvolutionLayer) and reader.folded.groups == 1
    ]
    if len(dense) < len(readers(layers, layer.name)):
        return None
    if isinstance(layer, LinearAttentionLayer):
        return None  # its records are a head each
    spread = (np.maximum(found.high, 0) - np.minimum(found.low, 0)) / 2
    weight = np.max([np.abs(conv.weight).max(axis=(0, 2, 3)) for conv in dense], axis=0) * equalized
    used = (spread > 0) & (weight > 0)
    if not used.any():
        return None
    ratio = np.where(used, spread, 1) ** exponent / np.where(used, weight, 1) ** (1 - exponent)
    ratio = np.where(used, ratio / np.median(ratio[used]), 1)
    floor = np.floor(np.log2(ratio))
    rounded = floor + (ratio / 2.0**floor >= 1.5)
    return 2.0 ** np.clip(rounded, -MOST_SMOOTHING, MOST_SMOOTHING)


def search_encodings(
    model: Classifier,
    layers: Sequence[Layer],
    rules: dict[str, TensorRule],
    ranges: dict[str, Range],
    smoothing: dict[str, np.ndarray | None],
    images: np.ndarray,
    mean,
    std,
    settings: Settings,
    progress: capture.Progress | None = None,
    equalized: Mapping[str, np.ndarray] = MappingProxyType({}),
) -> dict[str, Encoding]:
    """Encodings of all tensors but the logits, the input's included; exponents by a rule of `exponents`.

    "adaptive" tries f - 1 to f + 2 on at most 32 of the images, f being the exponent below the scale that the range
    needs, and takes the one with the least error: that of the outputs of the convolutions that read the tensor, or its
    own where attention, pool or LayerNorm does. smoothing, equalized: factors of both,
    (channels,) each by tensor; the second are taken out of the ranges.
    """
    constant = constants(layers)
    tried: dict[str, list[Encoding]] = {}
    for layer in layers[:-1]:
        name = layer.name
        scales = range_scales(ranges[name], rules[name], smoothing.get(name))
        tried[name] = [
            encode(ranges[name], rules[name], constant[name] * 2.0**exponent, smoothing.get(name))
            for exponent in exponents.candidates(scales / constant[name], settings.exponents)
        ]
    errors = {name: np.zeros((len(encodings), rules[name].scales)) for name, encodings in tried.items()}

    def visit(layer: Layer) -> capture.Visit:
        factor = torch.from_numpy(equalized.get(layer.name, np.ones(1))).float()[:, None, None]
        measure = _measure(layer, layers, rules[layer.name], factor)

        def add(_input: torch.Tensor, output: torch.Tensor) -> None:
            x = output.reshape(*output.shape[:2], *(output.shape[2:] or (1, 1))) / factor
            for number, encoding in enumerate(tried[layer.name]):
                errors[layer.name][number] += measure(x, round_trip(x, encoding))

        return add

    if settings.exponents == "adaptive":  # the others leave no choice
        capture.run(
            model,
            capture.evenly(images, IMAGES),
            [(model.get_submodule(layer.output), visit(layer)) for layer in layers[:-1]],
            batch=BATCH,
            mean=mean,
            std=std,
            what="exponents",
            progress=progress,
        )
    chosen = {INPUT: pixel_encoding(mean, std)}
    for layer in layers[:-1]:
        name, rule = layer.name, rules[layer.name]
        best = errors[name].argmin(axis=0).repeat(len(tried[name][0].scale) // rule.scales)
        scale, zero_point = (
            np.choose(best, [getattr(encoding, what) for encoding in tried[name]]) for what in ("scale", "zero_point")
        )
        finest = _finest(layer, chosen, ranges, settings, constant[name]) / equalized.get(name, 1.0)
        if (scale < finest).any():
            scale = np.maximum(scale, finest).reshape(-1, rule.group).max(axis=1)
            chosen[name] = encode(ranges[name], dataclasses.replace(rule, scales=len(scale)), scale)
        else:
            chosen[name] = Encoding(scale, zero_point)
        chosen[name] = chosen[name].times(equalized.get(name))
    return chosen


def _finest(
    layer: Layer,
    chosen: dict[str, Encoding],
    ranges: dict[str, Range],
    settings: Settings,
    constant: float,
) -> np.ndarray | float:
    """The finest scale that a requantization can reach: a shift cannot multiply.

    For a pool that of the sum of pixels, behind hardswish that of its product, 2 ** -(2 * fraction bits) / 6.
    """
    match layer:
        case PoolLayer():
            return chosen[layer.input].scale / layer.pixels
        case ConvolutionLayer(activation="hardswish") | LayerNormLayer(activation="hardswish"):
            return constant * 2.0 ** (-2 * operand_bits(layer, chosen[layer.input], ranges, settings))
    return 0.0


def round_trip(x: torch.Tensor, encoding: Encoding) -> torch.Tensor:
    """(N, C, H, W) values as they come back from their integers."""
    scale, zero = (
        torch.from_numpy(np.asarray(a, dtype=np.float32))[:, None, None] for a in (encoding.scale, encoding.zero_point)
    )
    return ((torch.floor(x / scale + 0.5) + zero).clamp(-128, 127) - zero) * scale


def _measure(
    layer: Layer, layers: Sequence[Layer], rule: TensorRule, factor: torch.Tensor
) -> Callable[[torch.Tensor, torch.Tensor], np.ndarray]:
    """Squared errors (rule.scales,) from a tensor and its round trip, both over the channels' factors (C, 1, 1)."""
    reading = readers(layers, layer.name)
    convolutions = [reader.folded for reader in reading if isinstance(reader, ConvolutionLayer)]

    def by_scale(error: torch.Tensor) -> np.ndarray:
        return (error**2).sum((0, 2, 3)).double().numpy().reshape(rule.scales, -1).sum(axis=1)

    if reading and len(convolutions) == len(reading):
        weights = [torch.from_numpy(conv.weight).float() for conv in convolutions]

        def outputs(x, back):
            errors = (
                by_scale(
                    functional.conv2d((back - x) * factor, weight, None, conv.stride, conv.padding, groups=conv.groups)
                )
                for conv, weight in zip(convolutions, weights, strict=True)
            )
            return sum(errors, start=np.zeros(rule.scales))

        return outputs
    if rule.rectified:

        def rectified(x, back):
            blocks = (x.shape[0], -1, 3, rule.group, *x.shape[2:])  # of q, k, v: the first two are used above 0 only
            difference = (back - x).reshape(blocks)
            used = torch.cat(
                [(back.reshape(blocks)[:, :, :2].relu() - x.reshape(blocks)[:, :, :2].relu()), difference[:, :, 2:]], 2
            )
            return by_scale(used.reshape(x.shape))

        return rectified
    return lambda x, back: by_scale(back - x)
