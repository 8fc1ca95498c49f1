"""Records: ratios of scales as (M, n), and what requantizing with them gives, against exact fractions."""

from fractions import Fraction

import numpy as np
import pytest

from triovit.golden.integer import arithmetic
from triovit.golden.integer.records import PostParameters
from triovit.golden.quantization.encoding import Encoding
from triovit.golden.quantization.records import REMEDY, RecordMaker, exact, exact_sum, half_up
from triovit.golden.quantization.settings import QuantizationError

DYADIC, SHIFTS = RecordMaker("layer"), RecordMaker("layer", True)


@pytest.mark.parametrize("ratio", [Fraction(1, 3), Fraction(65535), Fraction(7, 1 << 40), Fraction(float(np.pi))])
def test_dyadic_pairs_are_the_closest(ratio):
    m, n = DYADIC.pair(ratio)
    assert 0 < m < 1 << 16
    assert abs(Fraction(m, 1 << n) - ratio) <= Fraction(1, 2 << n)
    assert m >= 1 << 15 or n == arithmetic.MAX_SHIFT
    m, n = DYADIC.pair(ratio, 20)
    assert n <= 20
    assert abs(Fraction(m, 1 << n) - ratio) <= Fraction(1, 2 << n)


@pytest.mark.parametrize("exponent", [-47, -20, -1, 0, 1, 20])
def test_a_power_of_two_has_multiplier_one(exponent):
    assert SHIFTS.pair(Fraction(2) ** exponent) == (1, -exponent)


def test_ratios_below_the_largest_shift_vanish():
    assert SHIFTS.pair(Fraction(1, 1 << 48)) == (0, 47)
    assert SHIFTS.pair(Fraction(1, 1 << 30), 29) == (0, 29)
    assert SHIFTS.pair(Fraction(1, 1 << 29), 29) == (1, 29)


@pytest.mark.parametrize("sign", [1, -1])
def test_powers_of_two_snap_within_the_rounding_of_floats(sign):
    assert SHIFTS.pair(Fraction(1, 64) * (1 + sign * Fraction(1, 1 << 40))) == (1, 6)
    assert SHIFTS.pair(Fraction(float(np.float64(1) / 6)) / (Fraction(1, 6) * 8)) == (1, 3)
    with pytest.raises(QuantizationError, match=r"^layer: the ratio of scales 0\.015625 is no power of two$"):
        SHIFTS.pair(Fraction(1, 64) * (1 + sign * Fraction(3, 1 << 41)))


def test_a_shift_cannot_multiply():
    assert SHIFTS.pairs([Fraction(1), Fraction(1, 4), Fraction(1)]) == ([1, 1, 1], [0, 2, 0])
    with pytest.raises(QuantizationError) as caught:
        SHIFTS.pairs([Fraction(1), Fraction(8), Fraction(2)])
    assert str(caught.value) == (
        f"layer: scales are too far apart (a shift cannot multiply by 8); {REMEDY}, or take dyadic scales"
    )
    assert DYADIC.pairs([Fraction(8), Fraction(1, 8)]) == ([32768, 32768], [12, 18])


def test_ratios_beyond_dyadic_numbers():
    with pytest.raises(QuantizationError) as caught:
        DYADIC.pair(Fraction(65536))
    assert str(caught.value) == f"layer: scales are too far apart (ratio 65536/1 does not fit M < 2**16); {REMEDY}"


def real(post: PostParameters, channel: int, accumulator, residual=0):
    """Exact value of a linear record's result before its rounding, without the zero point."""
    m, n, r, s = (int(getattr(post, name)[channel]) for name in ("m1", "n1", "residual_multiplier", "residual_shift"))
    return Fraction((accumulator + int(post.bias[channel])) * m + (residual * r << s), 1 << n)


@pytest.mark.parametrize("records", [DYADIC, SHIFTS])
def test_linear_records(records):
    target = Encoding(np.array([0.5, 0.25]), np.array([3, -128]))
    step = [Fraction(1, 64), Fraction(1, 4)]
    post = records.requantize("linear", [Fraction(5, 2), Fraction(-7, 3)], step, target)
    assert post.bias.tolist() == [3, -2]  # halves upwards
    assert post.zero_point.tolist() == [3, -128]
    assert (post.activation, post.fraction_bits) == ("linear", 0)
    assert [real(post, 0, 29), real(post, 1, 9)] == [1, 7]
    wide = records.requantize("wide", [Fraction(0)] * 2, step, target)
    assert wide.activation == "wide"
    plain = records.plain([Fraction(1, 32), Fraction(1)], target.zero_point)
    assert (plain.bias.tolist(), plain.zero_point.tolist()) == ([0, 0], [3, -128])
    assert [Fraction(int(m), 1 << int(n)) for m, n in zip(plain.m1, plain.n1, strict=True)] == [Fraction(1, 32), 1]


@pytest.mark.parametrize(
    ("records", "step", "scale"),
    [
        (DYADIC, Fraction(1, 5000), 0.013),
        (SHIFTS, Fraction(1, 8192), 2.0**-5 / 6),
    ],
)
def test_hardswish_records(records, step, scale):
    """The operand has `bits` fraction bits; x * clamp(x + 3, 0, 6) is worth 2**(-2 bits) and 1 / 6."""
    bits = 11
    target = Encoding(np.array([scale]), np.array([-20]))
    post = records.requantize("hardswish", [Fraction(100)], [step], target, bits)
    assert (post.activation, post.fraction_bits) == ("hardswish", bits)
    for accumulator in (-40000, -9000, -1, 2500, 9000, 20000):
        x = float((accumulator + 100) * step)
        expected = x * min(max(x + 3, 0), 6) / 6
        got = arithmetic.hardswish_requantize(
            accumulator + post.bias[0], post.m1[0], post.n1[0], bits, post.m2[0], post.n2[0], post.zero_point[0]
        )
        if got < 127:
            assert abs((int(got) + 20) * scale - expected) <= scale / 2 + 1.5 * 2.0**-bits + abs(expected) * 2**-14
    if records.power_of_two:
        assert (post.m1.tolist(), post.m2.tolist()) == ([1], [1])


@pytest.mark.parametrize(
    ("records", "steps", "target", "residual"),
    [
        (DYADIC, (0.0011, 0.3, 1e-6), (0.07, 0.4, 0.05), (0.03, 0.9, 0.05)),
        (DYADIC, (2.0**-30, 0.02, 0.02), (1.0, 0.02, 0.0002), (60.0, 0.00002, 0.02)),
        (SHIFTS, (2.0**-12, 2.0**-5, 2.0**-24), (2.0**-4, 2.0**-5, 1.0), (2.0**-6, 2.0**-3, 2.0)),
        (SHIFTS, (2.0**-9 / 6, 2.0**-3 / 6, 2.0**-7 / 6), (2.0**-3 / 6,) * 3, (2.0**-3 / 6, 2.0**-1 / 6, 2.0**-7 / 6)),
    ],
)
def test_residual_records(records, steps, target, residual):
    """acc and residual at one shift, with zero points on both sides: each channel's real value, to its records."""
    zero = np.array([-128, 90, 5])
    added = Encoding(np.array(residual), zero)
    result = Encoding(np.array(target), np.array([4, -3, 127]))
    bias = [Fraction(301, 7), Fraction(-2000), Fraction(1, 2)]
    post = records.residual(bias, exact(np.array(steps)), result, added)
    if not records.power_of_two:  # a residual coarser than the result shifts left by more
        assert (post.residual_shift <= post.n1).all()
    assert post.zero_point.tolist() == [4, -3, 127]
    if records.power_of_two:
        assert set(post.m1.tolist()) | set(post.residual_multiplier.tolist()) <= {0, 1}
    for channel in range(3):
        s, t, a = (float(values[channel]) for values in (steps, target, residual))
        for accumulator, r in ((0, 0), (1000, -128), (-1000, 127), (12345, int(zero[channel]))):
            exact_value = float(accumulator + bias[channel]) * s / t + (r - int(zero[channel])) * a / t
            got = float(real(post, channel, accumulator, r))
            m, n = int(post.m1[channel]), int(post.n1[channel])
            # the bias rounds to one accumulator step, the multipliers are of 16 bits or exact
            slack = 0.5 * m / 2.0**n + 2.0**-15 * (abs(accumulator * s / t) + 256 * a / t) + 1e-12
            if records.power_of_two:
                slack = 0.5 * m / 2.0**n + 1e-9
            assert abs(got - exact_value) <= slack
        arithmetic.requantize_residual(
            1000,
            post.m1[channel],
            post.n1[channel],
            0,
            -128,
            post.residual_multiplier[channel],
            post.residual_shift[channel],
        )


def test_a_bare_residual_fits_beside_the_finest_accumulator():
    """Without multipliers 8 bits shifted by up to 40 fill the product; a coarser residual shifts further."""
    residual, target = Encoding(np.array([4.0]), np.array([7])), Encoding(np.array([1.0]), np.array([0]))
    post = SHIFTS.residual([Fraction(0)], [Fraction(1, 1 << 30)], target, residual)
    assert (post.n1[0], post.residual_shift[0], post.m1[0], post.residual_multiplier[0]) == (30, 32, 1, 1)
    assert post.bias[0] == -7 << 32
    one = Encoding(np.array([1.0]), np.array([0]))
    finest = SHIFTS.residual([Fraction(0)], [Fraction(1, 1 << 40)], one, one)
    assert (finest.n1[0], finest.m1[0], finest.residual_shift[0]) == (40, 1, 40)
    assert arithmetic.requantize_residual(0, 1, 40, 0, -128, 1, 40) == -128
    with pytest.raises(QuantizationError, match="too far apart"):
        SHIFTS.residual([Fraction(0)], [Fraction(1, 1 << 41)], one, one)


def test_scales_that_no_residual_reaches():
    one = Encoding(np.array([1.0]), np.array([0]))
    with pytest.raises(QuantizationError, match=r"^layer: scales are too far apart"):
        DYADIC.residual([Fraction(0)], [Fraction(1)], one, Encoding(np.array([1e6]), np.array([0])))
    for records in (DYADIC, SHIFTS):
        with pytest.raises(QuantizationError, match=r"too far apart \(an accumulator's step of .* beside a residual's"):
            records.residual([Fraction(0)], [Fraction(1, 1 << 45)], one, Encoding(np.array([4096.0]), np.array([1])))
    with pytest.raises(QuantizationError, match=r"^layer: the ratio of scales 0\.3 is no power of two"):
        SHIFTS.residual([Fraction(0)], [Fraction(1)], one, Encoding(np.array([0.3]), np.array([0])))


def test_fractions():
    assert exact(np.array([0.1, 3])) == [Fraction(0.1), 3]
    assert exact_sum(np.array([[1, 2], [3, 1 << 60]])) == 6 + (1 << 60)
    values = np.array([1e16, 1.0, -1e16, 0.5])
    assert exact_sum(values) == Fraction(3, 2)
    assert [half_up(Fraction(value, 2)) for value in (-3, -1, 0, 1, 3)] == [-1, 0, 0, 1, 2]
