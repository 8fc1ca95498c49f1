"""ShifterArray."""

import numpy as np
import pytest

from tests.hdl.aux.kernels import simulate, spread
from triovit.golden.integer import arithmetic
from triovit.hdl.aux.shifter_array import ShifterArray

ROW = {"low_byte": 0, "high_byte": 0, "mute": 0}


def row(values, shifts, zero_points, beyond=0, negative=0, **control):
    """A row of lanes that share whether they lie beyond."""
    lanes = zip(values, shifts, zero_points, strict=True)
    return {
        "lane": [
            {"value": int(v), "shift": int(n), "zero_point": int(z), "beyond": beyond, "negative": negative}
            for v, n, z in lanes
        ],
        **ROW,
        **control,
    }


@pytest.mark.parametrize("lanes", [1, 3])
def test_values(lanes):
    rng = np.random.default_rng(lanes)
    shape = (800, lanes)
    values, zero_points = spread(rng, 48, shape), spread(rng, 8, shape)
    bits = np.ceil(np.log2(np.abs(values) + 1.0)).astype(int)
    shifts = np.where(rng.random(shape) < 0.6, np.clip(bits - 8 + rng.integers(-2, 3, shape), 0, 47), 0)
    shifts = np.where(rng.random(shape) < 0.3, rng.integers(0, 48, shape), shifts)
    # a third are small odd multiples of half an output unit: exact ties of both signs
    ties = (2 * rng.integers(-300, 300, shape) + 1) << np.maximum(np.minimum(shifts, 36) - 1, 0)
    values = np.where(rng.random(shape) < 1 / 3, ties, values)
    items = [row(*parts) for parts in zip(values, shifts, zero_points, strict=True)]
    right = ShifterArray.model(values, shifts, zero_points)
    assert simulate(ShifterArray(lanes), items) == right.tolist()
    assert len(np.unique(right)) > 150


def test_bytes_of_a_word():
    """Low and high byte, one after the other, of numbers within 16 bits and beyond."""
    rng = np.random.default_rng(2)
    edges = [e + d for e in (-(1 << 25), -65536, -32768, -256, 0, 255, 32767, 65536, (1 << 25) - 2) for d in (-1, 0, 1)]
    words = np.clip(np.concatenate([edges, spread(rng, 26, 300), spread(rng, 17, 300)]), -(1 << 25), (1 << 25) - 1)
    items, right = [], []
    for word in words.tolist():
        clipped = int(arithmetic.saturate(word, 16))
        items += [row([word], [0], [0], low_byte=1), row([word], [8], [0], high_byte=1)]
        right += [[((clipped & 255) ^ 128) - 128], [clipped >> 8]]
    assert simulate(ShifterArray(1), items) == right


def test_beyond():
    """Saturated whatever the bits are, as a byte and as the bytes of a word."""
    rng = np.random.default_rng(3)
    for value in spread(rng, 26, 40).tolist():
        for negative, byte, low, high in ((0, 127, -1, 127), (1, -128, 0, -128)):
            items = [
                row([value], [int(rng.integers(0, 16))], [int(rng.integers(-128, 128))], 1, negative),
                row([value], [0], [0], 1, negative, low_byte=1),
                row([value], [8], [0], 1, negative, high_byte=1),
            ]
            assert simulate(ShifterArray(1), items) == [[byte], [low], [high]]


def test_mute():
    items = [row([-5, 1 << 40], [0, 3], [9, 9], mute=mute) for mute in (1, 0, 1)]
    assert simulate(ShifterArray(2), items) == [[0, 0], [4, 127], [0, 0]]


def test_model_without_zero_point():
    assert ShifterArray.model(np.array([[12, -12]]), np.array([[3], [0]])).tolist() == [[2, -1], [12, -12]]


def test_parameters():
    assert ShifterArray(64).latency == 2
    assert ShifterArray(2).i.shape().size == 2 * (48 + 1 + 1 + 6 + 8) + 3
    for lanes in (0, 65):
        with pytest.raises(ValueError, match=rf"lanes must be 1\.\.64, not {lanes}"):
            ShifterArray(lanes)


def test_model_refuses_what_the_hardware_cannot_take():
    with pytest.raises(OverflowError, match="value"):
        ShifterArray.model(np.array([[1 << 47]]), np.array([0]))
    with pytest.raises(OverflowError, match="shift"):
        ShifterArray.model(np.array([[0]]), np.array([48]))
