"""APoT codes against a search over all pairs of terms."""

import dataclasses
from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from triovit.golden.integer.apot import MAX_EXPONENT_BITS, MAX_LOW, ApotFormat

FORMATS = [ApotFormat(bits, low) for bits in range(1, MAX_EXPONENT_BITS + 1) for low in (0, 1, 3, MAX_LOW)]


def terms(format):
    """field -> value of one term, by the definition of the code."""
    return [0] + [2 ** (format.low + field - 1) for field in range(1, 2**format.exponent_bits)]


def values(format):
    """code -> value of all codes."""
    table = {}
    for (e1, t1), (e2, t2), sign in product(enumerate(terms(format)), enumerate(terms(format)), (0, 1)):
        table[sign + 2 * e1 + 2 * e2 * 2**format.exponent_bits] = (-1) ** sign * (t1 + t2)
    return table


@pytest.mark.parametrize("format", FORMATS, ids=str)
def test_decode_all_codes(format):
    table = values(format)
    codes = np.arange(2**format.width)
    assert len(table) == len(codes)
    assert format.decode(codes).tolist() == [table[code] for code in range(len(codes))]
    assert format.levels.tolist() == sorted(set(table.values()))
    assert format.max == max(table.values()) == -min(table.values())
    assert format.high == max(terms(format)).bit_length() - 1


@pytest.mark.parametrize("format", FORMATS, ids=str)
def test_encode_is_nearest_with_ties_to_the_smaller_magnitude(format):
    reach = min(format.max + format.max // 4 + 3, 3000)
    samples = sorted({*range(-reach, reach + 1), *(n + d for n in format.levels.tolist() for d in (-1, 0, 1))})
    midpoints = (format.levels[1:] + format.levels[:-1]) // 2
    samples = np.array([*samples, *midpoints, *(midpoints + 1), 1 << 61, -(1 << 61)])
    nearest = [min(format.levels.tolist(), key=lambda level: (abs(level - v), abs(level))) for v in samples.tolist()]
    assert format.decode(format.encode(samples)).tolist() == nearest


@pytest.mark.parametrize("format", FORMATS, ids=str)
def test_nearest_levels_of_relu_k(format):
    values = np.arange(-300, 300).reshape(3, -1)
    found = format.nearest(values)
    assert found.shape == values.shape and found.dtype == np.int64
    assert found.reshape(-1).tolist() == [
        min(format.levels.tolist(), key=lambda level: (abs(level - v), abs(level))) for v in range(-300, 300)
    ]
    assert format.nearest(np.arange(128)).max() <= 128
    assert np.array_equal(format.nearest(format.levels), format.levels)


@pytest.mark.parametrize("format", FORMATS, ids=str)
def test_codes_of_the_encoder_are_canonical(format):
    table = values(format)
    mask = 2**format.exponent_bits - 1
    for level, code in zip(format.levels.tolist(), format.encode(format.levels).tolist(), strict=True):
        fields = code >> 1 & mask, code >> 1 >> format.exponent_bits
        rivals = [c for c, value in table.items() if value == level]
        active = [bool(c >> 1 & mask) + bool(c >> 1 >> format.exponent_bits) for c in rivals]
        assert code in rivals and bool(fields[0]) + bool(fields[1]) == min(active)
        assert fields[0] >= fields[1]
    assert int(format.encode(0)) == 0


def test_default_format():
    format = ApotFormat()
    assert (format.width, format.high, format.max, format.product_bits) == (7, 6, 128, 16)
    assert format.levels[format.levels >= 0].tolist() == [
        0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 12, 16, 17, 18, 20, 24, 32, 33, 34, 36, 40, 48, 64, 65, 66, 68, 72, 80, 96, 128
    ]  # fmt: skip
    # 7 lies between 6 and 8, 11 between 10 and 12, 22 between 20 and 24: the smaller magnitude wins
    assert format.decode(format.encode([7, -7, 11, 22, -112, 113])).tolist() == [6, -6, 10, 20, -96, 128]
    # layout of the code: sign, e1 (field 7 = exponent 6), e2 (field 1 = exponent 0)
    assert int(format.encode(-65)) == 1 | 7 << 1 | 1 << 4


@pytest.mark.parametrize("format", FORMATS, ids=str)
def test_product_bits_are_just_enough(format):
    products = [a * w for a in (-128, 127) for w in (format.max, -format.max)]
    bound = Fraction(1, 2) * 2**format.product_bits
    assert -bound <= min(products) and bound / 2 <= max(products) < bound


def test_shapes_and_types():
    format = ApotFormat(2, 1)
    array = np.array([[2, -4], [0, 8]])
    codes = format.encode(array)
    assert codes.shape == (2, 2) and codes.dtype == np.int64 and format.decode(codes).dtype == np.int64
    assert np.array_equal(format.decode(codes), array)


def test_ranges_are_checked():
    format = ApotFormat(2)
    for codes in (-1, 32):
        with pytest.raises(OverflowError, match=r"APoT code must lie in \[0, 31\]"):
            format.decode(codes)
    with pytest.raises(OverflowError, match="APoT value"):
        format.encode((1 << 61) + 1)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"exponent_bits": 0}, ValueError, "exponent_bits must be 1..4, not 0"),
        ({"exponent_bits": 5}, ValueError, "exponent_bits must be 1..4, not 5"),
        ({"exponent_bits": True}, TypeError, "exponent_bits must be an integer, not True"),
        ({"low": -1}, ValueError, "low must be 0..8, not -1"),
        ({"low": 9}, ValueError, "low must be 0..8, not 9"),
        ({"low": 1.0}, TypeError, "low must be an integer, not 1.0"),
    ],
)
def test_parameters_are_checked(arguments, error, text):
    with pytest.raises(error, match=text):
        ApotFormat(**arguments)


def test_format_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        ApotFormat().low = 1
