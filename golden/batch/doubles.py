"""Powers of two and exponents of float64, exact because they read and write the format's fields (IEEE 754 binary64)."""

from __future__ import annotations

import numpy as np
import torch

FRACTION_BITS, BIAS = 52, 1023


def power_of_two(exponent: torch.Tensor) -> torch.Tensor:
    """2**exponent of int64 exponents in -1022..1023."""
    return (exponent + BIAS << FRACTION_BITS).view(torch.float64)


def exponent(value: torch.Tensor) -> torch.Tensor:
    """floor(log2(value)) of positive, normal float64 values as int64."""
    return (value.view(torch.int64) >> FRACTION_BITS) - BIAS


def rounded_exponent(value: torch.Tensor) -> torch.Tensor:
    """Index of the leading one plus the bit behind it (`arithmetic.log2_round`) of integers below 2**53, as int64.

    One added to the top bit of the fraction carries into the exponent when that bit is set. Zero (exponent field 0) and
    negative values (the sign is the integer's) give less than -1000.
    """
    return (value.view(torch.int64) + (1 << FRACTION_BITS - 1) >> FRACTION_BITS) - BIAS


def dyadic_factor(multiplier: np.ndarray, shift: np.ndarray) -> torch.Tensor:
    """M * 2**-n of a dyadic pair as float64."""
    return torch.from_numpy(np.ldexp(multiplier.astype(np.float64), -shift))
