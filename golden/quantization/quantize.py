"""The quantizer: float network and calibration images in, integer network out."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from triovit.golden.data.images import CROP, IMAGENET_MEAN, IMAGENET_STD
from triovit.golden.identity import network_hash
from triovit.golden.integer.errors import NetworkError
from triovit.golden.integer.network import INPUT, IntegerNetwork
from triovit.golden.integer.serialize import check_texts
from triovit.golden.network.architectures import layers_of
from triovit.golden.network.classifier import Classifier
from triovit.golden.network.graph import ConvolutionLayer, Layer, WeightedLayer
from triovit.golden.quantization import equalization, export, power_of_two
from triovit.golden.quantization.calibration.calibrate import Progress, calibrate
from triovit.golden.quantization.calibration.few_images import widen
from triovit.golden.quantization.calibration.images import calibration_metadata, check_images
from triovit.golden.quantization.calibration.observers import Range
from triovit.golden.quantization.divisor_search import search_divisors
from triovit.golden.quantization.doubts import doubts
from triovit.golden.quantization.encoding import Encoding, encode_range, logit_encoding, pixel_encoding, to_metadata
from triovit.golden.quantization.reconstruction.reconstruct import reconstruct
from triovit.golden.quantization.rules import TensorRule, tensor_rules
from triovit.golden.quantization.scheme import Scheme
from triovit.golden.quantization.settings import QuantizationError, Settings
from triovit.golden.quantization.weights.layers import correct_bias, needs_moments, quantize_layer
from triovit.golden.quantization.weights.moments import measure_moments
from triovit.golden.torch_modes import plain_modes

FORMAT = torch.contiguous_format


@dataclass(frozen=True)
class Quantization:
    """The integer network, and what its tensors mean: an encoding for each, the input's and the logits' included."""

    network: IntegerNetwork
    scheme: Scheme

    @property
    def layers(self) -> tuple[Layer, ...]:
        return self.scheme.layers

    @property
    def encodings(self) -> dict[str, Encoding]:
        return self.scheme.encodings


def quantize(
    model: Classifier,
    images: Iterable[np.ndarray],
    *,
    name: str,
    classes: Iterable[str] = (),
    settings: Settings | None = None,
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    crop: float = CROP,
    progress: Progress | None = None,
) -> IntegerNetwork:
    """Quantize a float network to 8 bits (divisors of attention: 4-bit log2).

    model: of any architecture, size and class count. images: (R, R, 3) uint8 arrays, R the model's resolution; some
    hundreds from the training set, or `calibration.images.random_images`. name, classes: of the result (no classes, or
    one a logit). settings: default `Settings()`. mean, std: the model's normalization of pixels / 255. crop: of the
    images, for the metadata: those who run the network prepare their images alike. progress: called
    with (what, images done, images in all). The result is validated; its metadata says how it was made, and
    `logit_scale` turns its logits into real numbers. Raises QuantizationError, one line, for an empty or ill-shaped
    calibration set and for activations that are not finite; GraphError for weights that are not, and for a network of
    no architecture; NetworkError, before any work, for names that no file holds.
    """
    return quantize_model(
        model, images, name=name, classes=classes, settings=settings, mean=mean, std=std, crop=crop, progress=progress
    ).network


@plain_modes()
@torch.inference_mode(False)
@torch.enable_grad()
def quantize_model(
    model: Classifier,
    images: Iterable[np.ndarray],
    *,
    name: str,
    classes: Iterable[str] = (),
    settings: Settings | None = None,
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    crop: float = CROP,
    progress: Progress | None = None,
) -> Quantization:
    """`quantize`, with the encodings that `compare` needs."""
    settings, classes = settings or Settings(), tuple(classes)
    layers = layers_of(model)
    model = _ordinary(model)
    if classes and len(classes) != model.n_classes:
        raise QuantizationError(f"classes must name all {model.n_classes} outputs, not {len(classes)}")
    check_texts(name, classes)
    checked = check_images(images, model.resolution, progress)
    scheme = make_scheme(model, layers, checked, settings, mean, std, progress)
    nodes = tuple(export.node(layer, scheme) for layer in scheme.layers)
    metadata = {
        "preset": model.preset.name,
        "resolution": model.resolution,
        "mean": [float(m) for m in mean],
        "std": [float(s) for s in std],
        "crop": float(crop),
        "model_hash": network_hash(model),
        "computed_with": computed_with(),
        "settings": settings.to_dict(),
        **calibration_metadata(images, checked),
        "logit_scale": float(scheme.encodings[layers[-1].name].scale[0]),
        "encodings": to_metadata(scheme.encodings),
    }
    if scheme.factors:
        metadata["equalized"] = {name: equalization.outliers(factors) for name, factors in scheme.factors.items()}
    if scheme.doubts:
        metadata["warnings"] = list(scheme.doubts)
    if scheme.reconstruction:
        metadata["reconstruction"] = [dataclasses.asdict(result) for result in scheme.reconstruction]
    network = IntegerNetwork(name, (3, model.resolution, model.resolution), nodes, classes, metadata)
    try:
        return Quantization(network.validate(), scheme)
    except NetworkError as error:
        raise QuantizationError(f"the quantized network breaks a rule of the hardware: {error}") from None


def computed_with() -> dict:
    """What float sums, and so a few integers of a network, depend on beside its inputs: the version of PyTorch, the
    CPU's instructions that it uses, and threads."""
    return {
        "torch": torch.__version__,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
    }


def _ordinary(model: Classifier) -> Classifier:
    """The model, or a copy with tensors in the ordinary memory format, as they are read of a file: sums that round are
    taken in another order in `channels_last`. Raises QuantizationError for parameters that are not float32 on the CPU.
    """
    for name, tensor in model.named_parameters():
        if tensor.dtype != torch.float32 or tensor.device.type != "cpu":
            raise QuantizationError(
                f"{name} must be float32 on the CPU, not {str(tensor.dtype)[6:]} on {tensor.device}: give "
                "model.float().cpu()"
            )
    tensors = (*model.parameters(), *model.buffers())
    if all(tensor.stride() == torch.empty_like(tensor, memory_format=FORMAT).stride() for tensor in tensors):
        return model
    model = copy.deepcopy(model)
    for tensor in (*model.parameters(), *model.buffers()):
        tensor.data = torch.empty_like(tensor, memory_format=FORMAT).copy_(tensor.data)
    return model


def make_scheme(
    model: Classifier,
    layers: Sequence[Layer],
    images: np.ndarray,
    settings: Settings,
    mean,
    std,
    progress: Progress | None = None,
) -> Scheme:
    """Calibrate, and decide scales, weights and divisors; images: (N, R, R, 3) uint8."""
    rules = tensor_rules(layers, settings)
    observed = calibrate(model, layers, rules, images, settings, mean, std, progress)
    factors = equalization.outlier_factors(layers, observed) if settings.equalization else {}
    ranges = equalization.divide_ranges(layers, rules, observed, factors)
    if settings.widening:
        ranges |= {name: widen(ranges[name], len(images)) for name in rules}
    encodings = _encodings(model, layers, rules, ranges, factors, settings, images, mean, std, progress)
    moments = measure_moments(model, layers, images, mean, std, progress) if needs_moments(settings) else {}
    weights = {
        layer.name: quantize_layer(layer, encodings, ranges, settings, moments.get(layer.name))
        for layer in layers
        if isinstance(layer, WeightedLayer)
    }
    if settings.bias_correction:
        layers = [
            correct_bias(layer, weights[layer.name], encodings[layer.input], moments[layer.name])
            if isinstance(layer, ConvolutionLayer)
            else layer
            for layer in layers
        ]
    scheme = Scheme(settings, tuple(layers), ranges, encodings, weights, factors)
    scheme = dataclasses.replace(scheme, doubts=doubts(scheme, rules, observed, len(images)))
    scheme = _with_divisors(model, scheme, images, mean, std, progress)
    if settings.reconstruction != "none":
        scheme, results = reconstruct(model, scheme, images, mean, std, progress)
        scheme = dataclasses.replace(scheme, reconstruction=results)
        scheme = _with_divisors(model, scheme, images, mean, std, progress)  # scales have changed
    return scheme


def _with_divisors(
    model: Classifier, scheme: Scheme, images: np.ndarray, mean, std, progress: Progress | None
) -> Scheme:
    """The scheme with searched divisors, where its settings ask for that."""
    if not scheme.settings.divisor_search and not scheme.settings.divisor_gain:
        return scheme
    return dataclasses.replace(scheme, divisors=search_divisors(model, scheme, images, mean, std, progress))


def _encodings(
    model: Classifier,
    layers: Sequence[Layer],
    rules: dict[str, TensorRule],
    ranges: dict[str, Range],
    factors: dict[str, np.ndarray],
    settings: Settings,
    images: np.ndarray,
    mean,
    std,
    progress: Progress | None,
) -> dict[str, Encoding]:
    """Encodings of all tensors, the input's and the logits' included. ranges: with the factors taken out."""
    logits = layers[-1]
    shift_only = settings.scales == "power-of-two"
    smoothing = {}
    if settings.smoothing:
        smoothing = {
            layer.name: power_of_two.smoothing_factors(
                layer, layers, ranges[layer.name], settings.smoothing_exponent, factors.get(layer.name, 1.0)
            )
            for layer in layers[:-1]
            if rules[layer.name].group == 1 and rules[layer.name].scales == 1
        }
    if shift_only:
        encodings = power_of_two.search_encodings(
            model, layers, rules, ranges, smoothing, images, mean, std, settings, progress, factors
        )
    else:
        encodings = {INPUT: pixel_encoding(mean, std)}
        encodings |= {
            layer.name: encode_range(ranges[layer.name], rules[layer.name], smoothing.get(layer.name)).times(
                factors.get(layer.name)
            )
            for layer in layers[:-1]
        }
    encodings[logits.name] = logit_encoding(ranges[logits.name], logits.channels, shift_only)
    return encodings
