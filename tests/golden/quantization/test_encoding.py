"""Encodings: every value of a calibrated range within half a step, zero exact, int8 zero points."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from golden.quantization.encoding import Encoding, encode_range, pixel_encoding
from golden.quantization.observers import Range
from golden.quantization.rules import TensorRule

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
