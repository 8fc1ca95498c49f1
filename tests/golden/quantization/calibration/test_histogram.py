"""Histograms and percentiles against NumPy over all images at once."""

import numpy as np
import pytest
import torch

from tests.golden.quantization.calibration.test_observers import BATCHES, VALUES, groups_of, observed
from triovit.golden.quantization.calibration import histogram
from triovit.golden.quantization.calibration.histogram import BINS, Histogram, PercentileObserver
from triovit.golden.quantization.calibration.observers import MinMaxObserver, Range
from triovit.golden.quantization.settings import QuantizationError


def full_range(group, values=VALUES):
    return observed(MinMaxObserver("a", group), [values])


def filled(observer, batches=tuple(BATCHES)):
    for batch in batches:
        observer.observe(batch)
    return observer


@pytest.mark.parametrize("group", [0, 1, 3])
def test_counts(group):
    full = full_range(group)
    counts = filled(Histogram("a", full, group)).counts()
    assert counts.shape == (len(full.low), BINS) and BINS >= 2048
    for i, values in enumerate(groups_of(VALUES, group)):
        clipped = np.clip(values, full.low[i], full.high[i])
        expected = np.histogram(clipped, BINS, (full.low[i], full.high[i]))[0]
        assert counts[i].sum() == len(values)
        moved = np.abs(counts[i].cumsum() - expected.cumsum())
        assert moved.sum() <= 4  # values on an edge in single precision


def test_counters_become_long_before_they_overflow(monkeypatch):
    values = torch.zeros(1, 1, 1000)
    short, long = (Histogram("a", Range(np.zeros(1), np.ones(1))) for _ in range(2))
    assert short._counts.dtype == torch.int32
    filled(short, [values] * 3)
    monkeypatch.setattr(histogram, "LARGEST_COUNT", 2000)
    filled(long, [values] * 2)
    assert long._counts.dtype == torch.int32
    filled(long, [values])
    assert long._counts.dtype == torch.int64
    assert np.array_equal(short.counts(), long.counts()) and long.counts()[0, 0] == 3000
    monkeypatch.undo()
    assert torch.iinfo(torch.int32).max >= histogram.LARGEST_COUNT


@pytest.mark.parametrize("group", [0, 1, 3])
@pytest.mark.parametrize("percentile", [99.9, 99.0, 75.0])
def test_percentiles_within_a_bin(group, percentile):
    full = full_range(group)
    found = filled(PercentileObserver("a", full, percentile, group)).range()
    step = (full.high - full.low) / BINS
    rounding = full.bound * 2.0**-12
    for i, values in enumerate(groups_of(VALUES, group)):
        low, high = np.percentile(values, (100 - percentile, percentile), method="inverted_cdf")
        assert low - 1.01 * step[i] - rounding[i] <= found.low[i] <= low + rounding[i]
        assert high - rounding[i] <= found.high[i] <= high + 1.01 * step[i] + rounding[i]


def test_percentile_100_keeps_the_extremes():
    full = full_range(1)
    found = filled(PercentileObserver("a", full, 100, 1)).range()
    np.testing.assert_allclose(found.low, full.low, rtol=1e-3)
    np.testing.assert_allclose(found.high, full.high, rtol=1e-3)


@pytest.mark.parametrize("value", [2.0, 0.0, -3e-41, 1e30, 10_001.0])  # the last is no 12-bit number
def test_constant_tensor(value):
    full = full_range(0, torch.full((2, 3, 4), value))
    observer = filled(PercentileObserver("a", full, 99.9), [torch.full((2, 3, 4), value)])
    assert observer.counts()[0, 0] == 24
    assert (observer.range().low, observer.range().high) == (full.low, full.high)


def test_ranges_too_narrow_for_single_precision():
    values = torch.tensor([0.0, 1e-41, 2e-41]).reshape(1, 1, 3)
    observer = filled(PercentileObserver("a", full_range(0, values), 99.9), [values])
    assert observer.counts().sum() == 3
    assert np.isfinite(observer.range().high).all()


def test_nothing_observed():
    with pytest.raises(QuantizationError, match=r"^layer: no calibration image was observed$"):
        PercentileObserver("layer", Range(np.zeros(1), np.ones(1)), 99).range()
