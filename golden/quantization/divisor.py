"""Scales of the products inside an attention, and the offsets of its divisors' codes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from triovit.golden.integer import arithmetic
from triovit.golden.network.graph import LinearAttentionLayer
from triovit.golden.quantization.calibration.observers import Range
from triovit.golden.quantization.encoding import LARGEST, Encoding
from triovit.golden.quantization.records import exact

LARGEST_MULTIPLIER = (1 << arithmetic.MULTIPLIER_BITS) - 1
LARGEST_DIVISOR = (1 << arithmetic.ACCUMULATOR_BITS) - 1
HEADROOM = Fraction(5, 4)  # divisors of other images may be larger than those of calibration


@dataclass(frozen=True)
class BranchScales:
    """Scales of q, k, v, K^T V and the row sum, one per head; largest: the divisor in integers, with headroom."""

    q: list[Fraction]
    k: list[Fraction]
    v: list[Fraction]
    kv: list[Fraction]
    sum: list[Fraction]
    largest: Fraction


def branch_scales(
    layer: LinearAttentionLayer, branch: int, source: Encoding, ranges: dict[str, Range], power_of_two: bool
) -> BranchScales:
    """Scales inside one branch of an attention; source: encoding of its input.

    Those of a head are of its first channel, K^T V and row sums included: the other channels have factors to it, which
    are taken out of the ranges (see `equalization`).
    """
    q, k, v = (exact(source.scale[i * layer.dim :: 3 * layer.dim]) for i in range(3))
    kv, sums = (
        _head_scales(ranges[f"{layer.name}.{what}{branch}"].bound, beside, power_of_two)
        for what, beside in (("kv", [a * b for a, b in zip(k, v, strict=True)]), ("sum", k))
    )
    divisors = exact(ranges[f"{layer.name}.divisor{branch}"].high)
    largest = max(d / (a * s) for d, a, s in zip(divisors, q, sums, strict=True)) * HEADROOM
    return BranchScales(q, k, v, kv, sums, largest)


def largest_offset(scales: BranchScales) -> int:
    """The offset that puts the largest divisor on the largest code; divisors too small for the 16 codes clip to 0."""
    largest = min(math.ceil(scales.largest), LARGEST_DIVISOR)  # calibration may have cut q far below its extremes
    return arithmetic.MAX_DIVISOR_CODE - int(arithmetic.log2_round(largest))


def reachable_offset(ratios: list[Fraction], power_of_two: bool) -> int:
    """The largest offset for which records reach every head's ratio * 2**offset: a multiplier of 16 bits, or a shift.

    A smaller offset than the largest divisor needs costs nothing but the codes of the smallest divisors.
    """
    most = 1 if power_of_two else LARGEST_MULTIPLIER
    return min(math.floor(math.log2(most / ratio)) for ratio in ratios)


def uniform_ratios(scales: BranchScales, power_of_two: bool) -> list[Fraction]:
    """Ratios that bring the largest divisor to 255, or to a power of two not above."""
    ratio = Fraction(arithmetic.MAX_UNIFORM_DIVISOR) / max(scales.largest, Fraction(1))
    if power_of_two:
        ratio = Fraction(2) ** math.floor(math.log2(ratio))
    return [min(ratio, Fraction(1))] * len(scales.q)


def _head_scales(bound: np.ndarray, beside: list[Fraction], power_of_two: bool) -> list[Fraction]:
    """Scales of int8 values with these largest magnitudes; a head that is always 0 gets the largest scale.

    beside: scales of the accumulators. Where a head hardly moves beside others with which it shares these, its scale is
    not finer than a multiplier of 16 bits reaches. With `power_of_two` scales are the next power of two above, and not
    finer than the accumulators': a shift cannot multiply.
    """
    largest = bound.max() or 1.0
    scales = [Fraction(float(b or largest)) / LARGEST for b in bound]
    if power_of_two:
        return [max(Fraction(2) ** math.ceil(math.log2(s)), b) for s, b in zip(scales, beside, strict=True)]
    return [max(s, b / LARGEST_MULTIPLIER) for s, b in zip(scales, beside, strict=True)]
