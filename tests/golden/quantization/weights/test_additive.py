"""Additive powers of two: nearest levels, steps and the choice of filters, against brute force."""

import numpy as np
import pytest

from triovit.golden.integer.apot import ApotFormat
from triovit.golden.quantization.weights import uniform
from triovit.golden.quantization.weights.additive import SCALES, choose_filters, quantize_additive, rounding
from triovit.golden.quantization.weights.steps import StepRule

FORMATS = [ApotFormat(3), ApotFormat(2), ApotFormat(2, 3)]


def brute_force(weight, step, apot):
    """Nearest level of every weight of a filter; of two as near the one with the smaller magnitude."""
    levels = np.array(sorted(apot.levels, key=abs))
    return levels[np.abs(weight[:, None] / step - levels).argmin(axis=1)]


@pytest.mark.parametrize("apot", FORMATS)
def test_rounding_takes_the_nearest_level(apot):
    rng = np.random.default_rng(0)
    weight = np.concatenate([rng.normal(0, apot.max / 2, (3, 500)), rng.normal(0, 3, (3, 500))])
    step = np.array([1.0, 0.37, 5.0, 1.0, 0.37, 5.0])
    found = rounding(apot)(weight, step)
    for row in range(6):
        assert np.array_equal(found[row], brute_force(weight[row], step[row], apot))
    assert np.abs(found).max() == apot.max
    assert np.isin(found, apot.levels).all()


@pytest.mark.parametrize("apot", FORMATS)
def test_rounding_of_integers_is_the_hardware_code(apot):
    """Ties, too: integers lie in the middle of two levels often."""
    values = np.arange(-apot.max - 20, apot.max + 21)
    assert np.array_equal(rounding(apot)(values[None].astype(float), np.ones(1))[0], apot.nearest(values))


@pytest.mark.parametrize("apot", FORMATS)
def test_steps_put_the_largest_weight_on_half_to_one_and_a_half_of_the_largest_level(apot):
    assert (SCALES[0], SCALES[-1], len(SCALES)) == (0.5, 1.5, 41)
    np.testing.assert_allclose(SCALES[1:] / SCALES[:-1], 3 ** (1 / 40))
    weight = np.random.default_rng(1).laplace(size=(7, 60)) * np.geomspace(0.01, 50, 7)[:, None]
    values, step, squared = quantize_additive(weight, StepRule(np.ones(7), np.zeros(7)), apot)
    for row, filter_ in enumerate(weight):
        tried = np.abs(filter_).max() / (apot.max * SCALES)
        errors = [((brute_force(filter_, s, apot) * s - filter_) ** 2).sum() for s in tried]
        best = int(np.argmin(errors))
        assert step[row] == pytest.approx(tried[best], rel=1e-12)
        assert squared[row] == pytest.approx(errors[best], rel=1e-9)
        assert values[row].tolist() == brute_force(filter_, step[row], apot).tolist()
    assert len(np.unique(np.round(np.log(np.abs(weight).max(axis=1) / step), 6))) > 2
    assert values.dtype == np.int64


def test_an_error_of_the_output_decides_the_step_and_the_squared_error_is_reported():
    rng = np.random.default_rng(2)
    weight, importance, apot = rng.laplace(size=(5, 30)), rng.uniform(0, 5, (5, 30)), ApotFormat()
    rule = StepRule(np.ones(5), np.zeros(5))
    values, step, squared = quantize_additive(weight, rule, apot, lambda d: (d**2 * importance).sum(axis=1))
    plain = quantize_additive(weight, rule, apot)
    assert (step != plain[1]).any()
    assert (squared >= plain[2]).all()
    np.testing.assert_allclose(squared, ((values * step[:, None] - weight) ** 2).sum(axis=1))


def test_power_of_two_steps():
    weight, apot = np.random.default_rng(3).laplace(size=(6, 50)), ApotFormat()
    rule = StepRule(np.full(6, 1 / 6), np.zeros(6), "adaptive")
    values, step, _ = quantize_additive(weight, rule, apot)
    tried = rule.candidates(np.abs(weight).max(axis=1) / apot.max)
    for row, filter_ in enumerate(weight):
        errors = [((brute_force(filter_, s, apot) * s - filter_) ** 2).sum() for s in tried[:, row]]
        assert step[row] == tried[int(np.argmin(errors)), row]
    assert (np.frexp(step * 6)[0] == 0.5).all()
    assert np.isin(values, apot.levels).all()


def test_filters_of_zeros_and_a_huge_bias():
    weight = np.array([[0.0, 0.0], [1.0, -0.5]])
    values, step, squared = quantize_additive(weight, StepRule(np.ones(2), np.array([0.0, 2.0**33])), ApotFormat())
    assert step.tolist() == [2.0**-30, 8.0]
    assert not values.any()
    assert squared.tolist() == [0, 1.25]


@pytest.mark.parametrize("filters", [1, 2, 7, 16, 33])
@pytest.mark.parametrize("share", [0, 0.25, 0.5, 0.8, 1])
def test_shares_are_exact(filters, share):
    rng = np.random.default_rng(filters)
    additive, uniform_errors = rng.uniform(0.1, 9, (2, filters))
    chosen = choose_filters(additive, uniform_errors, share)
    assert (chosen.dtype, chosen.shape) == (bool, (filters,))
    assert chosen.sum() == int(np.floor(share * filters + 0.5))
    ratio = additive / uniform_errors
    if 0 < chosen.sum() < filters:
        assert ratio[chosen].max() <= ratio[~chosen].min()


def test_of_equals_the_first_are_taken():
    assert choose_filters(np.ones(5), np.full(5, 2.0), 0.5).tolist() == [True, True, True, False, False]
    ratios = np.array([3.0, 1.0, 2.0, 1.0, 1.0, 3.0])
    assert choose_filters(ratios, np.ones(6), 0.5).tolist() == [False, True, False, True, True, False]


def test_filters_without_any_error():
    """0 / 0 counts as a ratio of 1, 0 / x as the least and x / 0 as the largest."""
    additive, uniform_errors = np.array([1.0, 0.0, 0.0, 2.0]), np.array([0.0, 0.0, 1.0, 1.0])
    for share, expected in ((0.25, [2]), (0.5, [1, 2]), (0.75, [1, 2, 3])):
        assert np.flatnonzero(choose_filters(additive, uniform_errors, share)).tolist() == expected


def test_filters_that_lie_on_levels_become_additive():
    rng, apot = np.random.default_rng(5), ApotFormat(2)
    weight = rng.normal(size=(8, 64))
    weight[1::2] = rng.choice(apot.levels, (4, 64)) * rng.uniform(0.01, 10, (4, 1))
    rule = StepRule(np.ones(8), np.zeros(8))
    additive, plain = quantize_additive(weight, rule, apot)[2], uniform.quantize_uniform(weight, rule)[2]
    assert (additive[::2] > plain[::2]).all()  # bell-shaped weights lose
    assert np.flatnonzero(choose_filters(additive, plain, 0.5)).tolist() == [1, 3, 5, 7]
