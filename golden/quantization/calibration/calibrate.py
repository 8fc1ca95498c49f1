"""Calibration: images through the float network, ranges of every tensor that becomes integers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable

import numpy as np
import torch

from golden.network import weights
from golden.network.efficientvit import EfficientViT
from golden.network.preprocess import normalize
from golden.quantization.observers import MinMaxObserver, PercentileObserver, Range
from golden.quantization.plan import Layer
from golden.quantization.rules import TensorRule
from golden.quantization.settings import QuantizationError, Settings

Progress = Callable[[str, int, int], None]  # (what is running, images done, images in all)
OPERAND = ".operand"  # point: what goes into a layer's hardswish


def random_images(seed: int, count: int, resolution: int) -> list[np.ndarray]:
    """`count` seeded (R, R, 3) uint8 images for networks without data: random colour patches with fine noise."""
    return list(weights.random_images(count, resolution, seed).numpy())


def check_images(images: Iterable, resolution: int) -> np.ndarray:
    """(N, R, R, 3) uint8 from an iterable of images; raises QuantizationError naming the image that is wrong."""
    checked = []
    for number, image in enumerate(images):
        image = np.asarray(image)
        if image.shape != (resolution, resolution, 3) or image.dtype != np.uint8:
            raise QuantizationError(f"calibration image {number} must be uint8 ({resolution}, {resolution}, 3), "
                                    f"not {image.dtype} {image.shape}")
        checked.append(image)
    if not checked:
        raise QuantizationError("the calibration set is empty: at least one image is needed")
    return np.stack(checked)


def image_hash(images: np.ndarray) -> str:
    """SHA-256 of the pixels, in order, as hexadecimal."""
    return hashlib.sha256(np.ascontiguousarray(images).tobytes()).hexdigest()


def calibrate(model: EfficientViT, layers: list[Layer], rules: dict[str, TensorRule], images: np.ndarray,
              settings: Settings, mean, std, progress: Progress | None = None) -> dict[str, Range]:
    """Ranges by point: a tensor's name (groups as in its rule), NAME.operand, and NAME.{kv,sum,divisor}{branch} a head.

    images: (N, R, R, 3) uint8. With method "percentile" a second pass over the images clips the ranges of tensors;
    logits, hardswish operands and the attention's intermediates always keep their extremes.
    """
    groups = {layer.name: rules[layer.name].group if layer.name in rules else 0 for layer in layers}
    observers = {name: MinMaxObserver(name, group) for name, group in groups.items()}
    for layer in layers:
        if layer.operand:
            observers[layer.name + OPERAND] = MinMaxObserver(layer.name)
        if layer.kind == "attention":
            for point in attention_points(layer):
                observers[point] = MinMaxObserver(point, 1)
    _observe(model, layers, observers, images, settings.batch, mean, std, "ranges", progress)
    ranges = {name: observer.range() for name, observer in observers.items()}
    if settings.method == "percentile":
        clipped = {name: PercentileObserver(name, ranges[name], settings.percentile, rule.group)
                   for name, rule in rules.items()}
        _observe(model, layers, clipped, images, settings.batch, mean, std, "percentiles", progress)
        ranges.update((name, observer.range()) for name, observer in clipped.items())
    return ranges


def attention_points(layer: Layer) -> list[str]:
    """Names of the points inside an attention."""
    return [f"{layer.name}.{what}{branch}" for branch in range(len(layer.inputs)) for what in ("kv", "sum", "divisor")]


def attention_values(layer: Layer, module: torch.nn.Module, qkv: torch.Tensor) -> dict[str, torch.Tensor]:
    """(N, heads, ...) values of the points of one attention; qkv: all branches' channels."""
    q, k, v = module.split(qkv)
    sums = k.sum(3)
    products = {"kv": v @ k.transpose(2, 3), "sum": sums, "divisor": (q * sums[..., None]).sum(2)}
    return {f"{layer.name}.{what}{branch}": value[:, branch * layer.heads : (branch + 1) * layer.heads]
            for branch in range(len(layer.inputs)) for what, value in products.items()}


@torch.inference_mode()
def _observe(model, layers, observers, images, batch, mean, std, what, progress):
    hooks, training = [], model.training
    model.eval()
    try:
        for layer in layers:
            hooks += _hooks(model, layer, observers)
        for start in range(0, len(images), batch):
            model(normalize(torch.from_numpy(images[start : start + batch]), mean, std))
            if progress:
                progress(what, min(start + batch, len(images)), len(images))
    finally:
        for hook in hooks:
            hook.remove()
        model.train(training)


def _hooks(model, layer, observers):
    def on_output(_module, inputs, output):
        if layer.name in observers:
            observers[layer.name].observe(output)
        if layer.kind == "attention":
            for point, values in attention_values(layer, _module, inputs[0]).items():
                if point in observers:
                    observers[point].observe(values)

    def on_operand(_module, inputs):
        observers[layer.name + OPERAND].observe(inputs[0])

    yield model.get_submodule(layer.output).register_forward_hook(on_output)
    if layer.name + OPERAND in observers:
        yield model.get_submodule(layer.operand).register_forward_pre_hook(on_operand)
