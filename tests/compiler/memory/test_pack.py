"""Weights and records, byte for byte as the architecture page describes them."""

from __future__ import annotations

import struct

import numpy as np

from triovit.compiler.memory.pack import merged_groups, pack_convolution, pack_depthwise, pack_records, repeated_record
from triovit.golden.integer.nodes import Convolution
from triovit.golden.integer.records import PostParameters

RNG = np.random.default_rng(5)


def convolution(out: int, inputs: int, kernel: int, groups: int = 1) -> Convolution:
    weight = RNG.integers(-127, 128, (out, inputs // groups, kernel, kernel)).astype(np.int8)
    return Convolution("c", "x", weight, PostParameters.create(out), groups=groups)


def test_convolution_order():
    """Output block, kernel row, kernel column, input block, lane, channel."""
    node = convolution(10, 6, 3)
    packed = pack_convolution(node, 4).reshape(3, 3, 3, 2, 4, 4)
    for out in range(12):
        for channel in range(8):
            actual = packed[out // 4, :, :, channel // 4, out % 4, channel % 4]
            expected = node.weight[out, channel] if out < 10 and channel < 6 else np.zeros((3, 3))
            assert np.array_equal(actual, expected)


def test_groups_merge_to_whole_blocks():
    """Groups of 3 channels and blocks of 4: four groups make three blocks, block diagonal."""
    node = convolution(24, 24, 1, groups=8)
    assert merged_groups(node, 4) == 2
    packed = pack_convolution(node, 4)
    assert packed.shape == (2, 3, 1, 1, 3, 4, 4)
    dense = packed[:, :, 0, 0].transpose(0, 1, 3, 2, 4).reshape(2, 12, 12)
    for merged in range(2):
        for out in range(12):
            for channel in range(12):
                expected = 0
                if out // 3 == channel // 3:
                    expected = node.weight[merged * 12 + out, channel % 3, 0, 0]
                assert dense[merged, out, channel] == expected
    assert merged_groups(convolution(20, 20, 1, groups=10), 8) == 1  # ten groups of two are no multiple of four


def test_depthwise_order():
    weight = RNG.integers(-127, 128, (6, 1, 3, 3)).astype(np.int8)
    packed = pack_depthwise(weight, 4)
    assert packed.shape == (2, 9, 4)
    assert np.array_equal(packed[1, 5], [weight[4, 0, 1, 2], weight[5, 0, 1, 2], 0, 0])


def test_record_bytes():
    post = PostParameters.create(
        5, bias=-70000, m1=65535, n1=47, zero_point=-128, m2=300, n2=13, residual_multiplier=777, residual_shift=6
    )
    packed = pack_records(post, 4)
    record = struct.pack("<iHBbHBBI", -70000, 65535, 47, -128, 300, 13, 0, 777 << 6)
    assert packed.shape == (2, 4)
    assert packed.tobytes() == record * 5 + bytes(16 * 3)
    assert repeated_record(post, 2, 4).tobytes() == record * 4


def test_residual_term_of_every_shift():
    """Whole bytes are the record's shift, the rest is in its multiplier: 24 bits hold whatever fits 48 bits."""
    shifts = np.arange(48)
    multipliers = np.minimum(65535, (1 << np.maximum(40 - shifts, 0)) - (shifts < 40))
    post = PostParameters.create(48, residual_multiplier=multipliers, residual_shift=shifts)
    post.residual_multiplier[41:] = 0  # beyond 48 bits: refused before records are packed
    records = pack_records(post, 4).reshape(-1)
    factors = records["residual_multiplier"].astype(np.int64) << (8 * records["residual_shift"].astype(np.int64))
    assert np.array_equal(factors, post.residual_multiplier << post.residual_shift)
    assert records["residual_multiplier"].max() < 1 << 24 and records["residual_shift"].tolist() == [
        min(shift // 8, 3) for shift in range(48)
    ]
    assert factors.max() == 1 << 40
