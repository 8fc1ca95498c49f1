"""Observers against NumPy over all images at once."""

import numpy as np
import pytest
import torch

from golden.quantization.observers import BINS, MinMaxObserver, PercentileObserver, Range
from golden.quantization.settings import QuantizationError

VALUES = (
    torch.from_numpy(np.random.default_rng(0).normal(size=(40, 6, 9, 7)).astype(np.float32))
    * torch.arange(1, 7)[:, None, None]
)
ROUNDING = 2.0**-12  # relative, of the ends of a range


def groups_of(values, group):
    values = values.double().numpy()
    return (
        values.reshape(len(values), 6 // group if group else 1, -1)
        .transpose(1, 0, 2)
        .reshape(6 // group if group else 1, -1)
    )


@pytest.mark.parametrize("group", [0, 1, 2, 3])
def test_min_max_over_batches(group):
    observer = MinMaxObserver("a", group)
    for start in range(0, 40, 16):
        observer.observe(VALUES[start : start + 16])
    found, expected = observer.range(), groups_of(VALUES, group)
    np.testing.assert_allclose(found.low, expected.min(1), rtol=ROUNDING)
    np.testing.assert_allclose(found.high, expected.max(1), rtol=ROUNDING)
    np.testing.assert_allclose(found.bound, np.abs(expected).max(1), rtol=ROUNDING)


@pytest.mark.parametrize("group", [0, 1, 3])
@pytest.mark.parametrize("percentile", [99.9, 99.0, 75.0])
def test_percentiles_within_a_bin(group, percentile):
    full = MinMaxObserver("a", group)
    full.observe(VALUES)
    observer = PercentileObserver("a", full.range(), percentile, group)
    for start in range(0, 40, 16):
        observer.observe(VALUES[start : start + 16])
    found, expected = observer.range(), groups_of(VALUES, group)
    step = (full.range().high - full.range().low) / BINS
    for i, values in enumerate(expected):
        inside = (100 - percentile, percentile)
        low, high = np.percentile(values, inside, method="inverted_cdf")
        assert abs(found.low[i] - low) <= 1.1 * step[i]
        assert abs(found.high[i] - high) <= 1.1 * step[i]
        assert np.mean(values > found.high[i] + step[i] / 10) <= 1 - percentile / 100 + 1e-9


def test_percentile_100_keeps_the_extremes():
    full = MinMaxObserver("a", 1)
    full.observe(VALUES)
    observer = PercentileObserver("a", full.range(), 100, 1)
    observer.observe(VALUES)
    np.testing.assert_allclose(observer.range().low, full.range().low, rtol=1e-3)
    np.testing.assert_allclose(observer.range().high, full.range().high, rtol=1e-3)


def test_constant_tensor():
    observer = PercentileObserver("a", Range(np.array([2.0]), np.array([2.0])), 99.9)
    observer.observe(torch.full((2, 3, 4), 2.0))
    assert (observer.range().low.item(), observer.range().high.item()) == (2.0, 2.0)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_not_finite(bad):
    values = VALUES.clone()
    values[3, 2, 1, 1] = bad
    with pytest.raises(QuantizationError, match=r"^layer: the float network's values are not finite numbers$"):
        MinMaxObserver("layer", 1).observe(values)


@pytest.mark.parametrize(
    "make", [lambda: MinMaxObserver("layer"), lambda: PercentileObserver("layer", Range(np.zeros(1), np.ones(1)), 99)]
)
def test_nothing_observed(make):
    with pytest.raises(QuantizationError, match="layer: no calibration image was observed"):
        make().range()
