"""Multiply-accumulate operations of a network, layer by layer.

A convolution counts kernel * kernel * (input channels of a group) for each output element, zero padding
included. The attention's two products count the row of ones of V (dim + 1 rows), which is how the divisor
is computed. Normalization, activations, additions, pooling and the division are no MACs.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import torch
from torch import nn

from golden.network.efficientvit import EfficientViT, named_layers
from golden.network.layers import LinearAttention, LinearNormAct

KINDS = ("generic", "depthwise", "pointwise", "group", "key_value", "query", "linear")


@dataclass(frozen=True)
class LayerMacs:
    """MACs of one layer for one image.

    name: module name; the two products of an attention are `<name>.key_value` (V'K^T) and `<name>.query`.
    kind: one of KINDS. input_shape, output_shape: (C, H, W) or (C,). weights: multiplied parameters.
    """

    name: str
    kind: str
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    weights: int
    macs: int


def layer_shapes(model: EfficientViT) -> dict[str, tuple[tuple[int, ...], tuple[int, ...]]]:
    """Layer name -> (input shape, output shape) without the batch axis, in execution order.

    Found by running a network of the same sizes on a device without data, so nothing is computed.
    """
    with torch.device("meta"):
        twin = EfficientViT(model.preset.name, model.n_classes, model.resolution).eval()
    shapes = {}

    def record(name):
        def hook(_module, inputs, output):
            shapes[name] = tuple(inputs[0].shape[1:]), tuple(output.shape[1:])

        return hook

    for name, module in named_layers(twin):
        module.register_forward_hook(record(name))
    with torch.no_grad():
        twin(torch.empty(1, 3, model.resolution, model.resolution, device="meta"))
    return shapes


def count_macs(model: EfficientViT) -> list[LayerMacs]:
    """MACs of every layer that has any, in execution order."""
    shapes = layer_shapes(model)
    counted = []
    for name, module in named_layers(model):
        if not isinstance(module, nn.AdaptiveAvgPool2d):
            counted += _count_layer(name, module, *shapes[name])
    return counted


def macs_by_kind(layers: list[LayerMacs]) -> dict[str, int]:
    """kind -> MACs, every kind of KINDS present."""
    totals = Counter()
    for layer in layers:
        totals[layer.kind] += layer.macs
    return {kind: totals[kind] for kind in KINDS}


def total_macs(layers: list[LayerMacs]) -> int:
    """MACs of the whole network for one image."""
    return sum(layer.macs for layer in layers)


def _count_layer(name, module, input_shape, output_shape):
    if isinstance(module, LinearAttention):
        heads = output_shape[0] // module.dim
        tokens = output_shape[1] * output_shape[2]
        macs = heads * module.dim * (module.dim + 1) * tokens
        products = ("key_value", "query")
        return [LayerMacs(f"{name}.{kind}", kind, input_shape, output_shape, 0, macs) for kind in products]
    if isinstance(module, LinearNormAct):
        weights = module.linear.weight.numel()
        return [LayerMacs(name, "linear", (module.linear.in_features,), output_shape, weights, weights)]
    conv = module if isinstance(module, nn.Conv2d) else module.conv
    weights = conv.weight.numel()
    macs = weights * output_shape[1] * output_shape[2]
    return [LayerMacs(name, _conv_kind(conv), input_shape, output_shape, weights, macs)]


def _conv_kind(conv: nn.Conv2d) -> str:
    if conv.groups == 1:
        return "pointwise" if conv.kernel_size == (1, 1) else "generic"
    return "depthwise" if conv.groups == conv.in_channels else "group"
