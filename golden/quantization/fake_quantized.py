"""A scheme simulated in floating point: what each layer of the integer network computes, as differentiable functions.

Everything is in real units. A layer gets the real values of its inputs and gives its output before the last rounding;
`fake_quantize` then puts that on the grid of the output's encoding. Rounding is in the simulation wherever a result
becomes 8 bits or less (weights, tensors, K^T V and row sums, divisor codes, APoT keys), and biases are multiples of the
accumulator's step. What the hardware rounds to far finer steps is not: fine 16-bit operands of hardswish,
LayerNorm's normalised value, dividends, multipliers M.

Gradients pass roundings as if those were the identity, and stop where a value saturates (straight-through); scales get
the gradient of learned step size quantization (LSQ).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch.nn import functional

from triovit.golden.integer import arithmetic
from triovit.golden.integer.apot import ApotFormat
from triovit.golden.integer.network import INPUT
from triovit.golden.network.graph import (
    ConvolutionLayer,
    Layer,
    LayerNormLayer,
    LinearAttentionLayer,
    PoolLayer,
    WeightedLayer,
)
from triovit.golden.quantization import divisor, export
from triovit.golden.quantization.equalization import attention_factors
from triovit.golden.quantization.scheme import Scheme
from triovit.golden.quantization.weights.quantized import by_filter

CODES = arithmetic.MAX_DIVISOR_CODE
ACTIVATION_BITS = 8
WIDE_BITS = 16
FINE_OPERAND = 1 / 8  # of the smallest output step: up to here the steps of a 16-bit operand do not show
HALF = 0.5 + 2.0**-16  # ties, frequent where scales are powers of two, go up whatever the last bits of a float are


class Simulation:
    """Functions of the layers of a scheme.

    Tensors are (N, C, H, W) of `dtype`: float32 for learning, float64 to compare with integers. Subclasses replace
    `weight`, `bias` and `scale` by what they learn.
    """

    def __init__(self, scheme: Scheme, dtype: torch.dtype = torch.float32):
        self.scheme = scheme
        self.dtype = dtype
        self._constants: dict[tuple[str, str], torch.Tensor] = {}
        self._wide = {layer.name for layer in scheme.layers if layer.activation == "wide"}
        self._attentions = {layer.name: layer for layer in scheme.layers if isinstance(layer, LinearAttentionLayer)}

    def weight(self, layer: WeightedLayer) -> torch.Tensor:
        """Real weights, shaped like the convolution's; a LayerNorm's gamma is (C,)."""
        weights = self.scheme.weights[layer.name]
        if isinstance(layer, LayerNormLayer):
            real = weights.values[0] * weights.step[0] * 2.0**arithmetic.LAYER_NORM_FRACTION_BITS
        else:
            real = weights.real(layer.folded, self.scheme.encodings[layer.input])
        return self._constant(layer.name, "weight", real)

    def bias(self, layer: WeightedLayer) -> torch.Tensor:
        """(C,) real biases, as rounded as the accumulator holds them (but for what a residual sum adds to them)."""
        weights = self.scheme.weights[layer.name]
        if isinstance(layer, LayerNormLayer):
            return self._constant(layer.name, "bias", np.floor(layer.beta / weights.step + 0.5) * weights.step)
        conv, zero = layer.folded, self.scheme.encodings[layer.input].zero_point
        if layer.residual is not None:
            return self._constant(layer.name, "bias", conv.bias)
        inside = (weights.values * by_filter(zero, conv)).sum((1, 2, 3))  # of the zero points; fractional for the input
        rounded = np.floor(conv.bias / weights.step - inside + 0.5) + inside
        return self._constant(layer.name, "bias", rounded * weights.step)

    def scale(self, name: str) -> torch.Tensor:
        """(C,) scales of a tensor, or of a point inside an attention: NAME.kv{branch} (heads, dim, dim) or
        NAME.sum{branch} (heads, dim, 1), or (heads, 1, 1) where all of a head's are the same."""
        if name in self.scheme.encodings:
            return self._constant(name, "scale", self.scheme.encodings[name].scale)
        point, branch = name.rsplit(".", 1)[1].rstrip("0123456789"), int(name[-1])
        layer = self._attentions[name.rsplit(".", 1)[0]]
        scales = divisor.branch_scales(
            layer, branch, self.scheme.encodings[layer.inputs[branch]], self.scheme.ranges, self.scheme.power_of_two
        )
        heads = np.array([float(scale) for scale in getattr(scales, point)])[:, None, None]
        if layer.inputs[branch] in self.scheme.factors:
            _, k, v = attention_factors(layer, self.scheme.factors[layer.inputs[branch]])
            heads = heads * (k[:, :, None] if point == "sum" else v[:, :, None] * k[:, None])
        return self._constant(name, "scale", heads)

    def zero_point(self, name: str) -> torch.Tensor:
        """(C,) zero points of a tensor."""
        return self._constant(name, "zero_point", self.scheme.encodings[name].zero_point)

    def decode(self, name: str, integers: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) integers of a tensor -> real values."""
        return (integers.to(self.dtype) - _column(self.zero_point(name))) * _column(self.scale(name))

    def encode(self, name: str, values: torch.Tensor) -> torch.Tensor:
        """Real values -> integers of a tensor that a layer writes, int8 (int16 of wide logits)."""
        low, high = arithmetic.signed_range(WIDE_BITS if name in self._wide else ACTIVATION_BITS)
        integers = torch.floor(values / _column(self.scale(name)) + HALF) + _column(self.zero_point(name))
        return integers.clamp(low, high).to(torch.int16 if name in self._wide else torch.int8)

    def fake_quantize(self, name: str, values: torch.Tensor) -> torch.Tensor:
        """Real values rounded and saturated to what the integers of a tensor stand for."""
        low, high = arithmetic.signed_range(WIDE_BITS if name in self._wide else ACTIVATION_BITS)
        zero = _column(self.zero_point(name))
        return fake_quantize(values, _column(self.scale(name)), low - zero, high - zero)

    def before_rounding(self, layer: Layer, tensors: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Real output of a layer before its last rounding; tensors: real values of its inputs and residual, by name."""
        match layer:
            case LinearAttentionLayer():
                return torch.cat(
                    [self._attend(layer, branch, tensors[name]) for branch, name in enumerate(layer.inputs)], 1
                )
            case PoolLayer():
                return tensors[layer.input].mean((2, 3), keepdim=True)
            case LayerNormLayer():
                x = tensors[layer.input]
                centred = x - x.mean(1, keepdim=True)
                normal = centred * torch.rsqrt((centred**2).mean(1, keepdim=True) + layer.eps)
                return self._activate(layer, normal * _column(self.weight(layer)) + _column(self.bias(layer)))
            case ConvolutionLayer():
                conv, x = layer.folded, self._pad(layer, tensors[layer.input])
                result = functional.conv2d(x, self.weight(layer), self.bias(layer), conv.stride, groups=conv.groups)
                return self._activate(layer, result if layer.residual is None else result + tensors[layer.residual])

    def run(self, layer: Layer, tensors: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Real output of a layer, rounded."""
        return self.fake_quantize(layer.name, self.before_rounding(layer, tensors))

    def _pad(self, layer: ConvolutionLayer, x: torch.Tensor) -> torch.Tensor:
        padding = [layer.folded.padding] * 4
        if layer.input != INPUT:
            return functional.pad(x, padding) if padding[0] else x
        # The network's input has fractional zero points, so that its padding is not exactly 0.
        zero = _column(self.zero_point(INPUT))
        value = (torch.round(zero) - zero) * _column(self.scale(INPUT))
        return functional.pad(x - value, padding) + value

    def _activate(self, layer: WeightedLayer, x: torch.Tensor) -> torch.Tensor:
        """Hardswish, where a layer has it, of a 16-bit fixed-point operand that is rounded only where that shows."""
        if layer.activation != "hardswish":
            return x
        step = 2.0 ** -self.scheme.weights[layer.name].fraction_bits
        low, high = arithmetic.signed_range(arithmetic.FIXED_POINT_BITS)
        if step <= FINE_OPERAND * self.scheme.encodings[layer.name].scale.min():
            return functional.hardswish(x.clamp(max=high * step))
        return functional.hardswish(fake_quantize(x, torch.tensor(step, dtype=x.dtype), low, high))

    def attention_products(
        self, layer: LinearAttentionLayer, branch: int, x: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """K^T V (N, heads, v, k) and row sums (N, heads, k, 1) of a branch before their rounding; x: its input."""
        _, k, v, scales = self._split(layer, branch, x)
        k = k.relu()
        if self.scheme.key_apot is not None:
            k = _nearest_level(k, scales[:, 1], self.scheme.key_apot)
        return v @ k.transpose(2, 3), k.sum(3, keepdim=True)

    def attention_output(
        self, layer: LinearAttentionLayer, branch: int, x: torch.Tensor, kv: torch.Tensor, sums: torch.Tensor
    ) -> torch.Tensor:
        """(N, heads * dim, H, W) output of a branch before its rounding, from K^T V and row sums, rounded."""
        q, _, _, scales = self._split(layer, branch, x)
        q = q.relu()
        unit = scales[:, 0, :1] * self.scale(f"{layer.name}.sum{branch}")[:, :1]  # a 1 of the integer divisor
        divided = (kv @ q) / self._divisor(layer, branch, (sums * q).sum(2, keepdim=True), unit)
        gain = self.scheme.divisors[layer.name][branch].gain if layer.name in self.scheme.divisors else None
        if gain is not None:
            divided = divided * _column(self._constant(layer.name, f"gain{branch}", gain))
        return divided.reshape(len(x), layer.heads * layer.dim, *x.shape[2:])

    def _attend(self, layer: LinearAttentionLayer, branch: int, x: torch.Tensor) -> torch.Tensor:
        low, high = arithmetic.signed_range(ACTIVATION_BITS)
        rounded = (
            fake_quantize(value, self.scale(f"{layer.name}.{what}{branch}"), low, high)
            for what, value in zip(("kv", "sum"), self.attention_products(layer, branch, x), strict=True)
        )
        return self.attention_output(layer, branch, x, *rounded)

    def _split(self, layer: LinearAttentionLayer, branch: int, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """q, k, v (N, heads, dim, tokens), and the scales of their channels (heads, 3, dim, 1)."""
        q, k, v = x.reshape(len(x), layer.heads, 3, layer.dim, -1).unbind(2)
        return q, k, v, self.scale(layer.inputs[branch]).reshape(layer.heads, 3, layer.dim, 1)

    def _divisor(
        self, layer: LinearAttentionLayer, branch: int, value: torch.Tensor, unit: torch.Tensor
    ) -> torch.Tensor:
        """Real divisors as the hardware uses them: powers of two, or 8-bit numbers. unit: of the integers
        of the divisor, (heads, 1, 1)."""
        exact = value.detach() / unit.detach()
        if self.scheme.settings.divisor == "uniform":
            name = layer.inputs[branch]
            found = divisor.branch_scales(
                layer, branch, self.scheme.encodings[name], self.scheme.ranges, self.scheme.power_of_two
            )
            ratio = float(divisor.uniform_ratios(found, self.scheme.power_of_two)[0])
            used = torch.floor(exact * ratio + HALF).clamp(1, arithmetic.MAX_UNIFORM_DIVISOR) / ratio
        else:
            offset = int(self._offsets(layer)[branch])
            # the leading-one rule: up to 1.5 * 2**i it is i, from there on i + 1; zero gets the smallest code
            mantissa, exponent = torch.frexp(torch.floor(exact + 0.5))
            code = (exponent - 1 + (mantissa >= 0.75) + offset).clamp(0, CODES)
            used = torch.exp2(torch.where(mantissa > 0, code, torch.zeros_like(code)).to(self.dtype) - offset)
        # straight through: the value of `used`, the slope of the divisor itself where that is not 0
        slope = value / unit / exact.clamp(min=1)
        return used * unit * torch.where(exact > 0, slope + (1 - slope.detach()), torch.ones_like(slope))

    def _offsets(self, layer: LinearAttentionLayer) -> torch.Tensor:
        key = (layer.name, "offsets")
        return (
            self._constants[key]
            if key in self._constants
            else self._constant(*key, export.attention(layer, self.scheme).log2_offset)
        )

    def _constant(self, name: str, what: str, values) -> torch.Tensor:
        key = (name, what)
        if key not in self._constants:
            self._constants[key] = torch.from_numpy(np.asarray(values, dtype=np.float64)).to(self.dtype)
        return self._constants[key]


class _FakeQuantize(torch.autograd.Function):
    """See `fake_quantize`."""

    @staticmethod
    def forward(ctx, x, scale, low, high):
        ratio = x / scale
        integers = torch.floor(ratio + HALF).clamp_(low, high)
        ctx.save_for_backward(ratio, integers, scale)
        return integers * scale

    @staticmethod
    def backward(ctx, gradient):
        ratio, integers, scale = ctx.saved_tensors
        error = integers - ratio
        inside = error.abs() <= 0.5  # what saturates is off by more
        scale_gradient = None
        if ctx.needs_input_grad[1]:
            slope = torch.where(inside, error, integers)
            scale_gradient = (gradient * slope).sum_to_size(scale.shape)
        return gradient * inside, scale_gradient, None, None


def fake_quantize(x: torch.Tensor, scale: torch.Tensor, low, high) -> torch.Tensor:
    """Round x half up to a multiple of `scale`, between `low` and `high` multiples (numbers or tensors).

    Gradients: of x, 1 inside the range and 0 outside; of the scale, q - x / scale inside and q outside, q the multiple
    (LSQ, equation 3).
    """
    return _FakeQuantize.apply(x, scale, low, high)


def _nearest_level(k: torch.Tensor, scale: torch.Tensor, apot: ApotFormat) -> torch.Tensor:
    """relu(k) with its integers replaced by the nearest APoT levels; gradients as if nothing had happened."""
    levels = torch.from_numpy(apot.nearest(np.arange(128))).to(k.dtype)
    with torch.no_grad():
        integers = torch.floor(k / scale + 0.5).clamp(0, 127)
        change = (levels[integers.long()] - integers) * scale
    return k + change


def _column(values: torch.Tensor) -> torch.Tensor:
    return values[:, None, None]
