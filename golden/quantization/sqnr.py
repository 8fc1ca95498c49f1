"""Float network against integer network, tensor by tensor: where a quantization loses its accuracy."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from triovit.golden.batch.executor import BatchExecutor
from triovit.golden.data.images import IMAGENET_MEAN, IMAGENET_STD
from triovit.golden.identity import network_hash
from triovit.golden.integer.network import IntegerNetwork
from triovit.golden.network.architectures import layers_of
from triovit.golden.network.classifier import Classifier
from triovit.golden.network.graph import Layer
from triovit.golden.quantization.calibration.capture import Progress, run
from triovit.golden.quantization.calibration.images import check_images
from triovit.golden.quantization.encoding import Encoding, from_metadata
from triovit.golden.quantization.settings import QuantizationError

BATCH = 8  # images at once: all of their tensors are held


@dataclass(frozen=True)
class TensorError:
    """Error of one tensor over all images, everything before it included.

    sqnr: signal to quantization-noise power ratio in dB (infinite without error). largest: largest error. peak: largest
    magnitude of the float tensor. saturated: share of the integers at either end of int8.
    """

    name: str
    sqnr: float
    largest: float
    peak: float
    saturated: float


def match_layers(model: Classifier, network: IntegerNetwork) -> list[Layer]:
    """The float network's layers, which must be the nodes of `network`; else QuantizationError naming the first.

    Weights must be those that were quantized, if the network's metadata has their hash: older files have none.
    """
    layers, shapes = layers_of(model), network.shapes()
    other = f"the float network is not the one that became {network.name}:"
    for layer, node in zip(layers, network.nodes, strict=False):
        channels = shapes[node.name][0]
        if layer.name != node.name:
            raise QuantizationError(f"{other} layer {layer.name} stands in the place of {node.name}")
        if layer.channels != channels:
            raise QuantizationError(f"{other} {layer.name} has {layer.channels} channels, not {channels}")
    if len(layers) != len(network.nodes):
        raise QuantizationError(f"{other} {len(layers)} layers, not {len(network.nodes)}")
    if tuple(network.input_shape) != (3, model.resolution, model.resolution):
        raise QuantizationError(f"{other} {model.resolution} pixels per side, not {network.input_shape[1]}")
    if network.metadata.get("model_hash", own := network_hash(model)) != own:
        raise QuantizationError(f"{other} other weights")
    return layers


def compare(
    model: Classifier, network: IntegerNetwork, images: Iterable[np.ndarray], progress: Progress | None = None
) -> list[TensorError]:
    """Errors of all nodes' tensors in execution order, over some (R, R, 3) uint8 images.

    network: with the encodings in its metadata, as `quantize` puts them there. Raises QuantizationError without them,
    for images of another shape and for a model that is not the one that was quantized.
    """
    layers, encodings = match_layers(model, network), from_metadata(network)
    missing = [node.name for node in network.nodes if node.name not in encodings]
    if missing:
        raise QuantizationError(
            f"{network.name} has no encodings in its metadata, {missing[0]} for one: quantize it again"
        )
    pixels = check_images(images, model.resolution)
    executor, totals = BatchExecutor(network), {layer.name: np.zeros(6) for layer in layers}
    mean, std = (
        network.metadata.get(key, default) for key, default in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD))
    )
    for start in range(0, len(pixels), BATCH):
        batch = pixels[start : start + BATCH]
        integers = executor.tensors(batch)
        visits = [
            (
                model.get_submodule(layer.output),
                partial(_add, totals[layer.name], integers[layer.name], encodings[layer.name]),
            )
            for layer in layers
        ]
        run(model, batch, visits, batch=len(batch), mean=mean, std=std, what="errors")
        if progress:
            progress("errors", start + len(batch), len(pixels))
    return [
        TensorError(name, _decibel(signal, noise), largest, peak, ends / size)
        for name, (signal, noise, ends, size, largest, peak) in ((n, t.tolist()) for n, t in totals.items())
    ]


def _add(total: np.ndarray, q: np.ndarray, encoding: Encoding, _input: torch.Tensor, output: torch.Tensor) -> None:
    """Add a batch of one tensor to its sums and maxima. q: (N, C, H, W) integers."""
    expected = output.double().numpy().reshape(q.shape)
    scale, zero_point = (values.reshape(-1, 1, 1) for values in (encoding.scale, encoding.zero_point))
    error = np.abs((q - zero_point) * scale - expected)
    ends = np.iinfo(q.dtype)
    total[:4] += (expected**2).sum(), (error**2).sum(), ((q == ends.min) | (q == ends.max)).sum(), q.size
    total[4:] = np.maximum(total[4:], (error.max(), np.abs(expected).max()))


def _decibel(signal: float, noise: float) -> float:
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal else -math.inf
