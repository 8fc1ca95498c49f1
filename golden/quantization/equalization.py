"""Outlier channels: factors between the channels of a tensor, so that one of them does not cost the others their bits.

A network computes the same when a channel is multiplied by a factor and the weights that read it are divided by that
(cross-layer equalization: Nagel et al., "Data-free quantization through weight equalization and bias correction", ICCV
2019, section 4.1). With a scale for all channels of a tensor, a channel of a hundred times the range leaves the others
two of 255 steps. Here no weight of the float network changes: a channel's scale is its factor times the scale of the
tensor, weights that read it have the factor in them as they have every scale, and a record per channel, residual sums
included, takes it out again. So no two tensors of a residual stream need the same factor.

A linear attention passes factors on: those of V go to the rows of K^T V and on to the output, those of K to the columns
of K^T V and to the row sums, where the inverse ones of Q meet them. K^T V and row sums therefore have scales per head
relative to the head's first channel.

Factors are powers of two, and 1 but for outliers: channels beyond THRESHOLD. Networks without outliers, as training
leaves them, stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from triovit.golden.messages import listing
from triovit.golden.network.graph import ConvolutionLayer, Layer, LinearAttentionLayer, PoolLayer, readers
from triovit.golden.quantization.calibration.calibrate import CHANNELS
from triovit.golden.quantization.calibration.observers import Range
from triovit.golden.quantization.rules import TensorRule

THRESHOLD = 8.0  # below it 8 bits lose nothing that shows; trained networks reach 5.5 (docs/results/quantization.md)


def outlier_factors(layers: Sequence[Layer], ranges: dict[str, Range]) -> dict[str, np.ndarray]:
    """(C,) powers of two by tensor, of the tensors that have outliers.

    ranges: of `calibrate`, a tensor's channels among them. Tensors whose channels have scales of their own anyway
    (inputs of depthwise layers and the pool) need none; inputs of a LayerNorm cannot have any, because it compares
    channels.
    """
    found: dict[str, np.ndarray] = {}
    for layer in layers:
        if isinstance(layer, LinearAttentionLayer):
            found |= _attention(layer, layers, ranges)
    for layer in layers[:-1]:
        reading = readers(layers, layer.name)
        within = any(isinstance(other, LinearAttentionLayer) for other in (layer, *reading))
        weight = None if within else largest_weights(reading, layer.channels)
        if weight is not None:
            found[layer.name] = balance(spread(ranges[layer.name + CHANNELS]), weight)
    return {name: factors for name, factors in found.items() if (factors != 1).any()}


def balance(width: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Factors of channels that share a scale: the power of two next to sqrt(width / weight), 1 but for outliers.

    width: (C,) of the channels' ranges. weight: (C,) largest weights that read them. Both are compared with
    those of the typical channel: the middle one when channels count by what they can matter, width * weight, so that
    dead channels are not typical however many they are (its square root, and not the one that matters most: an outlier
    is not typical either). An outlier is one whose factor is at least THRESHOLD and whose
    range is so much wider than the typical, or the same with its weights and the inverse of the factor.
    """
    share = np.sqrt(width * weight)
    if not share.any():
        return np.ones(len(share))
    used = share > 0
    ratio = np.sqrt(np.where(used, width, 1) / np.where(used, weight, 1))
    relative, wide, heavy = (np.where(used, x / middle(x, share), 1) for x in (ratio, width, weight))
    outlier = ((relative >= THRESHOLD) & (wide >= THRESHOLD)) | ((relative <= 1 / THRESHOLD) & (heavy >= THRESHOLD))
    return np.where(outlier, 2.0 ** np.round(np.log2(relative)), 1.0)


def divide_ranges(
    layers: Sequence[Layer], rules: dict[str, TensorRule], ranges: dict[str, Range], factors: dict[str, np.ndarray]
) -> dict[str, Range]:
    """The ranges with every channel divided by its factor.

    A tensor of which several channels share a range, and the insides of an attention, get the extremes of their
    channels, whatever the observer.
    """
    result = dict(ranges)
    for name, factor in factors.items():
        if rules[name].group == 1:
            result[name] = ranges[name].divided(factor)
        else:
            result[name] = ranges[name + CHANNELS].divided(factor).merged(len(factor) // rules[name].group)
    for layer in layers:
        if not isinstance(layer, LinearAttentionLayer):
            continue
        for branch, name in enumerate(layer.inputs):
            if name not in factors:
                continue
            _, k, v = attention_factors(layer, factors[name])
            for point, relative in (("kv", v[:, :, None] * k[:, None]), ("sum", k)):
                inside = f"{layer.name}.{point}{branch}"
                result[inside] = ranges[inside + CHANNELS].divided(relative.flatten()).merged(layer.heads)
    return result


def attention_factors(layer: LinearAttentionLayer, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(heads, dim) factors of q, k and v of a branch relative to each head's first channel; values: (heads * 3 * dim,)
    factors or scales of the branch's channels."""
    relative = values.reshape(layer.heads, 3, layer.dim) / values.reshape(layer.heads, 3, layer.dim)[:, :, :1]
    return relative[:, 0], relative[:, 1], relative[:, 2]


def outliers(factors: np.ndarray) -> dict[str, float]:
    """The factors that are not 1, by channel, as JSON has them."""
    return {str(channel): float(factors[channel]) for channel in np.flatnonzero(factors != 1)}


def describe(found: dict[str, float]) -> str:
    """The same for people: "channel 3 by 128, channel 5 by 1/16"."""
    parts = [f"channel {c} by {f:g}" if f > 1 else f"channel {c} by 1/{1 / f:g}" for c, f in found.items()]
    return listing(parts)


def _attention(layer: LinearAttentionLayer, layers: Sequence[Layer], ranges: dict[str, Range]) -> dict[str, np.ndarray]:
    """Factors of an attention's inputs and of its output."""
    shape = (len(layer.inputs), layer.heads, layer.dim)
    reading = largest_weights(readers(layers, layer.name), layer.channels)
    weight = None if reading is None else reading.reshape(shape)
    output, found = np.ones(shape), {}
    for branch, name in enumerate(layer.inputs):
        channels = ranges[name + CHANNELS]
        width = spread(channels).reshape(layer.heads, 3, layer.dim)
        positive = np.maximum(channels.high, 0).reshape(width.shape)  # of q and k
        factors = np.ones_like(width)
        for head in range(layer.heads):
            factors[head, 1] = balance(positive[head, 1], positive[head, 0])
            factors[head, 0] = 1 / factors[head, 1]
            if weight is not None:
                factors[head, 2] = output[branch, head] = balance(width[head, 2], weight[branch, head])
        others = [other for other in readers(layers, name) if other is not layer]
        if all(isinstance(other, ConvolutionLayer | PoolLayer) for other in others):
            found[name] = factors.flatten()
        else:
            output[branch] = 1
    if weight is not None:  # the scales of whole heads in the output: v has its own
        width = spread(ranges[layer.name + CHANNELS]).reshape(shape)
        heads = balance((width / output).max(2).flatten(), (weight * output).max(2).flatten())
        found[layer.name] = (output * heads.reshape(*shape[:2], 1)).flatten()
    return found


def largest_weights(reading: Sequence[Layer], channels: int) -> np.ndarray | None:
    """(C,) largest weights on each channel of those convolutions that sum over channels; None if there are none, or if
    another reader compares channels with each other."""
    if not all(isinstance(reader, ConvolutionLayer | PoolLayer) for reader in reading):
        return None
    largest = [
        np.abs(conv.weight)
        .reshape(conv.groups, -1, conv.weight.shape[1], conv.weight.shape[2] ** 2)
        .max(axis=(1, 3))
        .reshape(channels)
        for conv in (reader.folded for reader in reading if isinstance(reader, ConvolutionLayer))
        if conv.weight.shape[1] > 1
    ]
    return np.max(largest, axis=0) if largest else None


def spread(found: Range) -> np.ndarray:
    """(groups,) widths of ranges that are widened to hold 0."""
    return np.maximum(found.high, 0) - np.minimum(found.low, 0)


def middle(values: np.ndarray, share: np.ndarray) -> float:
    """The median of values that count as much as their share, but for the one that counts most."""
    if np.count_nonzero(share) > 1:
        share = np.where(np.arange(len(share)) == share.argmax(), 0, share)
    order = np.argsort(values, kind="stable")
    return float(values[order][np.searchsorted(np.cumsum(share[order]), share.sum() / 2)])
