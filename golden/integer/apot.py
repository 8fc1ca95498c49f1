"""Additive powers-of-two (APoT) weight codes: value = s * (2**p1 + 2**p2), either term can be off.

A code is an integer of `2 * exponent_bits + 1` bits. From bit 0 upwards it holds the sign (1 = negative), field e1 and
field e2. A field of 0 switches its term off; a field f > 0 stands for the exponent low + f - 1. So zero and single
powers exist, and the product with an activation needs two shifters and one adder, no multiplier.

Source: M2-ViT, quantization section (the paper gives the form of the value; code width, exponent window and the
zero code are ours), after the additive powers-of-two levels of the APoT paper.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from triovit.golden.integer.arithmetic import check_range

MAX_EXPONENT_BITS = 4
MAX_LOW = 8  # with the widest field the product of an int8 and a weight then fills 32 bits exactly


@dataclass(frozen=True)
class ApotFormat:
    """Code width and exponent window of a set of APoT weights.

    exponent_bits: bits of each of the two exponent fields, 1..4. low: exponent of field value 1, 0..8. The exponents
    reach from `low` to `high = low + 2**exponent_bits - 2`; the default has 7-bit codes, exponents 0..6 and values up
    to 128 in magnitude. Raises TypeError or ValueError naming the parameter.
    """

    exponent_bits: int = 3
    low: int = 0

    def __post_init__(self):
        for name, value, least, most in (
            ("exponent_bits", self.exponent_bits, 1, MAX_EXPONENT_BITS),
            ("low", self.low, 0, MAX_LOW),
        ):
            if type(value) is not int:
                raise TypeError(f"{name} must be an integer, not {value!r}")
            if not least <= value <= most:
                raise ValueError(f"{name} must be {least}..{most}, not {value}")

    @property
    def width(self) -> int:
        """Bits of a code."""
        return 2 * self.exponent_bits + 1

    @property
    def high(self) -> int:
        """Largest exponent."""
        return self.low + (1 << self.exponent_bits) - 2

    @property
    def max(self) -> int:
        """Largest value, both terms at the largest exponent; the smallest value is its negative."""
        return 2 << self.high

    @property
    def product_bits(self) -> int:
        """Bits of the two's-complement product of an int8 activation and a weight: -128 * -max = 2**(high + 8) fits."""
        return self.high + 10

    @cached_property
    def _magnitudes(self) -> tuple[np.ndarray, np.ndarray]:
        """All magnitudes in ascending order, and the canonical code (sign 0) of each.

        Of several codes of one magnitude the canonical one has the fewest terms (a term that is off does not toggle its
        shifter) and the larger exponent in e1.
        """
        codes = {}
        fields = range(1 << self.exponent_bits)
        pairs = [(e1, e2) for e1 in fields for e2 in fields if e1 >= e2]
        for e1, e2 in sorted(pairs, key=lambda pair: pair[1] > 0):
            codes.setdefault(self._term(e1) + self._term(e2), e1 << 1 | e2 << (1 + self.exponent_bits))
        magnitudes = sorted(codes)
        return np.array(magnitudes, dtype=np.int64), np.array([codes[v] for v in magnitudes], dtype=np.int64)

    def _term(self, field: int) -> int:
        return 1 << (self.low + field - 1) if field else 0

    @property
    def levels(self) -> np.ndarray:
        """All distinct values in ascending order, int64."""
        magnitudes, _ = self._magnitudes
        return np.concatenate([-magnitudes[:0:-1], magnitudes])

    def decode(self, codes) -> np.ndarray:
        """Values of codes (any shape, 0 .. 2**width - 1, canonical or not) as int64. OverflowError outside."""
        codes = check_range(codes, 0, (1 << self.width) - 1, "APoT code")
        terms = np.array([self._term(field) for field in range(1 << self.exponent_bits)], dtype=np.int64)
        mask = (1 << self.exponent_bits) - 1
        magnitude = terms[codes >> 1 & mask] + terms[codes >> (1 + self.exponent_bits)]
        return np.where(codes & 1, -magnitude, magnitude)

    def encode(self, values) -> np.ndarray:
        """Canonical codes of the levels nearest to integer values (any shape), as int64.

        A tie goes to the smaller magnitude; beyond +-max the result is +-max; what becomes zero has code 0. Magnitudes
        up to 2**61, OverflowError above.
        """
        values = check_range(values, -(1 << 61), 1 << 61, "APoT value")
        magnitudes, codes = self._magnitudes
        # Doubled on both sides, so that the midpoints are integers; "left" counts midpoints strictly below the value.
        index = np.searchsorted(magnitudes[:-1] + magnitudes[1:], 2 * np.abs(values), side="left")
        return codes[index] | ((values < 0) & (index > 0))

    def nearest(self, values) -> np.ndarray:
        """Levels nearest to integer values (any shape), as int64: decode(encode(values)), ties and range as there.

        Operand fetch of K in M2-ViT's K^T V product: a relu(k) of 0..127 becomes a level of 0..128.
        """
        return self.decode(self.encode(values))
