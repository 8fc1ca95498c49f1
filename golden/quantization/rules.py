"""Which channels of a tensor may have scales and zero points of their own: what its readers can absorb.

A depthwise layer multiplies its weights by the input's scale per channel, the pool does so in its records; a pointwise
layer sums over channels and needs one scale, but any zero points, which go into its bias; attention needs zero point 0
because ReLU is a clamp of the integers at 0; layer normalization subtracts a mean, so one zero point cancels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from triovit.golden.network.graph import ConvolutionLayer, Layer, LinearAttentionLayer, PoolLayer, readers
from triovit.golden.quantization.settings import Settings


@dataclass(frozen=True)
class TensorRule:
    """group: consecutive channels with one range and one zero point. scales: number of different scales.

    symmetric: zero point 0. rectified: only attention reads it, so that q and k are not used below 0 (of three groups,
    q, k, v, the first two).
    """

    group: int
    scales: int
    symmetric: bool = False
    rectified: bool = False


def tensor_rules(layers: Sequence[Layer], settings: Settings) -> dict[str, TensorRule]:
    """A rule for the output of every layer but the last."""
    return {layer.name: _rule(layer, readers(layers, layer.name), settings) for layer in layers[:-1]}


def _rule(producer: Layer, reading: list[Layer], settings: Settings) -> TensorRule:
    """reading: layers that read the producer's tensor; a residual sum is none of them, it takes any encoding."""
    channels = producer.channels
    attention = [layer for layer in reading if isinstance(layer, LinearAttentionLayer)]
    if attention:
        dim = attention[0].dim
        return TensorRule(dim, channels // dim if settings.head_scales else 1, True, len(reading) == len(attention))
    shared = max(_scale_group(reader, channels, settings) for reader in reading)
    shifted = all(_shifts(reader, settings) for reader in reading) and not isinstance(producer, LinearAttentionLayer)
    if shifted:
        return TensorRule(1, channels // shared)
    return TensorRule(shared, channels // shared, settings.symmetric)


def _scale_group(reader: Layer, channels: int, settings: Settings) -> int:
    """Consecutive channels that must have one scale."""
    match reader:
        case PoolLayer():
            return 1 if settings.migration else channels
        case ConvolutionLayer() if reader.folded.groups > 1:
            own = settings.migration if reader.depthwise else settings.head_scales
            return reader.folded.weight.shape[1] if own else channels
    return channels


def _shifts(reader: Layer, settings: Settings) -> bool:
    """Whether the input has a zero point per channel under one scale."""
    if not isinstance(reader, ConvolutionLayer) or reader.folded.weight.shape[1] == 1:
        return False  # of a filter over one channel, a scale does that
    return settings.shifting == "all" or (settings.shifting == "projection" and reader.projection)
