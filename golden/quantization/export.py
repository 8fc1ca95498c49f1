"""Folded layers and encodings -> nodes of the integer network. Ratios of scales are exact until made dyadic."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from golden.integer import arithmetic
from golden.integer.network import Attention, Convolution, LayerNorm, Node, Pool, PostParameters
from golden.quantization.calibrate import OPERAND
from golden.quantization.encoding import LARGEST, Encoding
from golden.quantization.observers import Range
from golden.quantization.plan import Layer
from golden.quantization.settings import MAX_FRACTION_BITS, QuantizationError

LARGEST_BIAS = 2**30  # leaves as much of the int32 accumulator to the psums
SMALLEST_STEP = Fraction(1, 2**30)  # of an accumulator, in steps of what it is requantized to
RESIDUAL_SHIFT = 25  # keeps the residual term, 24 bits shifted, within arithmetic.PRODUCT_BITS
LOGIT_HEADROOM = 2  # logits of other images may be larger than those of calibration
DIVISOR_HEADROOM = Fraction(5, 4)  # likewise for divisors


def convolution(layer: Layer, source: Encoding, target: Encoding, ranges: dict[str, Range],
                residual: Encoding | None = None) -> Convolution:
    """A convolution or fully connected layer. target: of its output; residual: of the tensor it adds.

    The input's scales are multiplied into the weights (for a depthwise layer this is channel-wise migration, for
    the first layer the normalization of pixels), which are then rounded to [-127, 127] with a scale a filter; that
    scale is the accumulator's step. The bias holds the float bias and both zero points; its rounding is off by at most
    half an accumulator step.
    """
    conv, name = layer.convolution, layer.name
    offset = np.zeros(len(conv.bias)) if residual is None else -residual.zero_point * residual.scale
    bits = _fraction_bits(ranges, layer)
    unit = [Fraction(1, 1 << bits)] * len(conv.bias) if layer.activation == "hardswish" else _exact(target.scale)
    weight, step = quantize_weights(conv.weight * _by_filter(source.scale, conv), np.abs(conv.bias + offset), unit)
    zero = _by_filter(source.zero_point, conv)
    # whole zero points: an exact sum; the input's is fractional and rounds with the bias
    shift = [_exact_sum(w * z) for w, z in zip(weight, np.broadcast_to(zero, weight.shape), strict=True)]
    bias = [Fraction(float(b)) / s - c for b, s, c in zip(conv.bias, step, shift, strict=True)]
    if residual is None:
        post = _records(name, layer.activation, bias, step, target, bits)
    else:
        post = _residual_records(name, bias, step, target, residual)
    return Convolution(
        name, layer.inputs[0], weight.astype(np.int8), post, conv.stride, conv.padding,
        np.rint(source.zero_point).astype(np.int64) if conv.padding else np.zeros(0, dtype=np.int64), conv.groups,
        layer.residual)


def pool(layer: Layer, source: Encoding, target: Encoding, pixels: int) -> Pool:
    """Global average pool: 1 / pixels is in the dyadic pair, the zero point of every pixel in the bias."""
    step = [scale / pixels for scale in _exact(source.scale)]
    bias = [Fraction(-pixels * int(z)) for z in source.zero_point]
    return Pool(layer.name, layer.inputs[0], _records(layer.name, "linear", bias, step, target, 0))


def layer_norm(layer: Layer, source: Encoding, target: Encoding, ranges: dict[str, Range]) -> LayerNorm:
    """LayerNorm. The input's zero point and scale cancel, but for epsilon = eps * N**2 / scale**2 (N channels)."""
    channels, scale = len(layer.gamma), Fraction(float(source.scale[0]))
    epsilon = _round(Fraction(layer.eps) * channels**2 / scale**2)
    if epsilon >= 1 << 32:
        raise QuantizationError(f"{layer.name}: eps {layer.eps} is too large beside inputs of step {float(scale):g}")
    unit = 2.0**-arithmetic.LAYER_NORM_FRACTION_BITS
    weight, step = quantize_weights(layer.gamma[None] * unit, np.abs(layer.beta).max(keepdims=True), [SMALLEST_STEP])
    bias = [Fraction(float(b)) / step[0] for b in layer.beta]
    bits = _fraction_bits(ranges, layer)
    post = _records(layer.name, layer.activation, bias, step * channels, target, bits)
    return LayerNorm(layer.name, layer.inputs[0], weight[0].astype(np.int8), epsilon, post)


def attention(layer: Layer, sources: list[Encoding], target: Encoding, ranges: dict[str, Range]) -> Attention:
    """ReLU linear attention. K^T V and row sums have a scale a head; one log2 offset a branch.

    The offset puts the largest calibrated divisor, with a quarter of headroom, on code 15; divisors too small for the
    16 codes clip to code 0. The output's dividend is acc * s_kv * 2**offset / (s_sum * s_out): the scale of q cancels.
    """
    product, key_sum, divide, offsets = [], [], [], []
    for branch, source in enumerate(sources):
        q_scale, k_scale, v_scale = (_exact(source.scale[i * layer.dim :: 3 * layer.dim]) for i in range(3))
        kv_scale, sum_scale = (_head_scales(ranges[f"{layer.name}.{what}{branch}"].bound) for what in ("kv", "sum"))
        largest = [Fraction(float(d)) for d in ranges[f"{layer.name}.divisor{branch}"].high]
        largest = max(d / (q * s) for d, q, s in zip(largest, q_scale, sum_scale, strict=True)) * DIVISOR_HEADROOM
        offset = arithmetic.MAX_DIVISOR_CODE - int(arithmetic.log2_round(math.ceil(largest)))
        gain = Fraction(2) ** offset
        out = _exact(target.scale[: layer.heads])
        name = f"{layer.name} branch {branch}"
        product.append(_plain(name, [k * v / s for k, v, s in zip(k_scale, v_scale, kv_scale, strict=True)]))
        key_sum.append(_plain(name, [k / s for k, s in zip(k_scale, sum_scale, strict=True)]))
        divide.append(_plain(name, [kv * gain / (s * o) for kv, s, o in zip(kv_scale, sum_scale, out, strict=True)],
                             target.zero_point[: layer.heads]))
        offsets.append(offset)
    return Attention(layer.name, layer.inputs, layer.heads, layer.dim, tuple(product), tuple(key_sum), tuple(divide),
                     tuple(offsets))


def logit_encoding(found: Range, classes: int) -> Encoding:
    """One scale for all classes, so that the largest integer is the largest logit."""
    largest = float(found.bound.max()) or 1.0
    return Encoding(np.full(classes, LOGIT_HEADROOM * largest / (2**15 - 1)), np.zeros(classes, dtype=np.int64))


def node(layer: Layer, encodings: dict[str, Encoding], ranges: dict[str, Range], pixels: int) -> Node:
    """The node of a layer, from the encodings of all tensors up to its own. pixels: H * W of its input."""
    sources, target = [encodings[name] for name in layer.inputs], encodings[layer.name]
    match layer.kind:
        case "convolution":
            return convolution(layer, sources[0], target, ranges, encodings.get(layer.residual))
        case "pool":
            return pool(layer, sources[0], target, pixels)
        case "norm":
            return layer_norm(layer, sources[0], target, ranges)
        case "attention":
            return attention(layer, sources, target, ranges)
    raise QuantizationError(f"{layer.name}: no rule for a layer of kind {layer.kind!r}")


def quantize_weights(weight: np.ndarray, bias: np.ndarray, unit: list[Fraction]) -> tuple[np.ndarray, list[Fraction]]:
    """Integers in [-127, 127], round half up, and the step of each filter (row of `weight`).

    bias: largest real magnitude that the filter's int32 bias has to hold. unit: step of what the accumulator becomes.
    The step is the largest weight / 127, unless the bias would not fit, or the ratio of steps would not be a dyadic
    number (a filter of zeros, or nearly).
    """
    largest = np.abs(weight).reshape(len(weight), -1).max(axis=1)
    step = [max(Fraction(float(w)) / LARGEST, Fraction(float(b)) / LARGEST_BIAS, u * SMALLEST_STEP)
            for w, b, u in zip(largest, bias, unit, strict=True)]
    scale = np.array([float(s) for s in step]).reshape(-1, *[1] * (weight.ndim - 1))
    step = [Fraction(float(s)) for s in step]
    return np.clip(np.floor(weight / scale + 0.5), -LARGEST, LARGEST).astype(np.int64), step


def _by_filter(values: np.ndarray, conv) -> np.ndarray:
    """Values of the input channels as an array that broadcasts with the weights (Cout, Cin / groups, k, k)."""
    groups = values.reshape(conv.groups, conv.weight.shape[1])
    return groups.repeat(len(conv.weight) // conv.groups, axis=0)[:, :, None, None]


def _fraction_bits(ranges: dict[str, Range], layer: Layer) -> int:
    """As many as leave room for the largest operand; below -3 hardswish is 0, so that saturating there is exact."""
    if layer.activation != "hardswish":
        return 0
    largest = max(float(ranges[layer.name + OPERAND].high.max()), 3.0)
    bits = arithmetic.FIXED_POINT_BITS - 1 - math.frexp(largest)[1]
    if bits < 0:
        raise QuantizationError(f"{layer.name}: hardswish operands reach {largest:g}, beyond 16-bit fixed point")
    return min(bits, MAX_FRACTION_BITS)


def _records(name: str, activation: str, bias: list[Fraction], step: list[Fraction], target: Encoding,
             bits: int) -> PostParameters:
    scale = _exact(target.scale)
    records = {"bias": [_round(b) for b in bias], "zero_point": target.zero_point}
    if activation == "hardswish":
        records["m1"], records["n1"] = _pairs(name, [s * (1 << bits) for s in step])
        records["m2"], records["n2"] = _pairs(name, [1 / (6 * (1 << 2 * bits) * s) for s in scale])
    else:
        records["m1"], records["n1"] = _pairs(name, [s / t for s, t in zip(step, scale, strict=True)])
    return PostParameters.create(len(bias), activation=activation, fraction_bits=bits, **records)


def _residual_records(name: str, bias: list[Fraction], step: list[Fraction], target: Encoding,
                      residual: Encoding) -> PostParameters:
    """acc * M + ((r * R) << s), both over 2**n; the residual's zero point is worth -z * R * 2**s / M in the bias."""
    records: dict[str, list] = {key: [] for key in ("bias", "m1", "n1", "residual_multiplier", "residual_shift")}
    channels = zip(bias, step, _exact(target.scale), _exact(residual.scale), residual.zero_point, strict=True)
    for b, accumulator, scale, added, zero in channels:
        _, residual_n = _pair(name, added / scale)
        m, n = _pair(name, accumulator / scale, min(arithmetic.MAX_SHIFT, residual_n + RESIDUAL_SHIFT))
        r, residual_n = _pair(name, added / scale, n)
        b -= Fraction(int(zero) * r << (n - residual_n), m)
        for key, value in zip(records, (_round(b), m, n, r, n - residual_n), strict=True):
            records[key].append(value)
    return PostParameters.create(len(bias), zero_point=target.zero_point, **records)


def _plain(name: str, ratios: list[Fraction], zero_point=0) -> PostParameters:
    m, n = _pairs(name, ratios)
    return PostParameters.create(len(ratios), m1=m, n1=n, zero_point=zero_point)


def _pairs(name: str, ratios: list[Fraction]) -> tuple[list[int], list[int]]:
    pairs = {ratio: _pair(name, ratio) for ratio in set(ratios)}
    return [pairs[ratio][0] for ratio in ratios], [pairs[ratio][1] for ratio in ratios]


def _pair(name: str, ratio: Fraction, max_shift: int = arithmetic.MAX_SHIFT) -> tuple[int, int]:
    try:
        return arithmetic.dyadic(ratio.numerator, ratio.denominator, max_shift)
    except ValueError as error:
        raise QuantizationError(f"{name}: scales are too far apart ({error})") from None


def _head_scales(bound: np.ndarray) -> list[Fraction]:
    """Scales of int8 values with these largest magnitudes; a head that is always 0 gets the largest scale."""
    largest = bound.max() or 1.0
    return [Fraction(float(b or largest)) / LARGEST for b in bound]


def _exact(values: np.ndarray) -> list[Fraction]:
    return [Fraction(float(value)) for value in values]


def _exact_sum(values: np.ndarray) -> Fraction:
    if values.dtype.kind == "i":
        return Fraction(int(values.sum()))
    return sum((Fraction(float(value)) for value in values.flat), Fraction(0))


def _round(value: Fraction) -> int:
    return math.floor(value + Fraction(1, 2))
