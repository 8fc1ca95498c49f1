"""The quantizer: float network and calibration images in, integer network out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from golden.integer.network import INPUT, IntegerNetwork, NetworkError
from golden.network.efficientvit import EfficientViT
from golden.network.preprocess import IMAGENET_MEAN, IMAGENET_STD
from golden.quantization import export
from golden.quantization.calibrate import Progress, calibrate, check_images, image_hash
from golden.quantization.encoding import Encoding, encode_range, pixel_encoding
from golden.quantization.plan import Layer, plan
from golden.quantization.rules import tensor_rules
from golden.quantization.settings import QuantizationError, Settings


@dataclass(frozen=True)
class Quantization:
    """The integer network, and what its tensors mean: an encoding for each, the input's and the logits' included."""

    network: IntegerNetwork
    layers: tuple[Layer, ...]
    encodings: dict[str, Encoding]


def quantize(model: EfficientViT, images: Iterable[np.ndarray], *, name: str, classes: Iterable[str] = (),
             settings: Settings | None = None, mean=IMAGENET_MEAN, std=IMAGENET_STD,
             progress: Progress | None = None) -> IntegerNetwork:
    """Quantize a float network to 8 bits (divisors of attention: 4-bit log2).

    model: any size and class count. images: (R, R, 3) uint8 arrays, R the model's resolution; some hundreds from the
    training set, or `calibrate.random_images`. name, classes: of the result (no classes, or one for each logit).
    settings: default `Settings()`. mean, std: the model's normalization of pixels / 255. progress: called with (what,
    images done, images in all). The result is validated; its metadata says how it was made, and `logit_scale`
    turns its logits into real numbers. Raises QuantizationError, one line, for an empty or ill-shaped calibration
    set and for weights or activations that are not finite.
    """
    return quantize_model(model, images, name=name, classes=classes, settings=settings, mean=mean, std=std,
                          progress=progress).network


def quantize_model(model: EfficientViT, images: Iterable[np.ndarray], *, name: str, classes: Iterable[str] = (),
                   settings: Settings | None = None, mean=IMAGENET_MEAN, std=IMAGENET_STD,
                   progress: Progress | None = None) -> Quantization:
    """`quantize`, with the encodings that `compare` needs."""
    settings, classes = settings or Settings(), tuple(classes)
    layers = plan(model)
    if classes and len(classes) != model.n_classes:
        raise QuantizationError(f"classes must name all {model.n_classes} outputs, not {len(classes)}")
    checked = check_images(images, model.resolution)
    channels = _channels(layers)
    rules = tensor_rules(layers, channels, settings)
    ranges = calibrate(model, layers, rules, checked, settings, mean, std, progress)
    encodings = {INPUT: pixel_encoding(mean, std)}
    encodings |= {layer.name: encode_range(ranges[layer.name], rules[layer.name]) for layer in layers[:-1]}
    encodings[layers[-1].name] = export.logit_encoding(ranges[layers[-1].name], model.n_classes)
    pixels = (model.resolution // 32) ** 2  # of the only pool's input
    nodes = tuple(export.node(layer, encodings, ranges, pixels) for layer in layers)
    metadata = {
        "preset": model.preset.name, "resolution": model.resolution, "mean": list(mean), "std": list(std),
        "settings": settings.to_dict(), "calibration_images": len(checked), "calibration_sha256": image_hash(checked),
        "logit_scale": float(encodings[layers[-1].name].scale[0]),
    }
    network = IntegerNetwork(name, (3, model.resolution, model.resolution), nodes, classes, metadata)
    try:
        return Quantization(network.validate(), tuple(layers), encodings)
    except NetworkError as error:
        raise QuantizationError(f"the quantized network breaks a rule of the hardware: {error}") from None


def _channels(layers: list[Layer]) -> dict[str, int]:
    """Channels of every tensor."""
    channels: dict[str, int] = {INPUT: 3}
    for layer in layers:
        match layer.kind:
            case "convolution":
                channels[layer.name] = len(layer.convolution.bias)
            case "attention":
                channels[layer.name] = len(layer.inputs) * layer.heads * layer.dim
            case _:
                channels[layer.name] = channels[layer.inputs[0]]
    return channels
