"""A float network as the list of its layers: all that the quantizer sees of an architecture.

A layer becomes one node of the integer network, and holds the float parameters of that. Every architecture lists its
own layers in execution order (see `golden.network.architectures`), `check` says whether a list is one. The tensor that
a layer writes carries its name; `input` is the image. Beside parameters, layers name float modules (paths for
`Module.get_submodule`) at which the same numbers can be seen while the float network runs.

Attention is that of EfficientViT (ICCV 2023, section 3.1), hardswish that of MobileNetV3 (ICCV 2019, section 5.2).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from triovit.golden.errors import TriovitError
from triovit.golden.integer.network import INPUT

INPUT_CHANNELS = 3


class GraphError(TriovitError, ValueError):
    """A float network that is no list of layers; the message is one line."""


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


@dataclass(frozen=True, eq=False, kw_only=True)
class _Layer:
    """What every layer has.

    name: of the integer node and its tensor. output: float module whose output is the tensor, (N, C, H, W) or (N, C).
    block: float module that computes this layer and its neighbours of the same block, as one unit of reconstruction: it
    reads the tensor before the first of them, and what it returns is the tensor of the last.
    """

    name: str
    output: str
    block: str


@dataclass(frozen=True, eq=False, kw_only=True)
class ConvolutionLayer(_Layer):
    """A convolution or fully connected layer, with what follows it: normalization, and hardswish or a residual sum.

    input: tensor. module: float module that convolves and nothing else; its input is the tensor `input`. folded: its
    weights and biases. hardswish: float module whose input is that of the layer's hardswish, None for a layer without.
    residual: tensor that is added to the result, or None; not together with hardswish. wide: the network's logits, 16
    bits. projection: the last layer of an inverted bottleneck, PW2 of Trio-ViT. fully_connected: of a classifier's
    head.
    """

    input: str
    module: str
    folded: FoldedConvolution
    hardswish: str | None = None
    residual: str | None = None
    wide: bool = False
    projection: bool = False
    fully_connected: bool = False

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.input,)

    @property
    def channels(self) -> int:
        return len(self.folded.bias)

    @property
    def activation(self) -> str:
        """As in `PostParameters`."""
        if self.wide:
            return "wide"
        return "linear" if self.hardswish is None else "hardswish"

    @property
    def depthwise(self) -> bool:
        return self.folded.groups > 1 and self.folded.weight.shape[1] == 1

    @property
    def pointwise(self) -> bool:
        """1 x 1 over all channels, but no fully connected layer."""
        return self.folded.groups == 1 and self.folded.weight.shape[2] == 1 and not self.fully_connected

    def with_bias(self, bias: np.ndarray) -> ConvolutionLayer:
        """The layer with another bias (Cout,)."""
        return dataclasses.replace(self, folded=dataclasses.replace(self.folded, bias=bias))


@dataclass(frozen=True, eq=False, kw_only=True)
class LinearAttentionLayer(_Layer):
    """ReLU linear attention over several branches, with the arithmetic of `golden.integer`'s Attention.

    inputs: one tensor (heads * 3 * dim, H, W) a branch; a head's channels are dim of q, dim of k, dim of v. The module
    `output` reads all branches' channels, one branch after the other, and returns (N, branches * heads * dim, H, W).
    """

    inputs: tuple[str, ...]
    heads: int
    dim: int

    @property
    def channels(self) -> int:
        return len(self.inputs) * self.heads * self.dim

    @property
    def activation(self) -> str:
        return "linear"


@dataclass(frozen=True, eq=False, kw_only=True)
class PoolLayer(_Layer):
    """Average over all pixels. input: tensor (channels, H, W). pixels: H * W."""

    input: str
    channels: int
    pixels: int

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.input,)

    @property
    def activation(self) -> str:
        return "linear"


@dataclass(frozen=True, eq=False, kw_only=True)
class LayerNormLayer(_Layer):
    """Layer normalization over the channels of a pixel: (x - mean) / sqrt(variance + eps) * gamma + beta.

    input: tensor. gamma, beta: (C,) float64. hardswish: as of `ConvolutionLayer`.
    """

    input: str
    gamma: np.ndarray
    beta: np.ndarray
    eps: float
    hardswish: str | None = None

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.input,)

    @property
    def channels(self) -> int:
        return len(self.gamma)

    @property
    def activation(self) -> str:
        """As in `PostParameters`."""
        return "linear" if self.hardswish is None else "hardswish"


Layer = ConvolutionLayer | LinearAttentionLayer | PoolLayer | LayerNormLayer
WeightedLayer = ConvolutionLayer | LayerNormLayer


def readers(layers: Sequence[Layer], tensor: str) -> list[Layer]:
    """The layers whose input is a tensor; those that add it to their result are none."""
    return [layer for layer in layers if tensor in layer.inputs]


def addend(layer: Layer) -> str | None:
    """The tensor that a layer adds to its result, or None."""
    return layer.residual if isinstance(layer, ConvolutionLayer) else None


def blocks(layers: Sequence[Layer]) -> list[tuple[str, tuple[Layer, ...]]]:
    """(name of the float module, its layers) in execution order."""
    return [(name, tuple(members)) for name, members in groupby(layers, lambda layer: layer.block)]


def check(layers: Sequence[Layer]) -> None:
    """Raise GraphError for what is no list of layers; the message names the layer, the rule and the value.

    Names are unique, every tensor is written before it is read and has the channels that its readers need, and some
    layer reads it; the image is read by convolutions alone. The last layer, and no other, is a wide convolution.
    """
    channels = {INPUT: INPUT_CHANNELS}
    for layer in layers:
        if layer.name in channels:
            raise GraphError(f"{layer.name}: the name of a layer must be unique, but there are two of this")
        for tensor in (*layer.inputs, *filter(None, [addend(layer)])):
            if tensor not in channels:
                raise GraphError(f"{layer.name}: must read tensors of layers before it, not {tensor!r}")
        for needed, tensor in _needed(layer):
            if channels[tensor] != needed:
                raise GraphError(f"{layer.name}: {tensor} must have {needed} channels, not {channels[tensor]}")
        if addend(layer) == INPUT or (INPUT in layer.inputs and not isinstance(layer, ConvolutionLayer)):
            raise GraphError(f"{layer.name}: the image may be the input of a convolution only")
        if isinstance(layer, ConvolutionLayer) and layer.hardswish and (layer.residual or layer.wide):
            raise GraphError(f"{layer.name}: hardswish may not go together with a residual sum or wide logits")
        channels[layer.name] = layer.channels
    for layer in layers[:-1]:
        if not readers(layers, layer.name):
            raise GraphError(f"{layer.name}: must be the input of a layer after it")
    wide = [layer.name for layer in layers if layer.activation == "wide"]
    if not layers or wide != [layers[-1].name]:
        raise GraphError(f"the last layer and no other must be wide, not {', '.join(wide) or 'none'}")


def _needed(layer: Layer) -> list[tuple[int, str]]:
    """(channels that it must have, tensor) of everything that a layer reads."""
    match layer:
        case ConvolutionLayer():
            added = [] if layer.residual is None else [(layer.channels, layer.residual)]
            return [(layer.folded.channels, layer.input), *added]
        case LinearAttentionLayer():
            return [(3 * layer.heads * layer.dim, tensor) for tensor in layer.inputs]
        case PoolLayer() | LayerNormLayer():
            return [(layer.channels, layer.input)]
