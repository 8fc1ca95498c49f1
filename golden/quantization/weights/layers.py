"""The weights of all layers, by the scheme that the settings give each kind of layer."""

from __future__ import annotations

import math

import numpy as np

from triovit.golden.integer import arithmetic
from triovit.golden.integer.apot import ApotFormat
from triovit.golden.network.graph import ConvolutionLayer, LayerNormLayer, WeightedLayer
from triovit.golden.quantization.calibration.calibrate import OPERAND
from triovit.golden.quantization.calibration.observers import Range
from triovit.golden.quantization.encoding import Encoding, fraction_bits
from triovit.golden.quantization.settings import Settings
from triovit.golden.quantization.weights import additive, steps, uniform
from triovit.golden.quantization.weights.moments import Moments
from triovit.golden.quantization.weights.quantized import QuantizedWeights, by_filter


def needs_moments(settings: Settings) -> bool:
    """Whether steps are chosen, or biases corrected, by the error of a layer's output."""
    return settings.scales == "power-of-two" or settings.depthwise_bits < 8 or settings.bias_correction


def quantize_layer(
    layer: WeightedLayer,
    encodings: dict[str, Encoding],
    ranges: dict[str, Range],
    settings: Settings,
    moments: Moments | None = None,
) -> QuantizedWeights:
    """Integer weights of a convolution or LayerNorm.

    encodings: of the layer's input, output and residual tensors. The input's scales are multiplied into the weights
    before rounding (for a depthwise layer this is channel-wise migration, for the first layer the normalization of
    pixels). moments: of the input; with them steps are searched by output error where `needs_moments` says so.
    """
    fraction = operand_bits(layer, encodings[layer.input], ranges, settings)
    weight, bits = _real_weights(layer, encodings[layer.input]), weight_bits(layer, settings)
    if isinstance(layer, LayerNormLayer):
        unit = np.array([2.0**-fraction])
        rule = steps.StepRule(unit, np.abs(layer.beta).max(keepdims=True), _exponents(settings))
        values, step, _ = uniform.quantize_uniform(weight, rule)
        return QuantizedWeights(values, step, fraction_bits=fraction)
    conv = layer.folded
    rule = step_rule(layer, encodings, settings, fraction)
    error = None
    if moments is not None and (rule.power_of_two or bits < 8):
        error = moments.output_error(_columns(layer, encodings[layer.input]))
    norm = settings.norm if settings.weight_observer == "lp" else None
    values, step, squared = uniform.quantize_uniform(weight, rule, bits, norm=norm, error=error)
    result = QuantizedWeights(values.reshape(conv.weight.shape), step, bits, fraction_bits=fraction)
    if not settings.apot_share or not layer.pointwise:
        return result
    apot = ApotFormat(settings.apot_exponent_bits)
    levels, level_step, level_squared = additive.quantize_additive(weight, rule, apot, error or steps.squared_error)
    chosen = additive.choose_filters(level_squared, squared, settings.apot_share)
    values = np.where(chosen[:, None], levels, values).reshape(conv.weight.shape)
    return QuantizedWeights(values, np.where(chosen, level_step, step), bits, apot, chosen, fraction)


def step_rule(
    layer: ConvolutionLayer, encodings: dict[str, Encoding], settings: Settings, fraction: int
) -> steps.StepRule:
    """Limits of the accumulator steps of a convolution layer; fraction: bits of its hardswish operand."""
    conv, target = layer.folded, encodings[layer.name]
    residual = encodings[layer.residual] if layer.residual else None
    offset = 0.0 if residual is None else residual.zero_point * residual.scale
    hardswish = layer.activation == "hardswish"
    unit = np.full(len(conv.bias), 2.0**-fraction) if hardswish else target.scale
    # A residual term is shifted left to the accumulator's step, so that this may not be larger than the residual's.
    most = 1.0 if residual is None else np.minimum(1.0, residual.scale / target.scale)
    return steps.StepRule(unit, np.abs(conv.bias - offset), _exponents(settings), most)


def operand_bits(layer: WeightedLayer, source: Encoding, ranges: dict[str, Range], settings: Settings) -> int:
    """Fraction bits of a layer's hardswish operand, 0 without one. source: of the layer's input.

    Where requantization is a shift, the operand may not be finer than the coarsest filter's accumulator, twice its step
    included: a shift cannot multiply.
    """
    if layer.activation != "hardswish":
        return 0
    most = fraction_bits(layer.name, ranges[layer.name + OPERAND])
    if settings.scales == "power-of-two":
        largest = float(np.abs(_real_weights(layer, source)).max())
        full = max(largest / uniform.limit(weight_bits(layer, settings)), 2.0 ** -(most + 1))
        most = min(most, max(math.floor(-math.log2(full)) - 1, 0))
    return most


def correct_bias(
    layer: ConvolutionLayer, weights: QuantizedWeights, source: Encoding, moments: Moments
) -> ConvolutionLayer:
    """The layer with a bias that takes back the mean output error of its integer weights."""
    conv = layer.folded
    difference = (weights.real(conv, source) - conv.weight).reshape(len(conv.weight), -1)
    return layer.with_bias(conv.bias - moments.mean_error(difference))


def _exponents(settings: Settings) -> str | None:
    return settings.exponents if settings.scales == "power-of-two" else None


def weight_bits(layer: WeightedLayer, settings: Settings) -> int:
    """Bits of a layer's uniform weights."""
    return settings.depthwise_bits if isinstance(layer, ConvolutionLayer) and layer.depthwise else 8


def _columns(layer: ConvolutionLayer, source: Encoding) -> np.ndarray:
    """(F, n) scales of the inputs that a convolution's weights meet."""
    conv = layer.folded
    return np.broadcast_to(by_filter(source.scale, conv), conv.weight.shape).reshape(len(conv.weight), -1)


def _real_weights(layer: WeightedLayer, source: Encoding) -> np.ndarray:
    """(F, n) weights with the input's scales multiplied in."""
    if isinstance(layer, LayerNormLayer):
        return layer.gamma[None] * 2.0**-arithmetic.LAYER_NORM_FRACTION_BITS
    columns = _columns(layer, source)
    return layer.folded.weight.reshape(columns.shape) * columns
