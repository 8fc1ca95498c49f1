"""A scheme -> nodes of the integer network: the one way from float simulation to integers, for all methods."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from triovit.golden.integer.nodes import Attention, Convolution, LayerNorm, Node, Pool
from triovit.golden.network.graph import (
    ConvolutionLayer,
    Layer,
    LayerNormLayer,
    LinearAttentionLayer,
    PoolLayer,
)
from triovit.golden.quantization import divisor
from triovit.golden.quantization.records import RecordMaker, exact, exact_sum, half_up
from triovit.golden.quantization.scheme import Divisor, Scheme
from triovit.golden.quantization.settings import QuantizationError
from triovit.golden.quantization.weights.quantized import by_filter

LOG2_OFFSETS = (-32, 31)


def node(layer: Layer, scheme: Scheme) -> Node:
    """The integer node of a layer."""
    match layer:
        case ConvolutionLayer():
            return convolution(layer, scheme)
        case PoolLayer():
            return pool(layer, scheme)
        case LayerNormLayer():
            return layer_norm(layer, scheme)
        case LinearAttentionLayer():
            return attention(layer, scheme)


def convolution(layer: ConvolutionLayer, scheme: Scheme) -> Convolution:
    """A convolution or fully connected layer.

    The bias holds the float bias and both zero points; its rounding is off by at most half an accumulator step.
    """
    conv, weights = layer.folded, scheme.weights[layer.name]
    source, target = scheme.encodings[layer.input], scheme.encodings[layer.name]
    values, step = weights.values, exact(weights.step)
    zero = by_filter(source.zero_point, conv)
    # whole zero points: an exact sum; the input's is fractional and rounds with the bias
    shift = [exact_sum(w * z) for w, z in zip(values, np.broadcast_to(zero, values.shape), strict=True)]
    bias = [Fraction(float(b)) / s - c for b, s, c in zip(conv.bias, step, shift, strict=True)]
    records = RecordMaker(layer.name, scheme.power_of_two)
    if layer.residual is None:
        post = records.requantize(layer.activation, bias, step, target, weights.fraction_bits)
    else:
        post = records.residual(bias, step, target, scheme.encodings[layer.residual])
    padding = np.rint(source.zero_point).astype(np.int64) if conv.padding else np.zeros(0, dtype=np.int64)
    return Convolution(
        layer.name,
        layer.input,
        values.astype(np.int8 if np.abs(values).max() < 128 else np.int16),
        post,
        conv.stride,
        conv.padding,
        padding,
        conv.groups,
        layer.residual,
        weights.bits,
        weights.apot,
        weights.apot_filters,
    )


def pool(layer: PoolLayer, scheme: Scheme) -> Pool:
    """Global average pool: 1 / pixels is in the records, the zero point of every pixel in the bias."""
    source, target = scheme.encodings[layer.input], scheme.encodings[layer.name]
    step = [scale / layer.pixels for scale in exact(source.scale)]
    bias = [Fraction(-layer.pixels * int(z)) for z in source.zero_point]
    post = RecordMaker(layer.name, scheme.power_of_two).requantize("linear", bias, step, target)
    return Pool(layer.name, layer.input, post)


def layer_norm(layer: LayerNormLayer, scheme: Scheme) -> LayerNorm:
    """LayerNorm. The input's zero point and scale cancel, but for epsilon = eps * N**2 / scale**2 (N channels)."""
    source, target = scheme.encodings[layer.input], scheme.encodings[layer.name]
    channels, scale, weights = len(layer.gamma), Fraction(float(source.scale[0])), scheme.weights[layer.name]
    epsilon = half_up(Fraction(layer.eps) * channels**2 / scale**2)
    if epsilon >= 1 << 32:
        raise QuantizationError(
            f"{layer.name}: eps {layer.eps} is too large beside inputs of step {float(scale):g} (32 bits hold eps * "
            f"{channels}**2 / step**2): what it reads is nearly constant, look at the layer before it"
        )
    step = exact(weights.step)
    bias = [Fraction(float(b)) / step[0] for b in layer.beta]
    post = RecordMaker(layer.name, scheme.power_of_two).requantize(
        layer.activation, bias, step * channels, target, weights.fraction_bits
    )
    return LayerNorm(layer.name, layer.input, weights.values[0].astype(np.int8), epsilon, post)


def attention(layer: LinearAttentionLayer, scheme: Scheme) -> Attention:
    """Linear attention. K^T V and row sums have a scale per head; one log2 offset per branch, or a uniform divisor.

    The output's dividend is acc * s_kv * 2**offset / (s_sum * s_out): the scale of q cancels. Scales of a head are
    those of its first channel: the others have the same factors to them on both sides of every record.
    """
    settings, target = scheme.settings, scheme.encodings[layer.name]
    outputs, zero_points = (
        values.reshape(len(layer.inputs), layer.heads, layer.dim)[:, :, 0]
        for values in (target.scale, target.zero_point)
    )
    product, key_sum, divide, offsets, divisors = [], [], [], [], []
    for branch, name in enumerate(layer.inputs):
        found = divisor.branch_scales(layer, branch, scheme.encodings[name], scheme.ranges, scheme.power_of_two)
        choice = scheme.divisors[layer.name][branch] if layer.name in scheme.divisors else Divisor()
        records = RecordMaker(f"{layer.name} branch {branch}", scheme.power_of_two)
        product.append(records.plain([k * v / s for k, v, s in zip(found.k, found.v, found.kv, strict=True)]))
        key_sum.append(records.plain([k / s for k, s in zip(found.k, found.sum, strict=True)]))
        output = exact(outputs[branch])
        gain = [Fraction(1)] * layer.heads if choice.gain is None else exact(choice.gain)
        ratios = [kv * g / (s * o) for kv, g, s, o in zip(found.kv, gain, found.sum, output, strict=True)]
        if settings.divisor == "uniform":
            factor = divisor.uniform_ratios(found, scheme.power_of_two)
            divisors.append(records.plain(factor))
        else:
            offset = divisor.largest_offset(found) if choice.offset is None else choice.offset
            offset = min(offset, divisor.reachable_offset(ratios, scheme.power_of_two))
            offsets.append(min(max(offset, LOG2_OFFSETS[0]), LOG2_OFFSETS[1]))
            factor = [Fraction(2) ** offsets[-1]] * layer.heads
        divide.append(records.plain([r * f for r, f in zip(ratios, factor, strict=True)], zero_points[branch]))
    return Attention(
        layer.name,
        layer.inputs,
        layer.heads,
        layer.dim,
        tuple(product),
        tuple(key_sum),
        tuple(divide),
        tuple(offsets),
        scheme.key_apot,
        settings.divisor,
        tuple(divisors),
    )
