import dataclasses

import numpy as np
import pytest
import torch

from tests.golden.quantization.schemes import convolution_layer
from triovit.golden.integer.apot import ApotFormat
from triovit.golden.quantization.encoding import Encoding
from triovit.golden.quantization.reconstruction.rounding import Rounding, check, neighbours
from triovit.golden.quantization.weights.quantized import QuantizedWeights

CHANNELS = 4


def case(bits=8, apot=False, seed=0):
    """A layer whose weights are up to 20 % beyond the range of the integers."""
    rng = np.random.default_rng(seed)
    largest = (1 << (bits - 1)) - 1
    step, source = rng.uniform(0.01, 0.02, 6), Encoding(rng.uniform(0.1, 0.2, CHANNELS), np.zeros(CHANNELS, dtype=int))
    ratio = rng.uniform(-1.2 * largest, 1.2 * largest, (6, CHANNELS, 1, 1))
    ratio[0, 0] = 3  # an integer already
    weight = ratio * step[:, None, None, None] / source.scale[None, :, None, None]
    filters = np.array([False, True] * 3) if apot else np.zeros(0, dtype=bool)
    weights = QuantizedWeights(
        np.clip(np.rint(ratio), -largest, largest).astype(np.int64), step, bits, ApotFormat() if apot else None, filters
    )
    return convolution_layer(weight, np.zeros(6)), weights, source, ratio


@pytest.mark.parametrize(("bits", "apot"), [(8, False), (4, False), (8, True)])
def test_neighbours_enclose_the_weight(bits, apot):
    _, weights, _, ratio = case(bits, apot)
    lower, upper = neighbours(ratio, weights)
    largest = (1 << (bits - 1)) - 1
    uniform = ~weights.apot_filters if apot else np.ones(6, dtype=bool)
    inside = np.clip(ratio, -largest, largest)
    assert np.array_equal(lower[uniform], np.floor(inside)[uniform])
    assert np.array_equal(upper[uniform], np.ceil(inside)[uniform])
    if apot:
        levels = ApotFormat().levels
        for low, high, value in zip(lower[~uniform].flat, upper[~uniform].flat, ratio[~uniform].flat, strict=True):
            value = np.clip(value, levels[0], levels[-1])
            assert low <= value <= high
            assert not ((levels > low) & (levels < high)).any()  # none in between
            assert low in levels and high in levels


@pytest.mark.parametrize(("bits", "apot"), [(8, False), (4, False), (8, True)])
def test_starts_at_the_real_weight(bits, apot):
    layer, weights, source, ratio = case(bits, apot)
    rounding = Rounding(layer, weights, source)
    largest = np.full(6, (1 << (bits - 1)) - 1.0)
    if apot:
        largest[weights.apot_filters] = ApotFormat().max
    unit = weights.step[:, None, None, None] / source.scale[None, :, None, None]
    expected = np.clip(ratio, -largest[:, None, None, None], largest[:, None, None, None]) * unit
    assert rounding.soft().detach().numpy() == pytest.approx(expected, rel=1e-4, abs=1e-5)
    nearest = np.abs(rounding.hard() - np.clip(ratio, -largest[:, None, None, None], largest[:, None, None, None]))
    assert (nearest <= (rounding.upper - rounding.lower) / 2 + 1e-4).all()


def test_decisions_become_hard():
    layer, weights, source, ratio = case(4)
    rounding = Rounding(layer, weights, source)
    with torch.no_grad():
        rounding.alpha.copy_(torch.where(torch.arange(24).reshape(6, 4, 1, 1) % 2 == 0, 9.0, -9.0))
    up = np.arange(24).reshape(6, 4, 1, 1) % 2 == 0
    values = rounding.hard()
    assert values.dtype == np.int64
    assert np.array_equal(values, np.where(up, np.ceil(ratio.clip(-7, 7)), np.floor(ratio.clip(-7, 7))))
    # then the soft weights are exactly the hard ones', and the regularizer is at its minimum
    real = dataclasses.replace(weights, values=values).real(layer.folded, source)
    assert rounding.soft().detach().numpy() == pytest.approx(real, rel=1e-5)
    assert rounding.regularizer(2.0).item() == 0


def test_regularizer_counts_open_decisions():
    layer, weights, source, ratio = case()
    rounding = Rounding(layer, weights, source)
    inside = np.clip(ratio, -127, 127)
    share = inside - np.floor(inside)
    expected = (1 - np.abs(2 * share - 1) ** 3)[share > 0].sum()
    assert rounding.regularizer(3.0).item() == pytest.approx(expected, rel=1e-3)
    rounding.regularizer(3.0).backward()
    moved = (share > 0.01) & (share < 0.99) & (np.abs(share - 0.5) > 0.01)
    assert (np.sign(rounding.alpha.grad.numpy()) == np.sign(0.5 - share))[moved].all()  # descending closes them


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"position": (2, 1), "by": 2}, "not rounded to a neighbour"),
        ({"position": (1, 1), "by": 1000, "widen": True}, "no APoT level"),
        ({"position": (2, 1), "by": 1000, "widen": True}, "leaves 8 bits"),
    ],
)
def test_check_finds_defects(change, message):
    _, weights, _, ratio = case(8, True)
    lower, upper = neighbours(ratio, weights)
    values = lower.astype(np.int64)
    check(values, lower, upper, weights, "a")
    values[change["position"]] += change["by"]
    if "widen" in change:
        lower[change["position"]] = values[change["position"]]
    with pytest.raises(AssertionError, match=f"^a: a weight .*{message.removeprefix('no ')}"):
        check(values, lower, upper, weights, "a")
