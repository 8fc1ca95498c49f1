"""Scalar arithmetic of the accelerator, as functions on NumPy int64 arrays (or Python integers).

Everything here is exact integer arithmetic. There is one rounding, `rounding_shift` (round half up), and
one saturation, `saturate`. Legal ranges are the hardware's; a value outside raises `OverflowError`
rather than wrapping, because the compiler's bounds must have excluded it.
"""

from __future__ import annotations

import math

import numpy as np

ACCUMULATOR_BITS = 32
MULTIPLIER_BITS = 16  # M of a dyadic pair, unsigned
MAX_SHIFT = 47  # n of a dyadic pair
RESIDUAL_BITS = 24  # multiplier R of a residual operand, unsigned; networks keep to MULTIPLIER_BITS
PRODUCT_BITS = ACCUMULATOR_BITS + MULTIPLIER_BITS + 2  # accumulator * M plus the residual term
FIXED_POINT_BITS = 16  # hardswish operand
DIVIDEND_BITS = 24
MAX_FRACTION_BITS = 13  # of hardswish: the upper clamp, 6 * 2**13, fits 16 bits unsigned
MAX_DIVISOR_CODE = 15
MAX_UNIFORM_DIVISOR = 255


def signed_range(bits: int) -> tuple[int, int]:
    """Smallest and largest value of a two's-complement number of `bits` bits."""
    return -(1 << (bits - 1)), (1 << (bits - 1)) - 1


def check_range(value, low: int, high: int, name: str):
    """Return `value` as int64 after checking low <= value <= high; raises OverflowError, or TypeError, naming it."""
    value = np.asarray(value)
    if value.dtype.kind == "f" and value.size:
        raise TypeError(f"{name} must be integers, not {value.dtype}")
    value = value.astype(np.int64)
    if value.size and (int(value.min()) < low or int(value.max()) > high):
        worst = int(value.min()) if int(value.min()) < low else int(value.max())
        raise OverflowError(f"{name} must lie in [{low}, {high}], not {worst}")
    return value


def rounding_shift(value, shift):
    """Shift right by `shift` >= 0 with round half up: (x + 2**(n-1)) >> n; n = 0 leaves x."""
    value = np.asarray(value, dtype=np.int64)
    shift = np.asarray(shift, dtype=np.int64)
    half = np.where(shift > 0, np.left_shift(np.int64(1), np.maximum(shift - 1, 0)), 0)
    return np.right_shift(value + half, shift)


def saturate(value, bits: int):
    """Clip to the two's-complement range of `bits` bits."""
    low, high = signed_range(bits)
    return np.clip(np.asarray(value, dtype=np.int64), low, high)


def dyadic_product(
    accumulator, multiplier, residual=0, residual_multiplier=0, residual_shift=0, *, bits: int = PRODUCT_BITS
):
    """acc * M + ((r * R) << s): the value both requantizers shift.

    accumulator: int32. multiplier M: 0..65535. residual r: int8. residual_multiplier R: 0..2**RESIDUAL_BITS - 1.
    residual_shift s: 0..MAX_SHIFT. The sum must fit `bits` bits.
    """
    acc = check_range(accumulator, *signed_range(ACCUMULATOR_BITS), "accumulator")
    m = check_range(multiplier, 0, (1 << MULTIPLIER_BITS) - 1, "multiplier M")
    r = check_range(residual, -128, 127, "residual")
    rm = check_range(residual_multiplier, 0, (1 << RESIDUAL_BITS) - 1, "residual multiplier R")
    rs = check_range(residual_shift, 0, MAX_SHIFT, "residual shift")
    scaled = r * rm
    limit = np.right_shift(np.int64(1) << (PRODUCT_BITS - 2), rs)
    if np.any(np.abs(scaled) > limit):
        raise OverflowError(f"residual term must stay below 2**{PRODUCT_BITS - 2}")
    return check_range(acc * m + np.left_shift(scaled, rs), *signed_range(bits), "dyadic product")


def requantize(accumulator, multiplier, shift, zero_point: np.ndarray | int = 0, bits: int = 8):
    """Dyadic requantization y = sat(zp + rshift(acc * M, n)). M = 1 is the power-of-two form (P2-ViT, eq. 6)."""
    shift = check_range(shift, 0, MAX_SHIFT, "shift n")
    zp = check_range(zero_point, -128, 127, "zero point")
    return saturate(zp + rounding_shift(dyadic_product(accumulator, multiplier), shift), bits)


def requantize_residual(
    accumulator,
    multiplier,
    shift,
    zero_point,
    residual,
    residual_multiplier,
    residual_shift,
    *,
    product_bits: int = PRODUCT_BITS,
):
    """y = sat8(zp + rshift(acc * M + ((r * R) << s), n)): both operands at one shift, rounded once."""
    shift = check_range(shift, 0, MAX_SHIFT, "shift n")
    zp = check_range(zero_point, -128, 127, "zero point")
    total = dyadic_product(accumulator, multiplier, residual, residual_multiplier, residual_shift, bits=product_bits)
    return saturate(zp + rounding_shift(total, shift), 8)


def hardswish_product(x, fraction_bits):
    """x * clamp(x + 3 * 2**f, 0, 6 * 2**f) for a 16-bit fixed-point x with f in 0..MAX_FRACTION_BITS fraction bits."""
    x = check_range(x, *signed_range(FIXED_POINT_BITS), "hardswish operand")
    f = check_range(fraction_bits, 0, MAX_FRACTION_BITS, "fraction bits")
    one = np.left_shift(np.int64(1), f)
    return x * np.clip(x + 3 * one, 0, 6 * one)


def hardswish_requantize(accumulator, m1, n1, fraction_bits, m2, n2, zero_point: np.ndarray | int = 0):
    """acc -> 16-bit fixed point (m1, n1) -> hardswish product -> int8 (m2, n2, zp)."""
    x = requantize(accumulator, m1, n1, 0, FIXED_POINT_BITS)
    m2 = check_range(m2, 0, (1 << MULTIPLIER_BITS) - 1, "multiplier M2")
    n2 = check_range(n2, 0, MAX_SHIFT, "shift n2")
    zp = check_range(zero_point, -128, 127, "zero point")
    return saturate(zp + rounding_shift(hardswish_product(x, fraction_bits) * m2, n2), 8)


def leading_one(value):
    """Index of the leading one of a positive integer below 2**32 (0 for 0)."""
    value = check_range(value, 0, (1 << 32) - 1, "leading-one operand")
    index = np.zeros_like(value)
    rest = value.copy()
    for step in (16, 8, 4, 2, 1):
        high = rest >= (1 << step)
        index = np.where(high, index + step, index)
        rest = np.where(high, rest >> step, rest)
    return index


def log2_round(value):
    """LOD rule of Trio-ViT: i = index of the leading one, result i + bit (i - 1); 0 gives 0."""
    value = check_range(value, 0, (1 << 32) - 1, "log2 operand")
    index = leading_one(value)
    next_bit = np.where(index > 0, (value >> np.maximum(index - 1, 0)) & 1, 0)
    return index + next_bit


def divisor_code(value, offset: np.ndarray | int = 0):
    """4-bit log2 code clip(log2_round(D) + offset, 0, 15); D <= 0 gives the smallest code, 0.

    value: int32 (a divisor of ReLU attention is never negative; a negative one is treated as zero).
    offset: -32..31, a layer's constant.
    """
    value = check_range(value, *signed_range(ACCUMULATOR_BITS), "divisor")
    offset = check_range(offset, -32, 31, "log2 offset")
    code = np.clip(log2_round(np.maximum(value, 0)) + offset, 0, MAX_DIVISOR_CODE)
    return np.where(value <= 0, 0, code)


def shift_divide(accumulator, multiplier, shift, code, zero_point: np.ndarray | int = 0):
    """sat8(zp + rshift(d, e)) with d = sat24(rshift(acc * M, n)) the dividend."""
    code = check_range(code, 0, MAX_DIVISOR_CODE, "divisor code")
    zp = check_range(zero_point, -128, 127, "zero point")
    dividend = requantize(accumulator, multiplier, shift, 0, DIVIDEND_BITS)
    return saturate(zp + rounding_shift(dividend, code), 8)


def uniform_divisor(value, multiplier, shift):
    """8-bit uniform divisor D8 = min(max(rshift(D * M, n), 0), 255): the alternative to `divisor_code` in an ablation.

    value D: int32. multiplier M: 0..65535. shift n: 0..MAX_SHIFT. The smallest code, 0, stands for 1 when it divides
    (Trio-ViT, Table VI, has uniform divisors and does not define that case: there they give NaN).
    """
    shift = check_range(shift, 0, MAX_SHIFT, "shift n")
    return np.clip(rounding_shift(dyadic_product(value, multiplier), shift), 0, MAX_UNIFORM_DIVISOR)


def uniform_divide(accumulator, multiplier, shift, divisor, zero_point: np.ndarray | int = 0):
    """sat8(zp + floor((2 d + D) / (2 D))), round half up of d / D, with d = sat24(rshift(acc * M, n)) the dividend.

    divisor: 0..255 of `uniform_divisor`, where 0 acts as 1. The other arguments are those of `shift_divide`. For an
    ablation only: no hardware of this project has a divider.
    """
    divisor = np.maximum(check_range(divisor, 0, MAX_UNIFORM_DIVISOR, "uniform divisor"), 1)
    zp = check_range(zero_point, -128, 127, "zero point")
    dividend = requantize(accumulator, multiplier, shift, 0, DIVIDEND_BITS)
    return saturate(zp + (2 * dividend + divisor) // (2 * divisor), 8)


def dyadic(ratio_numerator: int, ratio_denominator: int, max_shift: int = MAX_SHIFT) -> tuple[int, int]:
    """Closest (M, n) with M < 2**16 to a positive rational: ratio ~ M / 2**n, M as large as it fits.

    Raises ValueError when the ratio is 2**16 or more, or not positive. A ratio too small for
    n <= max_shift gives the nearest M (possibly 0).
    """
    if ratio_numerator <= 0 or ratio_denominator <= 0:
        raise ValueError(f"a dyadic ratio must be positive, not {ratio_numerator}/{ratio_denominator}")
    limit = (1 << MULTIPLIER_BITS) - 1
    for n in range(max_shift, -1, -1):
        m = ((ratio_numerator << (n + 1)) + ratio_denominator) // (2 * ratio_denominator)
        if m <= limit:
            return m, n
    raise ValueError(f"ratio {ratio_numerator}/{ratio_denominator} does not fit M < 2**{MULTIPLIER_BITS}")


LAYER_NORM_FRACTION_BITS = 9  # the normalised value z has 9 fraction bits in 16 bits: +-64


def layer_norm_reciprocal(variance: int) -> tuple[int, int]:
    """(R, t) with z = rshift((N*x - S1) * R, t): R = floor(2**(L+16) / r), t = L + 7.

    r = isqrt(variance), L = index of its leading one.
    variance: N*S2 - S1**2 + epsilon, a non-negative integer below 2**44. R lies in 2**15..2**16 and is 0 when r is 0.
    """
    check_range(variance, 0, (1 << 44) - 1, "layer-norm variance")
    root = math.isqrt(int(variance))
    if root == 0:
        return 0, LAYER_NORM_FRACTION_BITS - 2
    lead = root.bit_length() - 1
    return (1 << (lead + 16)) // root, lead + 16 - LAYER_NORM_FRACTION_BITS


def layer_norm(x, weight, epsilon: int = 0):
    """Integer LayerNorm core: acc[c] = weight[c] * z[c], z = sat16(rshift((N*x - S1) * R, t)).

    x: (N,) int8, N <= 4096. weight: (N,) int8. epsilon: eps * N**2 / scale_x**2 rounded, 0..2**32-1.
    Returns (N,) int32-range accumulators for the post-processing pipeline (bias, requantization, hardswish).
    """
    x = check_range(x, -128, 127, "layer-norm input")
    weight = check_range(weight, -128, 127, "layer-norm weight")
    n = x.shape[0]
    if not 0 < n <= 4096:
        raise ValueError(f"layer norm takes 1 to 4096 channels, not {n}")
    s1, s2 = int(x.sum()), int((x * x).sum())
    reciprocal, shift = layer_norm_reciprocal(n * s2 - s1 * s1 + epsilon)
    z = saturate(rounding_shift((n * x - s1) * reciprocal, shift), 16)
    return z * weight
