"""Float network against integer network, tensor by tensor: where a quantization loses its accuracy."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from golden.integer.execute import execute, pixels_to_input
from golden.network.efficientvit import EfficientViT
from golden.network.preprocess import normalize
from golden.quantization.quantize import Quantization


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


@torch.inference_mode()
def float_tensors(model: EfficientViT, quantization: Quantization, image: np.ndarray) -> dict[str, np.ndarray]:
    """The float tensor (C, H, W) that stands for each node's, for one (R, R, 3) uint8 image."""
    tensors, hooks = {}, []
    for layer in quantization.layers:
        def record(_module, _inputs, output, name=layer.name):
            value = output[0].double().numpy()
            tensors[name] = value.reshape(len(value), *(value.shape[1:] or (1, 1)))
        hooks.append(model.get_submodule(layer.output).register_forward_hook(record))
    try:
        metadata = quantization.network.metadata
        model(normalize(torch.from_numpy(np.asarray(image)[None]), metadata["mean"], metadata["std"]))
    finally:
        for hook in hooks:
            hook.remove()
    return tensors


def compare(model: EfficientViT, quantization: Quantization, images: Iterable[np.ndarray]) -> list[TensorError]:
    """Errors of all nodes' tensors in execution order, over some (R, R, 3) uint8 images."""
    totals: dict[str, np.ndarray] = {layer.name: np.zeros(6) for layer in quantization.layers}
    for image in images:
        integers = execute(quantization.network, pixels_to_input(np.asarray(image)), keep=True)
        for name, expected in float_tensors(model, quantization, image).items():
            q = integers[name]
            error = np.abs(quantization.encodings[name].decode(q.astype(np.int64)) - expected)
            ends = np.iinfo(q.dtype)
            total = totals[name]
            total[:4] += (expected**2).sum(), (error**2).sum(), ((q == ends.min) | (q == ends.max)).sum(), q.size
            total[4:] = np.maximum(total[4:], (error.max(), np.abs(expected).max()))
    return [TensorError(name, _decibel(signal, noise), largest, peak, ends / size)
            for name, (signal, noise, ends, size, largest, peak) in ((n, t.tolist()) for n, t in totals.items())]


def format_table(errors: Iterable[TensorError]) -> str:
    """The errors as lines of text."""
    lines = [f"{'tensor':<62} {'SQNR dB':>8} {'largest':>9} {'peak':>9} {'at ends':>8}"]
    lines += [f"{e.name:<62} {e.sqnr:8.1f} {e.largest:9.3g} {e.peak:9.3g} {100 * e.saturated:7.2f}%" for e in errors]
    return "\n".join(lines)


def _decibel(signal: float, noise: float) -> float:
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal else -math.inf
