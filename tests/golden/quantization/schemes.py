"""Schemes of single layers and a network that quantizes in no time, for tests of what is made of them."""

from __future__ import annotations

from unittest.mock import patch

from triovit.golden.network.efficientvit.model import EfficientViT
from triovit.golden.network.efficientvit.presets import PRESETS, Preset
from triovit.golden.network.graph import ConvolutionLayer, FoldedConvolution, Layer, WeightedLayer, addend
from triovit.golden.network.seeded import initialize
from triovit.golden.quantization.scheme import Scheme
from triovit.golden.quantization.settings import Settings
from triovit.golden.quantization.weights.layers import quantize_layer


def convolution_layer(weight, bias, *, name="a", source="input", stride=1, groups=1, **fields) -> ConvolutionLayer:
    """A convolution with a padding that keeps the size; fields: others of `ConvolutionLayer`."""
    folded = FoldedConvolution(weight, bias, stride, weight.shape[2] // 2, groups)
    return ConvolutionLayer(name=name, output=name, block=name, module=name, input=source, folded=folded, **fields)


def scheme_of(layer: Layer, encodings, ranges=None, *, moments=None, **settings) -> Scheme:
    """The scheme of a network of this layer alone. encodings: of its tensors, in the order inputs, output, residual."""
    settings, ranges = Settings(**settings), ranges or {}
    names = (*layer.inputs, layer.name, *filter(None, [addend(layer)]))
    encodings = dict(zip(names, encodings, strict=True))
    weights = {}
    if isinstance(layer, WeightedLayer):
        weights[layer.name] = quantize_layer(layer, encodings, ranges, settings, moments)
    return Scheme(settings, (layer,), ranges, encodings, weights)


def tiny_model(seed: int = 1, classes: int = 5, resolution: int = 32) -> EfficientViT:
    """A seeded network with every kind of layer, some 30 thousand weights."""
    preset = Preset("tiny", (8, 16, 16, 16, 32), (1, 1, 2, 1, 1), 8, (64, 48))
    with patch.dict(PRESETS, tiny=preset):
        return initialize(EfficientViT("tiny", classes, resolution), seed)
