"""Scales inside an attention: eight bits hold K^T V and the row sums, and codes hold the largest divisor."""

import math
from fractions import Fraction

import numpy as np
import pytest

from triovit.golden.integer import arithmetic
from triovit.golden.network.graph import LinearAttentionLayer
from triovit.golden.quantization.calibration.observers import Range
from triovit.golden.quantization.divisor import (
    BranchScales,
    branch_scales,
    largest_offset,
    reachable_offset,
    uniform_ratios,
)
from triovit.golden.quantization.encoding import Encoding

LAYER = LinearAttentionLayer(name="att", output="att", block="att", inputs=("x", "y"), heads=2, dim=4)
SOURCE = Encoding(np.array([0.5, 0.25, 0.125, 0.0625, 2.0, 1.0]).repeat(4), np.zeros(24, dtype=int))


def ranges(kv=(100.0, 50.0), sums=(30.0, 60.0), divisor=(1000.0, 100.0)):
    return {
        "att.kv1": Range(-np.array(kv), np.array(kv) / 2),
        "att.sum1": Range(np.zeros(2), np.array(sums)),
        "att.divisor1": Range(np.zeros(2), np.array(divisor)),
    }


def scales_with(largest, heads=2, kv=1, sums=1):
    one = [Fraction(1)] * heads
    return BranchScales(one, one, one, [Fraction(kv)] * heads, [Fraction(sums)] * heads, Fraction(largest))


def test_scales_a_head():
    found = branch_scales(LAYER, 1, SOURCE, ranges(), False)
    assert found.q == [Fraction(1, 2), Fraction(1, 16)]
    assert found.k == [Fraction(1, 4), 2]
    assert found.v == [Fraction(1, 8), 1]
    assert found.kv == [Fraction(100, 127), Fraction(50, 127)]
    assert found.sum == [Fraction(30, 127), Fraction(60, 127)]
    integers = [1000 / (Fraction(1, 2) * Fraction(30, 127)), 100 / (Fraction(1, 16) * Fraction(60, 127))]
    assert found.largest == max(integers) * Fraction(5, 4)


def test_a_head_that_is_always_zero_gets_the_largest_scale():
    assert branch_scales(LAYER, 1, SOURCE, ranges(kv=(0, 50), sums=(0, 60)), False).kv == [Fraction(50, 127)] * 2
    found = branch_scales(LAYER, 1, SOURCE, ranges(kv=(0, 0), sums=(0, 0), divisor=(0, 0)), False)
    assert found.kv == found.sum == [Fraction(1, 127)] * 2
    assert found.largest == 0


def test_a_head_that_hardly_moves_has_a_scale_that_multipliers_reach():
    """q, k and v of all heads may share a scale, which is far too coarse for one of them."""
    found = branch_scales(LAYER, 1, SOURCE, ranges(kv=(100, 1e-9), sums=(1e-9, 60)), False)
    assert found.kv == [Fraction(100, 127), Fraction(2, 65535)]
    assert found.sum == [Fraction(1, 4 * 65535), Fraction(60, 127)]
    for accumulator, scale in ((2, found.kv[1]), (Fraction(1, 4), found.sum[0])):
        assert arithmetic.dyadic(*(accumulator / scale).as_integer_ratio()) == (65535, 0)


def test_power_of_two_scales_hold_the_range_and_are_no_finer_than_the_accumulator():
    found = branch_scales(LAYER, 1, SOURCE, ranges(), True)
    assert found.kv == [1, 2]  # 100 / 127 rounds up; v * k is 2 in the second head
    assert found.sum == [Fraction(1, 4), 2]
    assert branch_scales(LAYER, 1, SOURCE, ranges(kv=(1000, 5000)), True).kv == [8, 64]
    for scale, bound, beside in zip(found.kv + found.sum, (100, 50, 30, 60), (0.03125, 2, 0.25, 2), strict=True):
        assert math.log2(scale).is_integer()
        assert scale * 127 >= bound
        assert scale >= beside
        assert scale == beside or scale * 127 < 2 * bound


@pytest.mark.parametrize("largest", [1, 2, 3, 5, 100, 1535, 1536, 1 << 20, Fraction(7, 2), 0])
def test_the_largest_divisor_gets_the_largest_code(largest):
    offset = largest_offset(scales_with(largest))
    assert arithmetic.divisor_code(max(math.ceil(largest), 1), offset) == 15
    if largest > 1:
        assert arithmetic.divisor_code(max(math.ceil(largest) // 3, 1), offset) < 15


def test_divisors_beyond_the_accumulator_count_as_the_largest():
    assert {largest_offset(scales_with(1 << power)) for power in (32, 40, 80)} == {15 - 32}


@pytest.mark.parametrize("heads", [1, 3])
def test_reachable_offsets_are_the_largest_that_records_hold(heads):
    rng = np.random.default_rng(heads)
    for _ in range(20):
        ratios = [Fraction(2) ** int(e) for e in rng.integers(-24, 20, heads)]
        assert max(ratios) * Fraction(2) ** reachable_offset(ratios, True) == 1
        ratios = [Fraction(float(2.0**e)) for e in rng.uniform(-24, 20, heads)]
        offset = reachable_offset(ratios, False)
        for ratio in ratios:
            arithmetic.dyadic(*(ratio * Fraction(2) ** offset).as_integer_ratio())
        with pytest.raises(ValueError, match="does not fit"):
            beyond = max(ratios) * Fraction(2) ** (offset + 1)
            arithmetic.dyadic(*beyond.as_integer_ratio())
    assert reachable_offset([Fraction(65535), Fraction(1, 7)], False) == 0


@pytest.mark.parametrize("largest", [0, Fraction(1, 2), 1, 200, 255, 256, 1000, Fraction(123457, 11)])
def test_uniform_divisors_fit_eight_bits(largest):
    ratios = uniform_ratios(scales_with(largest, 3), False)
    assert len(set(ratios)) == 1
    assert len(ratios) == 3
    assert ratios[0] == min(1, Fraction(255) / max(Fraction(largest), 1))
    (shift,) = set(uniform_ratios(scales_with(largest), True))
    assert math.log2(shift).is_integer()
    assert shift <= ratios[0] < 2 * shift or (shift == ratios[0] == 1)
