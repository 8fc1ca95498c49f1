"""Calibration: images through the float network, ranges of every tensor that becomes integers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import torch
from torch import nn

from triovit.golden.network.graph import ConvolutionLayer, Layer, LayerNormLayer, LinearAttentionLayer
from triovit.golden.quantization.calibration.capture import Progress, Visit, run
from triovit.golden.quantization.calibration.factory import first_observer, second_observer
from triovit.golden.quantization.calibration.observers import MinMaxObserver, Range
from triovit.golden.quantization.rules import TensorRule
from triovit.golden.quantization.settings import Settings

OPERAND = ".operand"  # point: what goes into a layer's hardswish
CHANNELS = ".channels"  # point: the extremes of each channel of a tensor, or of each value inside an attention


def calibrate(
    model: nn.Module,
    layers: Sequence[Layer],
    rules: dict[str, TensorRule],
    images: np.ndarray,
    settings: Settings,
    mean,
    std,
    progress: Progress | None = None,
) -> dict[str, Range]:
    """Ranges by point: a tensor's name (groups as in its rule), NAME.channels (each channel's), NAME.operand, and
    NAME.{kv,sum,divisor}{branch} a head; NAME.kv{branch}.channels (heads * dim * dim,) and NAME.sum{branch}.channels
    (heads * dim,) of each value.

    images: (N, R, R, 3) uint8. Tensors with a rule get the observer of the settings; "percentile" and "lp" take a
    second pass over the images, once their extremes are known. Logits, hardswish operands, channels and the
    attention's intermediates always keep their extremes. Only the result of "ema" depends on the order of the images
    and on settings.batch. Raises QuantizationError for activations that are not finite.
    """
    observers = {
        layer.name: first_observer(layer.name, rules[layer.name], settings)
        if layer.name in rules
        else MinMaxObserver(layer.name)
        for layer in layers
    }
    observers |= {name + CHANNELS: MinMaxObserver(name, 1) for name in rules}
    for layer in layers:
        match layer:
            case ConvolutionLayer(hardswish=str()) | LayerNormLayer(hardswish=str()):
                observers[layer.name + OPERAND] = MinMaxObserver(layer.name)
            case LinearAttentionLayer():
                observers |= {point: MinMaxObserver(point, 1) for point in attention_points(layer)}
    options = {"batch": settings.batch, "mean": mean, "std": std, "progress": progress}
    run(model, images, _visits(model, layers, observers), what="ranges", **options)
    ranges = {name: observer.range() for name, observer in observers.items()}
    for layer in layers:
        if isinstance(layer, LinearAttentionLayer):
            points = [point for point in attention_points(layer) if point.endswith(CHANNELS)]
            ranges |= {point.removesuffix(CHANNELS): ranges[point].merged(layer.heads) for point in points}
    asked = {name: second_observer(name, ranges[name], rule, settings) for name, rule in rules.items()}
    second = {name: observer for name, observer in asked.items() if observer}
    if second:
        run(model, images, _visits(model, layers, second), what="histograms", **options)
        for done, name in enumerate(list(second), 1):
            ranges[name] = second.pop(name).range()
            if progress:
                progress("clipping ranges", done, len(rules))
    return ranges


def attention_points(layer: LinearAttentionLayer) -> list[str]:
    """Names of the points inside an attention."""
    whats = (("kv", CHANNELS), ("sum", CHANNELS), ("divisor", ""))
    return [f"{layer.name}.{what}{branch}{each}" for branch in range(len(layer.inputs)) for what, each in whats]


def attention_values(layer: LinearAttentionLayer, qkv: torch.Tensor) -> dict[str, torch.Tensor]:
    """(N, heads), (N, heads * dim) or (N, heads * dim * dim) values of the points of one attention.

    qkv: all branches' channels, float32 or wider.
    """
    q, k, v = qkv.reshape(len(qkv), -1, 3, layer.dim, qkv[0, 0].numel()).unbind(2)
    q, k = q.relu(), k.relu()
    sums = k.sum(3)
    products = {
        "kv": (v @ k.transpose(2, 3)).flatten(2),
        "sum": sums,
        "divisor": (q * sums[..., None]).sum(2).amax(2, keepdim=True),
    }
    parts = (
        value[:, branch * layer.heads : (branch + 1) * layer.heads].flatten(1)
        for branch in range(len(layer.inputs))
        for value in products.values()
    )
    return dict(zip(attention_points(layer), parts, strict=True))


def _visits(model: nn.Module, layers: Sequence[Layer], observers: dict) -> Iterator[tuple[nn.Module, Visit]]:
    """What to look at while the network runs, for those points that have an observer."""
    for layer in layers:
        module, operand = model.get_submodule(layer.output), layer.name + OPERAND
        for point in (name for name in (layer.name, layer.name + CHANNELS) if name in observers):
            yield module, lambda _input, output, observer=observers[point]: observer.observe(output)
        match layer:
            case ConvolutionLayer(hardswish=str(path)) | LayerNormLayer(hardswish=str(path)) if operand in observers:
                yield model.get_submodule(path), lambda x, _, observer=observers[operand]: observer.observe(x)
            case LinearAttentionLayer() if observers.keys() >= set(attention_points(layer)):
                yield module, partial(_observe_attention, layer, observers)


def _observe_attention(layer: LinearAttentionLayer, observers: dict, qkv: torch.Tensor, _output) -> None:
    for point, values in attention_values(layer, qkv).items():
        observers[point].observe(values)
