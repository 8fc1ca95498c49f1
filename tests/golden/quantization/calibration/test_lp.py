"""The L_p search against the errors of the values themselves, candidate by candidate."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from triovit.golden.quantization.calibration.lp import LpObserver
from triovit.golden.quantization.calibration.observers import MinMaxObserver, Range, grouped
from triovit.golden.quantization.encoding import encode, encode_range, range_scales
from triovit.golden.quantization.rules import TensorRule
from triovit.golden.quantization.settings import QuantizationError

CANDIDATES = 1 - 0.01 * np.arange(80)
RULES = {
    "tensor": TensorRule(6, 1),
    "symmetric tensor": TensorRule(6, 1, True),
    "channel": TensorRule(1, 6),
    "symmetric channel": TensorRule(1, 6, True),
    "zero point per channel": TensorRule(1, 1),
    "zero point per group": TensorRule(2, 1),
    "q, k, v": TensorRule(2, 3, True, True),
    "q, k, v with one scale": TensorRule(2, 1, True, True),
}


def samples(distribution, shape=(40, 6, 25, 25)):
    """Float32 activations with outliers; channels differ in range and place."""
    rng = np.random.default_rng(1)
    if distribution == "laplace":
        values = rng.laplace(size=shape)
    else:
        values = rng.standard_t(3, size=shape)
        values = values * np.clip(values + 3, 0, 6) / 6
    return torch.from_numpy((values * np.arange(1, 7)[:, None, None]).astype(np.float32))


def observe(values, rule, norm=2.4):
    extremes = MinMaxObserver("a", rule.group)
    extremes.observe(values)
    full = extremes.range()
    observer = LpObserver("a", full, norm, rule)
    for batch in values.split(16):
        observer.observe(batch)
    return full, observer.range()


def true_errors(values, full, rule, norm):
    """(80, scales): sums of |x - Q(x)|**p over the values that share a scale, x and Q(x) cut as attention cuts them."""
    groups, members = len(full.low), len(full.low) // rule.scales
    own = range_scales(full, replace(rule, scales=groups))
    shared = range_scales(full, rule)
    x = grouped(values, rule.group).double().numpy().transpose(1, 0, 2).reshape(groups, -1)
    result = []
    for share in CANDIDATES:
        factor = np.minimum(1, share * shared.repeat(members) / own)
        encoding = encode(Range(full.low * factor, full.high * factor), rule, shared * share)
        scale, zero = (a.reshape(groups, -1)[:, :1] for a in (encoding.scale, encoding.zero_point))
        quantized = scale * (np.clip(np.rint(x / scale) + zero, -128, 127) - zero)
        cut = (rule.rectified & (np.arange(groups) % 3 < 2))[:, None]
        difference = np.where(cut, np.maximum(x, 0) - np.maximum(quantized, 0), x - quantized)
        result.append((np.abs(difference) ** norm).reshape(rule.scales, -1).sum(axis=1))
    return np.array(result)


@pytest.mark.parametrize("norm", [2.0, 2.4, 4.0])
@pytest.mark.parametrize("distribution", ["laplace", "hardswish"])
@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_finds_the_least_error(rule, distribution, norm):
    values = samples(distribution)
    full, found = observe(values, rule, norm)
    errors = true_errors(values, full, rule, norm)
    share = range_scales(found, rule) / range_scales(full, rule)
    step = np.rint(100 * (1 - share)).astype(int)
    np.testing.assert_allclose(share, CANDIDATES[step], atol=1e-3)
    excess = errors[step, np.arange(rule.scales)] / errors.min(axis=0) - 1
    assert excess.max() < 0.01  # values count as uniform within a bin
    if norm < 4:
        assert (errors[0] / errors.min(axis=0)).max() > 1.02  # extremes would not have done


def test_groups_with_a_common_scale_are_cut_to_its_width():
    values = samples("laplace")
    full, found = observe(values, TensorRule(1, 1))
    width = found.high - found.low
    cut = width < 0.999 * (full.high - full.low)
    assert 0 < cut.sum() < 6
    np.testing.assert_allclose(width[cut], width.max(), rtol=1e-3)
    assert np.array_equal(found.low[~cut], full.low[~cut]) and np.array_equal(found.high[~cut], full.high[~cut])
    np.testing.assert_allclose(found.high / found.low, full.high / full.low, rtol=1e-3)  # both ends alike


def test_outliers_are_cut_and_uniform_values_are_not():
    rng = np.random.default_rng(0)
    values = torch.from_numpy(rng.uniform(-1, 1, (50, 1, 10_000)).astype(np.float32))
    rule = TensorRule(1, 1, True)
    full, found = observe(values, rule)
    assert np.array_equal(found.low, full.low) and np.array_equal(found.high, full.high)
    values[0, 0, 0] = 1.5
    assert 0.95 < observe(values, rule)[1].bound < 1.15
    values[0, 0, 0] = 50  # one error of 40 weighs more than the rounding of all others
    assert observe(values, rule)[1].bound > 30
    assert 10 < observe(values, rule, norm=0.5)[1].bound < 11  # not so here: the 80th candidate


def test_high_norms_keep_the_extremes():
    values = samples("laplace")
    full, found = observe(values, TensorRule(6, 1, True), norm=100)
    assert found.bound / full.bound > 0.98
    assert np.isfinite(found.bound).all()


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
@pytest.mark.parametrize("value", [0.0, 3.0, -1e-30])
def test_constant_tensor(rule, value):
    full, found = observe(torch.full((4, 6, 5), value), rule)
    expected, encoding = encode_range(full, rule), encode_range(found, rule)
    assert np.array_equal(encoding.scale, expected.scale) and np.array_equal(encoding.zero_point, expected.zero_point)


def test_a_constant_channel_beside_others():
    values = samples("laplace")
    values[:, 2] = 4
    full, found = observe(values, TensorRule(1, 6))
    assert (found.low[2], found.high[2]) == (full.low[2], full.high[2]) == (4, 4)


def test_channels_that_hardly_move_keep_their_range():
    values = samples("laplace")
    values[:, 1] *= 1e-6
    full, found = observe(values, TensorRule(1, 6))
    assert (found.low[1], found.high[1]) == (full.low[1], full.high[1])
    assert found.high[5] < full.high[5]


def test_nothing_observed():
    observer = LpObserver("layer", Range(np.zeros(1), np.ones(1)), 2.4, TensorRule(3, 1))
    with pytest.raises(QuantizationError, match=r"^layer: no calibration image was observed$"):
        observer.range()
