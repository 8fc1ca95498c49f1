"""The arithmetic contract against references of another kind: rationals, unbounded integers, tables by hand."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from triovit.golden.integer import arithmetic

INT8 = st.integers(-128, 127)
INT32 = st.integers(-(1 << 31), (1 << 31) - 1) | st.integers(-300, 300)
UINT16 = st.integers(0, 65535)
SHIFT = st.integers(0, arithmetic.MAX_SHIFT)
SEEDED = settings(derandomize=True, deadline=None, max_examples=200)


def nearest(ratio: Fraction) -> int:
    """Round half up of a rational."""
    return math.floor(ratio + Fraction(1, 2))


def clip(value: int, bits: int) -> int:
    return min(max(value, -(2 ** (bits - 1))), 2 ** (bits - 1) - 1)


@SEEDED
@given(st.integers(-(1 << 49), (1 << 49) - 1), st.integers(0, 50))
@example(1, 1)
@example(-1, 1)
@example(-3, 1)
@example(-(1 << 49), 50)
def test_rounding_shift_is_round_half_up(value, shift):
    assert arithmetic.rounding_shift(value, shift) == nearest(Fraction(value, 2**shift))


def test_rounding_shift_broadcasts():
    result = arithmetic.rounding_shift(np.array([[5], [-5]]), np.array([0, 1, 2]))
    assert result.tolist() == [[5, 3, 1], [-5, -2, -1]]
    assert result.dtype == np.int64


@SEEDED
@given(st.integers(-(1 << 60), 1 << 60), st.integers(2, 50))
def test_saturate_clips(value, bits):
    assert arithmetic.saturate(value, bits) == clip(value, bits)
    low, high = arithmetic.signed_range(bits)
    assert arithmetic.saturate([low - 1, low, high, high + 1], bits).tolist() == [low, low, high, high]


@SEEDED
@given(INT32, UINT16, SHIFT, INT8, st.sampled_from((8, 16, 24)))
@example(-(1 << 31), 65535, 0, -128, 8)
@example((1 << 31) - 1, 65535, 47, 127, 8)
@example(1, 1, 1, 0, 8)
@example(-1, 1, 1, 0, 8)
def test_requantize(acc, multiplier, shift, zero_point, bits):
    expected = clip(zero_point + nearest(Fraction(acc * multiplier, 2**shift)), bits)
    assert arithmetic.requantize(acc, multiplier, shift, zero_point, bits) == expected


@SEEDED
@given(INT32, UINT16, SHIFT, INT8, INT8, UINT16, SHIFT)
@example(-(1 << 31), 65535, 47, 0, -128, 65535, 25)
@example(1 << 30, 65535, 20, 0, 1, 1, 47)
def test_residual_is_added_before_the_one_rounding(acc, multiplier, shift, zero_point, residual, scale, left):
    term = residual * scale * 2**left
    arguments = (acc, multiplier, shift, zero_point, residual, scale, left)
    if abs(term) > 2**48:
        with pytest.raises(OverflowError, match="residual term"):
            arithmetic.requantize_residual(*arguments)
    else:
        expected = clip(zero_point + nearest(Fraction(acc * multiplier + term, 2**shift)), 8)
        assert arithmetic.requantize_residual(*arguments) == expected


@SEEDED
@given(st.integers(-(1 << 15), (1 << 15) - 1), st.integers(0, 13))
@example(-(1 << 15), 13)
@example((1 << 15) - 1, 13)
def test_hardswish_product_is_six_times_hardswish(x, fraction_bits):
    real = Fraction(x, 2**fraction_bits)
    expected = real * min(max(real + 3, 0), 6) * 4**fraction_bits
    assert arithmetic.hardswish_product(x, fraction_bits) == expected


@SEEDED
@given(INT32, UINT16, SHIFT, st.integers(0, 13), UINT16, SHIFT, INT8)
@example((1 << 31) - 1, 65535, 0, 13, 65535, 0, 127)
@example(-(1 << 31), 1, 17, 13, 65535, 0, 0)
def test_hardswish_requantize(acc, m1, n1, fraction_bits, m2, n2, zero_point):
    x = clip(nearest(Fraction(acc * m1, 2**n1)), 16)
    product = x * min(max(x + 3 * 2**fraction_bits, 0), 6 * 2**fraction_bits)
    expected = clip(zero_point + nearest(Fraction(product * m2, 2**n2)), 8)
    assert arithmetic.hardswish_requantize(acc, m1, n1, fraction_bits, m2, n2, zero_point) == expected


@pytest.mark.parametrize(
    ("value", "log"),
    [
        *((0, 0), (1, 0), (2, 1), (3, 2), (4, 2), (5, 2), (6, 3), (7, 3), (8, 3), (11, 3), (12, 4), (0b01100011, 7)),
        *((23, 4), (24, 5), (2**15, 15), (3 * 2**14, 16), (2**31 - 1, 31), (2**31, 31), (2**32 - 1, 32)),
    ],
)
def test_log2_rule_by_hand(value, log):
    assert arithmetic.log2_round(value) == log


def test_log2_rule_over_16_bits_goes_up_from_three_halves():
    values = np.arange(1, 1 << 16)
    floor = np.array([int(v).bit_length() - 1 for v in values])
    assert np.array_equal(arithmetic.leading_one(values), floor)
    assert np.array_equal(arithmetic.log2_round(values), floor + (2 * values >= 3 * (1 << floor)) * (floor > 0))


@SEEDED
@given(INT32, st.integers(-32, 31))
@example(0, 31)
@example(-1, 31)
@example(1, 0)
@example((1 << 31) - 1, -16)
def test_divisor_code(value, offset):
    if value <= 0:
        expected = 0
    else:
        index = value.bit_length() - 1
        up = index > 0 and value >= 3 * 2 ** (index - 1)
        expected = min(max(index + up + offset, 0), 15)
    assert arithmetic.divisor_code(value, offset) == expected


@SEEDED
@given(INT32, UINT16, SHIFT, st.integers(0, 15), INT8)
@example((1 << 31) - 1, 65535, 0, 15, 127)
@example(-(1 << 31), 65535, 0, 15, -128)
def test_shift_divide_rounds_the_dividend_first(acc, multiplier, shift, code, zero_point):
    dividend = clip(nearest(Fraction(acc * multiplier, 2**shift)), 24)
    expected = clip(zero_point + nearest(Fraction(dividend, 2**code)), 8)
    assert arithmetic.shift_divide(acc, multiplier, shift, code, zero_point) == expected


@SEEDED
@given(INT32, UINT16, SHIFT)
@example((1 << 31) - 1, 65535, 0)
@example(-1, 65535, 0)
@example(1, 1, 1)
@example(511, 1, 1)
@example(0, 0, 47)
def test_uniform_divisor(value, multiplier, shift):
    expected = min(max(nearest(Fraction(value * multiplier, 2**shift)), 0), 255)
    assert arithmetic.uniform_divisor(value, multiplier, shift) == expected


@SEEDED
@given(INT32, UINT16, SHIFT, st.integers(0, 255), INT8)
@example((1 << 31) - 1, 65535, 0, 255, 127)
@example(-(1 << 31), 65535, 0, 255, -128)
@example(3, 1, 0, 2, 0)
@example(-3, 1, 0, 2, 0)
@example(-1, 1, 0, 0, 0)
@example(100, 1, 0, 1, 0)
def test_uniform_divide_rounds_half_up_and_zero_acts_as_one(acc, multiplier, shift, divisor, zero_point):
    dividend = clip(nearest(Fraction(acc * multiplier, 2**shift)), 24)
    expected = clip(zero_point + nearest(Fraction(dividend, divisor or 1)), 8)
    assert arithmetic.uniform_divide(acc, multiplier, shift, divisor, zero_point) == expected


@SEEDED
@given(st.integers(1, 1 << 40), st.integers(1, 1 << 40), st.integers(0, arithmetic.MAX_SHIFT))
@example(65535, 1, 47)
@example(131071, 2, 47)
@example(1, 1 << 40, 3)
@example(1, 1, 0)
def test_dyadic_is_closest(numerator, denominator, max_shift):
    ratio = Fraction(numerator, denominator)
    assume(nearest(ratio) <= 65535)
    m, n = arithmetic.dyadic(numerator, denominator, max_shift)
    assert 0 <= m <= 65535 and 0 <= n <= max_shift
    error = abs(Fraction(m, 2**n) - ratio)
    for shift in range(max_shift + 1):
        best = min(nearest(ratio * 2**shift), 65535)
        assert error <= abs(Fraction(best, 2**shift) - ratio)
    if n < max_shift:  # M as large as fits: one more bit would not fit 16
        assert nearest(ratio * 2 ** (n + 1)) > 65535


@SEEDED
@given(st.integers(0, (1 << 44) - 1))
@example(0)
@example(1)
@example(4)
def test_layer_norm_reciprocal(variance):
    reciprocal, shift = arithmetic.layer_norm_reciprocal(variance)
    root = math.isqrt(variance)
    if root == 0:
        assert (reciprocal, shift) == (0, 7)
        return
    lead = len(f"{root:b}") - 1
    assert (reciprocal, shift) == (math.floor(Fraction(2 ** (lead + 16), root)), lead + 7)
    assert 2**15 <= reciprocal <= 2**16


@SEEDED
@given(st.lists(st.tuples(INT8, INT8), min_size=1, max_size=40), st.integers(0, (1 << 32) - 1) | st.just(0))
@example([(7, 3)] * 5, 0)
@example([(127, 127)] + [(-128, -128)] * 7, 0)
def test_layer_norm_with_unbounded_integers(channels, epsilon):
    x, weight = (list(column) for column in zip(*channels, strict=True))
    count, total = len(x), sum(x)
    # N**2 times the variance, by definition rather than by the sum of squares
    variance = sum((count * value - total) ** 2 for value in x) // count + epsilon
    root = math.isqrt(variance)
    expected = []
    for value, gain in channels:
        z = 0
        if root:
            lead = root.bit_length() - 1
            z = nearest(Fraction((count * value - total) * (2 ** (lead + 16) // root), 2 ** (lead + 7)))
        expected.append(gain * clip(z, 16))
    assert arithmetic.layer_norm(np.array(x), np.array(weight), epsilon).tolist() == expected


def test_layer_norm_is_close_to_the_real_one():
    rng = np.random.default_rng(3)
    x, weight = rng.integers(-128, 128, 1536), rng.integers(-128, 128, 1536)
    real = weight * (x - x.mean()) / x.std()
    # R is off by at most 1 in 2**15, z by half a unit of its 9 fraction bits
    assert np.max(np.abs(arithmetic.layer_norm(x, weight) / 2**9 - real)) < 128 * (4 / 2**15 + 0.5 / 2**9)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: arithmetic.check_range([0, 5], 0, 4, "speed"), r"speed must lie in \[0, 4\], not 5"),
        (lambda: arithmetic.check_range([-1, 9], 0, 4, "speed"), r"speed must lie in \[0, 4\], not -1"),
        (lambda: arithmetic.requantize(1 << 31, 1, 0), "accumulator"),
        (lambda: arithmetic.requantize(-(1 << 31) - 1, 1, 0), "accumulator"),
        (lambda: arithmetic.requantize(0, 65536, 0), "multiplier M"),
        (lambda: arithmetic.requantize(0, -1, 0), "multiplier M"),
        (lambda: arithmetic.requantize(0, 1, 48), "shift n"),
        (lambda: arithmetic.requantize(0, 1, -1), "shift n"),
        (lambda: arithmetic.requantize(0, 1, 0, 128), "zero point"),
        (lambda: arithmetic.requantize(0, 1, 1, -129), "zero point"),
        (lambda: arithmetic.requantize_residual(0, 1, 48, 0, 0, 0, 0), "shift n"),
        (lambda: arithmetic.requantize_residual(0, 1, 0, 128, 0, 0, 0), "zero point"),
        (lambda: arithmetic.requantize_residual(0, 1, 0, 0, 128, 0, 0), "residual"),
        (lambda: arithmetic.requantize_residual(0, 1, 0, 0, 0, 1 << 24, 0), "residual multiplier R"),
        (lambda: arithmetic.requantize_residual(0, 1, 0, 0, 0, 0, 48), "residual shift"),
        (lambda: arithmetic.requantize_residual(0, 1, 0, 0, 3, 1, 47), "residual term"),
        (lambda: arithmetic.hardswish_product(1 << 15, 0), "hardswish operand"),
        (lambda: arithmetic.hardswish_product(0, 14), "fraction bits"),
        (lambda: arithmetic.hardswish_product(0, -1), "fraction bits"),
        (lambda: arithmetic.hardswish_requantize(0, 1, 0, 0, 65536, 0), "multiplier M2"),
        (lambda: arithmetic.hardswish_requantize(0, 1, 0, 0, 1, 48), "shift n2"),
        (lambda: arithmetic.hardswish_requantize(0, 1, 48, 0, 1, 0), "shift n"),
        (lambda: arithmetic.hardswish_requantize(0, 1, 0, 0, 1, 0, 128), "zero point"),
        (lambda: arithmetic.leading_one(1 << 32), "leading-one operand"),
        (lambda: arithmetic.log2_round(-1), "log2 operand"),
        (lambda: arithmetic.divisor_code(1 << 31), "divisor"),
        (lambda: arithmetic.divisor_code(1, 32), "log2 offset"),
        (lambda: arithmetic.divisor_code(1, -33), "log2 offset"),
        (lambda: arithmetic.shift_divide(0, 1, 0, 16), "divisor code"),
        (lambda: arithmetic.shift_divide(0, 1, 0, 0, 128), "zero point"),
        (lambda: arithmetic.uniform_divisor(1 << 31, 1, 0), "accumulator"),
        (lambda: arithmetic.uniform_divisor(0, 65536, 0), "multiplier M"),
        (lambda: arithmetic.uniform_divisor(0, 1, 48), "shift n"),
        (lambda: arithmetic.uniform_divisor(0, 1, -1), "shift n"),
        (lambda: arithmetic.uniform_divide(0, 1, 0, 256), r"uniform divisor must lie in \[0, 255\], not 256"),
        (lambda: arithmetic.uniform_divide(0, 1, 0, -1), "uniform divisor"),
        (lambda: arithmetic.uniform_divide(0, 1, 0, 1, 128), "zero point"),
        (lambda: arithmetic.uniform_divide(0, 1, 0, 1, -129), "zero point"),
        (lambda: arithmetic.layer_norm_reciprocal(1 << 44), "layer-norm variance"),
        (lambda: arithmetic.layer_norm_reciprocal(-1), "layer-norm variance"),
        (lambda: arithmetic.layer_norm(np.array([128]), np.array([0])), "layer-norm input"),
        (lambda: arithmetic.layer_norm(np.array([0]), np.array([-129])), "layer-norm weight"),
    ],
)
def test_values_outside_the_hardware_raise(call, name):
    with pytest.raises(OverflowError, match=name):
        call()


@pytest.mark.parametrize("ratio", [(0, 1), (1, 0), (-1, 2), (1, -2)])
def test_dyadic_rejects_what_is_not_positive(ratio):
    with pytest.raises(ValueError, match="must be positive"):
        arithmetic.dyadic(*ratio)


def test_dyadic_rejects_what_does_not_fit():
    assert arithmetic.dyadic(65535, 1) == (65535, 0)
    with pytest.raises(ValueError, match="does not fit"):
        arithmetic.dyadic(65536, 1)


@pytest.mark.parametrize("count", [0, 4097])
def test_layer_norm_rejects_its_channel_count(count):
    with pytest.raises(ValueError, match="1 to 4096 channels"):
        arithmetic.layer_norm(np.zeros(count, dtype=int), np.zeros(count, dtype=int))


def test_ranges_are_checked_on_whole_arrays():
    assert arithmetic.check_range([], 0, 0, "nothing").size == 0
    with pytest.raises(TypeError, match=r"^accumulator must be integers, not float64$"):
        arithmetic.check_range(np.array([1.0]), 0, 5, "accumulator")
    acc = np.array([0, 1, 1 << 31])
    with pytest.raises(OverflowError, match=str(1 << 31)):
        arithmetic.requantize(acc, 1, 0)
