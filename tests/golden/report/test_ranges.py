"""Ranges of channels: the numbers that tell what migration and shifting do."""

import numpy as np

from triovit.golden.quantization.calibration.observers import Range
from triovit.golden.quantization.encoding import Encoding
from triovit.golden.report.activations import TensorCodes
from triovit.golden.report.ranges import channel_ranges, most_uneven

CODES = TensorCodes(np.array([-128, -100, -10]), np.array([127, 100, 10]))
ENCODING = Encoding(np.array([0.5, 0.25, 0.25]), np.array([-128, 0, 0]))


def test_spans_with_and_without_own_scales():
    found = channel_ranges("x", CODES, None, ENCODING)
    assert found.span_after == 200
    assert found.span_before == 100  # spans 255, 200, 20 in steps of 0.5: 255, 100, 10


def test_decoded_integers_stand_in_for_the_float_network():
    found = channel_ranges("x", CODES, None, ENCODING)
    assert found.origin == "decoded integers"
    assert found.real.low.tolist() == [0, -25, -2.5] and found.real.high.tolist() == [127.5, 25, 2.5]
    assert found.spread == 152.5 / 50
    assert found.held == (255, 152.5, 127.5)
    real = Range(np.array([5.0, -3.0, 0.0]), np.array([9.0, -2.0, 4.0]))
    found = channel_ranges("x", CODES, real, ENCODING)
    assert found.origin == "float network"
    assert found.held == (18, 12, 9)  # every channel's range is widened to hold 0
    found = channel_ranges("x", CODES, Range(-real.high, -real.low), ENCODING)
    assert found.held == (18, 12, 9)


def test_nothing_known():
    found = channel_ranges("x", CODES, None, None)
    assert (found.real, found.spread, found.held, found.span_before, found.span_after) == (None, None, None, None, 200)


def test_constant_channels_have_no_spread():
    real = Range(np.zeros(3), np.array([0.0, 0.0, 1.0]))
    assert channel_ranges("x", CODES, real, None).spread is None


def test_the_most_uneven_ones_in_their_order():
    tensors = [
        channel_ranges(str(k), CODES, Range(np.zeros(3), np.array([1.0, 1.0, width])), None)
        for k, width in enumerate((2, 9, 1, 8, 3))
    ]
    assert [tensor.name for tensor in most_uneven(tensors)] == ["1", "3", "4"]
    unknown = [channel_ranges(str(k), CODES, None, None) for k in range(6)]
    assert [tensor.name for tensor in most_uneven(unknown)] == ["0", "2", "4"]
    assert [tensor.name for tensor in most_uneven(unknown[:2])] == ["0", "1"]
