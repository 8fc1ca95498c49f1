"""What the integers of a tensor mean, and how calibrated ranges decide it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from triovit.golden.integer import arithmetic
from triovit.golden.integer.network import IntegerNetwork
from triovit.golden.quantization.calibration.observers import Range
from triovit.golden.quantization.rules import TensorRule
from triovit.golden.quantization.settings import MAX_FRACTION_BITS, QuantizationError

LEVELS = 255  # steps between the ends of int8
LARGEST = 127
LOGIT_HEADROOM = 2  # logits of other images may be larger than those of calibration
SMALLEST_SCALE = 2.0**-8  # of the largest scale of a tensor: what a channel that hardly moves gets


@dataclass(frozen=True)
class Encoding:
    """value = scale * (q - zero_point), a channel each.

    scale: (C,) positive float64. zero_point: (C,) int8 range; whole numbers except for the network's input.
    """

    scale: np.ndarray
    zero_point: np.ndarray

    def times(self, factors: np.ndarray | None) -> Encoding:
        """The encoding of the tensor whose channels are (C,) factors times these; None: the same."""
        return self if factors is None else Encoding(self.scale * factors, self.zero_point)

    def quantize(self, values: np.ndarray) -> np.ndarray:
        """int8 integers of a (C, ...) tensor of real values: round half up, saturate."""
        shape = (-1,) + (1,) * (values.ndim - 1)
        integers = np.floor(values / self.scale.reshape(shape) + 0.5) + self.zero_point.reshape(shape)
        return np.clip(integers, -128, LARGEST).astype(np.int8)

    def decode(self, integers: np.ndarray) -> np.ndarray:
        """Real values of a (C, ...) tensor of integers."""
        shape = (-1,) + (1,) * (integers.ndim - 1)
        return (integers - self.zero_point.reshape(shape)) * self.scale.reshape(shape)


def pixel_encoding(mean, std) -> Encoding:
    """Of the input: (pixel / 255 - mean) / std with q = pixel - 128. The zero point is no whole number."""
    mean, std = np.asarray(mean, dtype=np.float64), np.asarray(std, dtype=np.float64)
    return Encoding(1 / (255 * std), 255 * mean - 128)


def encode_range(found: Range, rule: TensorRule, factors: np.ndarray | None = None) -> Encoding:
    """Encoding of a tensor from the ranges of its groups of channels, a zero point each.

    Consecutive groups that share a scale get the one that the widest of them needs. factors: (groups,), how much more
    than that scale each group gets (P2-ViT's smoothing).
    """
    return encode(found, rule, range_scales(found, rule, factors), factors)


def range_scales(found: Range, rule: TensorRule, factors: np.ndarray | None = None) -> np.ndarray:
    """(rule.scales,) scales that hold the ranges; see `encode_range`."""
    low, high = _with_zero(found)
    if rule.symmetric:
        unused = np.arange(len(low)) % 3 < 2 if rule.rectified else np.zeros(len(low), dtype=bool)  # q and k below 0
        width = np.where(unused, high, np.maximum(-low, high)) / LARGEST
    else:
        width = (high - low) / LEVELS
    if factors is not None:
        width = width / factors
    scale = width.reshape(rule.scales, -1).max(axis=1)
    largest = scale.max()
    return np.maximum(scale, largest * SMALLEST_SCALE) if largest > 0 else np.ones(rule.scales)


def encode(found: Range, rule: TensorRule, scales: np.ndarray, factors: np.ndarray | None = None) -> Encoding:
    """Encoding with given scales. Every range is widened to hold 0, which makes the zero point an int8 number and
    padding exact. The middle of an affine range falls on -1/2."""
    low, high = _with_zero(found)
    scale = scales.repeat(len(low) // rule.scales)
    if factors is not None:
        scale = scale * factors
    zero_point = np.zeros(len(low)) if rule.symmetric else np.floor(-(low + high) / 2 / scale)
    zero_point = np.clip(zero_point, -128, 127).astype(np.int64)
    return Encoding(scale.repeat(rule.group), zero_point.repeat(rule.group))


def logit_encoding(found: Range, classes: int, power_of_two: bool = False) -> Encoding:
    """One scale for all classes, so that the largest integer is the largest logit."""
    scale = LOGIT_HEADROOM * (float(found.bound.max()) or 1.0) / (2**15 - 1)
    if power_of_two:
        scale = 2.0 ** math.ceil(math.log2(scale))
    return Encoding(np.full(classes, scale), np.zeros(classes, dtype=np.int64))


def to_metadata(encodings: dict[str, Encoding]) -> dict:
    """JSON values for the entry "encodings" of a network's metadata.

    A tensor has {"scale": [...], "zero_point": [...]}; each list has an entry for every channel, or one for all
    channels of an equal part of them: one for the whole tensor, one per head, and so on.
    """
    return {
        name: {"scale": _collapse(encoding.scale), "zero_point": _collapse(encoding.zero_point)}
        for name, encoding in encodings.items()
    }


def from_metadata(network: IntegerNetwork) -> dict[str, Encoding]:
    """The encodings that `to_metadata` put into a network's metadata, by tensor; empty if it has none.

    They are bit for bit those that the network was made with. Raises QuantizationError naming the tensor for an entry
    that is none.
    """
    entries, shapes = network.metadata.get("encodings", {}), network.shapes()
    if not isinstance(entries, dict):
        raise QuantizationError(f"encodings of {network.name} must be an object, not {type(entries).__name__}")
    encodings = {}
    for name, entry in entries.items():
        if name not in shapes:
            raise QuantizationError(f"encodings of {network.name}: no tensor {name!r}")
        try:
            scale, zero_point = (_expand(entry[key], shapes[name][0]) for key in ("scale", "zero_point"))
        except (KeyError, TypeError, ValueError):
            raise QuantizationError(
                f"encoding of {name} must have lists of numbers 'scale' and 'zero_point' that "
                f"divide {shapes[name][0]} channels"
            ) from None
        if not (np.isfinite(scale).all() and np.isfinite(zero_point).all() and scale.min() > 0):
            raise QuantizationError(f"encoding of {name}: scales must be finite and positive, zero points finite")
        encodings[name] = Encoding(scale.astype(np.float64), zero_point)
    return encodings


def _collapse(values: np.ndarray) -> list:
    """The shortest list whose entries stand for as many consecutive values each."""
    for groups in range(1, len(values) + 1):
        if len(values) % groups == 0:
            parts = values.reshape(groups, -1)
            if (parts == parts[:, :1]).all():
                return parts[:, 0].tolist()
    return values.tolist()


def _expand(values: list, channels: int) -> np.ndarray:
    """(channels,) numbers from a list of `_collapse`; raises ValueError."""
    array = np.array(values)
    if not isinstance(values, list) or array.ndim != 1 or array.dtype.kind not in "if":
        raise ValueError
    if not values or channels % len(values):
        raise ValueError
    return array.repeat(channels // len(array))


def fraction_bits(name: str, operand: Range) -> int:
    """Fraction bits of a layer's hardswish operand, a 16-bit fixed-point number.

    As many as leave room for the largest operand; below -3 hardswish is 0, so that saturating there is exact.
    """
    largest = max(float(operand.high.max()), 3.0)
    bits = arithmetic.FIXED_POINT_BITS - 1 - math.frexp(largest)[1]
    if bits < 0:
        raise QuantizationError(
            f"{name}: hardswish operands reach {largest:g}, beyond 16-bit fixed point, which ends at 32768: look for "
            "a channel of this layer or its normalization that is far too large in the float network"
        )
    return min(bits, MAX_FRACTION_BITS)


def _with_zero(found: Range) -> tuple[np.ndarray, np.ndarray]:
    return np.minimum(found.low, 0), np.maximum(found.high, 0)
