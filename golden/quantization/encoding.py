"""What the integers of a tensor mean, and how calibrated ranges decide it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from golden.quantization.observers import Range
from golden.quantization.rules import TensorRule

LEVELS = 255  # steps between the ends of int8
LARGEST = 127
SMALLEST_SCALE = 2.0**-8  # of the largest scale of a tensor: what a channel that hardly moves gets


@dataclass(frozen=True)
class Encoding:
    """value = scale * (q - zero_point), a channel each.

    scale: (C,) positive float64. zero_point: (C,) int8 range; whole numbers except for the network's input.
    """

    scale: np.ndarray
    zero_point: np.ndarray

    def decode(self, integers: np.ndarray) -> np.ndarray:
        """Real values of a (C, ...) tensor of integers."""
        shape = (-1,) + (1,) * (integers.ndim - 1)
        return (integers - self.zero_point.reshape(shape)) * self.scale.reshape(shape)


def pixel_encoding(mean, std) -> Encoding:
    """Of the input: (pixel / 255 - mean) / std with q = pixel - 128. The zero point is no whole number."""
    mean, std = np.asarray(mean, dtype=np.float64), np.asarray(std, dtype=np.float64)
    return Encoding(1 / (255 * std), 255 * mean - 128)


def encode_range(found: Range, rule: TensorRule) -> Encoding:
    """Encoding of a tensor from the ranges of its groups of channels, a zero point each.

    Consecutive groups that share a scale get the one that the widest of them needs. Every range is widened to hold 0,
    which makes the zero point an int8 number and padding exact. The middle of an affine range falls on -1/2.
    """
    low, high = np.minimum(found.low, 0), np.maximum(found.high, 0)
    if rule.symmetric:
        unused = np.arange(len(low)) % 3 < 2 if rule.rectified else np.zeros(len(low), dtype=bool)  # q and k below 0
        width = np.where(unused, high, np.maximum(-low, high)) / LARGEST
    else:
        width = (high - low) / LEVELS
    scale = width.reshape(rule.scales, -1).max(axis=1)
    largest = scale.max()
    scale = np.maximum(scale, largest * SMALLEST_SCALE) if largest > 0 else np.ones(rule.scales)
    scale = scale.repeat(len(low) // rule.scales)
    zero_point = np.zeros(len(low)) if rule.symmetric else np.floor(-(low + high) / 2 / scale)
    zero_point = np.clip(zero_point, -128, 127).astype(np.int64)
    return Encoding(scale.repeat(rule.group), zero_point.repeat(rule.group))
