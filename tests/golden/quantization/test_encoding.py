"""Encodings: every value of a calibrated range within half a step, zero exact, int8 zero points."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triovit.golden.quantization.calibration.observers import Range
from triovit.golden.quantization.encoding import (
    Encoding,
    encode,
    encode_range,
    fraction_bits,
    logit_encoding,
    pixel_encoding,
    range_scales,
)
from triovit.golden.quantization.rules import TensorRule
from triovit.golden.quantization.settings import QuantizationError

ENDS = st.lists(st.tuples(st.floats(-100, 100), st.floats(-100, 100)), min_size=4, max_size=4)


def found(ends):
    return Range(np.array([min(pair) for pair in ends]), np.array([max(pair) for pair in ends]))


def quantize(encoding, values, channel):
    return np.clip(np.round(values / encoding.scale[channel]) + encoding.zero_point[channel], -128, 127)


@settings(derandomize=True, deadline=None, max_examples=150)
@given(ENDS, st.sampled_from([1, 2, 4]), st.sampled_from([1, 3]), st.booleans())
def test_ranges_are_covered(ends, scales, group, symmetric):
    ranges = found(ends)
    encoding = encode_range(ranges, TensorRule(group, scales, symmetric))
    assert encoding.scale.shape == encoding.zero_point.shape == (4 * group,)
    assert encoding.zero_point.min() >= -128
    assert encoding.zero_point.max() <= 127
    assert len(set(encoding.scale.tolist())) <= scales
    assert not symmetric or not encoding.zero_point.any()
    for channel in range(4 * group):
        low, high = ranges.low[channel // group], ranges.high[channel // group]
        values = np.linspace(low, high, 50)
        q = quantize(encoding, values, channel)
        decoded = (q - encoding.zero_point[channel]) * encoding.scale[channel]
        # half a step, or one where rounding the zero point moved an end of the range out of int8
        assert np.abs(decoded - values).max() <= encoding.scale[channel] * (1 + 1e-9)
        assert encoding.zero_point[channel] == quantize(encoding, np.zeros(1), channel)[0]


def test_the_widest_group_uses_all_codes():
    encoding = encode_range(Range(np.array([-1.0, 0.0]), np.array([3.0, 1.0])), TensorRule(1, 1))
    assert encoding.scale.tolist() == [4 / 255] * 2
    assert [quantize(encoding, v, 0) for v in (-1.0, 3.0)] == [-128, 127]
    middle = quantize(encoding, np.array([0.0, 1.0]), 1).mean()
    assert abs(middle + 0.5) <= 0.5  # a narrow range stands in the middle


def test_ranges_without_zero_are_widened_to_it():
    encoding = encode_range(Range(np.array([5.0]), np.array([10.0])), TensorRule(1, 1))
    assert (encoding.scale[0], encoding.zero_point[0]) == (10 / 255, -128)
    encoding = encode_range(Range(np.array([-10.0]), np.array([-5.0])), TensorRule(1, 1))
    assert encoding.zero_point[0] == 127


def test_symmetric_and_rectified():
    ranges = Range(np.array([-8.0, -8.0, -8.0]), np.array([1.0, 2.0, 4.0]))
    assert encode_range(ranges, TensorRule(1, 3, True)).scale.tolist() == [8 / 127] * 3
    rectified = encode_range(ranges, TensorRule(2, 3, True, True))  # q and k below zero are never used, v is
    assert rectified.scale.tolist() == [1 / 127, 1 / 127, 2 / 127, 2 / 127, 8 / 127, 8 / 127]
    assert encode_range(ranges, TensorRule(1, 1, True, True)).scale.tolist() == [8 / 127] * 3


def test_dead_channels_and_dead_tensors():
    encoding = encode_range(Range(np.zeros(2), np.array([0.0, 1.0])), TensorRule(1, 2))
    assert encoding.scale.tolist() == [2.0**-8 / 255, 1 / 255]
    assert encode_range(Range(np.zeros(2), np.zeros(2)), TensorRule(1, 1)).scale.tolist() == [1, 1]


def test_pixels():
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    encoding = pixel_encoding(mean, std)
    pixels = np.arange(256)
    decoded = encoding.decode(np.broadcast_to(pixels - 128, (3, 256)))
    np.testing.assert_allclose(decoded, [(pixels / 255 - m) / s for m, s in zip(mean, std, strict=True)], atol=1e-12)


def test_decode():
    encoding = Encoding(np.array([0.5, 2.0]), np.array([1, -1]))
    assert encoding.decode(np.array([[[3]], [[3]]])).reshape(-1).tolist() == [1.0, 8.0]


def test_quantize_rounds_half_up_and_saturates():
    encoding = Encoding(np.array([0.5, 2.0]), np.array([1, -1]))
    integers = encoding.quantize(np.array([[[0.25, -0.25, 0.24, 63.0, 64.0]], [[1.0, -1.0, -3.1, -300.0, 0.0]]]))
    assert integers.dtype == np.int8
    assert integers.reshape(2, 5).tolist() == [[2, 1, 1, 127, 127], [0, -1, -3, -128, -1]]


@settings(derandomize=True, deadline=None, max_examples=100)
@given(ENDS, st.booleans(), st.lists(st.integers(-6, 6), min_size=4, max_size=4))
def test_factors_keep_the_ranges_covered(ends, symmetric, exponents):
    """Groups get the common scale times their factors, and the common scale is the least that holds them all."""
    ranges, factors = found(ends), 2.0 ** np.array(exponents)
    rule = TensorRule(1, 1, symmetric)
    common = range_scales(ranges, rule, factors)
    encoding = encode_range(ranges, rule, factors)
    assert encoding.scale.tolist() == (common[0] * factors).tolist()
    low, high = np.minimum(ranges.low, 0), np.maximum(ranges.high, 0)
    width = 2 * np.maximum(-low, high) / 254 if symmetric else (high - low) / 255
    if width.max() > 0:
        assert (encoding.scale >= width * (1 - 1e-12)).all()
        assert (encoding.scale / width.clip(1e-300)).min() == pytest.approx(1)
    for channel in range(4):
        values = np.linspace(ranges.low[channel], ranges.high[channel], 20)
        decoded = (quantize(encoding, values, channel) - encoding.zero_point[channel]) * encoding.scale[channel]
        assert np.abs(decoded - values).max() <= encoding.scale[channel] * (1 + 1e-9)


def test_encode_takes_given_scales():
    ranges = Range(np.array([-1.0, 0.0, -2.0, -1.0]), np.array([3.0, 1.0, 2.0, 500.0]))
    encoding = encode(ranges, TensorRule(2, 2), np.array([0.5, 0.25]))
    assert encoding.scale.tolist() == [0.5] * 4 + [0.25] * 4
    assert encoding.zero_point.tolist() == [-2, -2, -1, -1, 0, 0, -128, -128]
    assert not encode(ranges, TensorRule(2, 2, True), np.array([0.5, 0.25])).zero_point.any()


def test_logits_have_one_scale():
    encoded = logit_encoding(Range(np.array([-4.0]), np.array([10.0])), 5)
    assert set(encoded.scale) == {20 / 32767}
    assert not encoded.zero_point.any()
    assert set(logit_encoding(Range(np.zeros(1), np.zeros(1)), 2).scale) == {2 / 32767}


def test_power_of_two_logits_keep_their_room():
    for largest in (0.3, 10.0, 16383.5, 16384.0):
        scale = logit_encoding(Range(np.array([-largest]), np.zeros(1)), 3, True).scale
        assert np.frexp(scale[0])[0] == 0.5
        assert 2 * largest / 32767 <= scale[0] < 4 * largest / 32767


@pytest.mark.parametrize(("largest", "bits"), [(0.5, 12), (7.9, 12), (8.0, 11), (63.9, 9), (64.0, 8), (32767.0, 0)])
def test_fraction_bits_leave_room_for_the_operand(largest, bits):
    assert fraction_bits("a", Range(np.array([-9000.0]), np.array([largest]))) == bits
    assert largest < 2 ** (15 - bits)


def test_operands_beyond_fixed_point():
    with pytest.raises(
        QuantizationError, match=r"^a: hardswish operands reach 40000, beyond 16-bit fixed point, which ends at 32768: "
    ):
        fraction_bits("a", Range(np.zeros(1), np.array([40000.0])))
