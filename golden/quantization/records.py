"""Ratios of scales -> post-processing records. Ratios are exact fractions until they are made dyadic."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from triovit.golden.integer import arithmetic
from triovit.golden.integer.records import PostParameters
from triovit.golden.quantization.encoding import Encoding
from triovit.golden.quantization.settings import QuantizationError

RESIDUAL_SHIFT = 23  # keeps the residual term, 24 bits shifted, and the sum within the 48 bits that hardware has
BARE_RESIDUAL_SHIFT = 40  # the same without a multiplier: 8 bits shifted
REMEDY = "look for weights that are nearly 0, or for a channel that is far too large, in the float network"
TOLERANCE = Fraction(1, 1 << 40)  # scales are float64: a power of two over 6 is not exactly that


@dataclass(frozen=True)
class RecordMaker:
    """Makes the records of one node. name: of the node, for errors. power_of_two: every multiplier is 1 (P2-ViT)."""

    name: str
    power_of_two: bool = False

    def requantize(
        self, activation: str, bias: list[Fraction], step: list[Fraction], target: Encoding, bits: int = 0
    ) -> PostParameters:
        """Records from accumulators with a step and a bias a channel to `target`; bits: of a hardswish operand."""
        scale = exact(target.scale)
        values = {"bias": [half_up(b) for b in bias], "zero_point": target.zero_point}
        if activation == "hardswish":
            values["m1"], values["n1"] = self.pairs([s * (1 << bits) for s in step])
            values["m2"], values["n2"] = self.pairs([1 / (6 * (1 << 2 * bits) * s) for s in scale])
        else:
            values["m1"], values["n1"] = self.pairs([s / t for s, t in zip(step, scale, strict=True)])
        return PostParameters.create(len(bias), activation=activation, fraction_bits=bits, **values)

    def residual(
        self, bias: list[Fraction], step: list[Fraction], target: Encoding, residual: Encoding
    ) -> PostParameters:
        """acc * M + ((r * R) << s), both over 2**n; the residual's zero point puts -z * R * 2**s / M into the bias."""
        values: dict[str, list] = {key: [] for key in ("bias", "m1", "n1", "residual_multiplier", "residual_shift")}
        channels = zip(bias, step, exact(target.scale), exact(residual.scale), residual.zero_point, strict=True)
        headroom = BARE_RESIDUAL_SHIFT if self.power_of_two else RESIDUAL_SHIFT
        for b, accumulator, scale, added, zero in channels:
            _, residual_n = self.pair(added / scale)
            m, n = self.pair(accumulator / scale, min(arithmetic.MAX_SHIFT, max(residual_n, 0) + headroom))
            if not m:  # the bias could not hold the residual's zero point
                raise QuantizationError(
                    f"{self.name}: scales are too far apart (an accumulator's step of "
                    f"{float(accumulator / scale):g} beside a residual's of "
                    f"{float(added / scale):g}); {REMEDY}"
                )
            r, residual_n = self.pair(added / scale, n)
            b -= Fraction(int(zero) * r << (n - residual_n), m)
            for key, value in zip(values, (half_up(b), m, n, r, n - residual_n), strict=True):
                values[key].append(value)
        return PostParameters.create(len(bias), zero_point=target.zero_point, **values)

    def plain(self, ratios: list[Fraction], zero_point: np.ndarray | int = 0) -> PostParameters:
        """Records that only multiply by these ratios."""
        m, n = self.pairs(ratios)
        return PostParameters.create(len(ratios), m1=m, n1=n, zero_point=zero_point)

    def pairs(self, ratios: list[Fraction]) -> tuple[list[int], list[int]]:
        """(M, n) of each ratio."""
        found = {ratio: self.pair(ratio) for ratio in set(ratios)}
        if self.power_of_two and min(n for _, n in found.values()) < 0:
            raise QuantizationError(
                f"{self.name}: scales are too far apart (a shift cannot multiply by {float(max(ratios)):g}); "
                f"{REMEDY}, or take dyadic scales"
            )
        return [found[ratio][0] for ratio in ratios], [found[ratio][1] for ratio in ratios]

    def pair(self, ratio: Fraction, max_shift: int = arithmetic.MAX_SHIFT) -> tuple[int, int]:
        """(M, n) with ratio ~ M / 2**n and n <= max_shift.

        With `power_of_two` M is 1, and n is negative for a ratio above 1 (legal beside a residual's shift only).
        """
        if self.power_of_two:
            n = -round(math.log2(ratio))
            if abs(ratio * Fraction(2) ** n - 1) > TOLERANCE:
                raise QuantizationError(f"{self.name}: the ratio of scales {float(ratio):g} is no power of two")
            return (1, n) if n <= max_shift else (0, max_shift)
        try:
            return arithmetic.dyadic(ratio.numerator, ratio.denominator, max_shift)
        except ValueError as error:
            raise QuantizationError(f"{self.name}: scales are too far apart ({error}); {REMEDY}") from None


def exact(values: np.ndarray) -> list[Fraction]:
    """Floats as the fractions that they are."""
    return [Fraction(float(value)) for value in values]


def exact_sum(values: np.ndarray) -> Fraction:
    """Sum without rounding."""
    if values.dtype.kind == "i":
        return Fraction(int(values.sum()))
    return sum((Fraction(float(value)) for value in values.flat), Fraction(0))


def half_up(value: Fraction) -> int:
    """The nearest integer, halves upwards."""
    return math.floor(value + Fraction(1, 2))
