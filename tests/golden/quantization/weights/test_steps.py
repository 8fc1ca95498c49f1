"""Legal steps, and the search for the best of them, against plain loops."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triovit.golden.quantization.weights import uniform
from triovit.golden.quantization.weights.steps import LARGEST_BIAS, StepRule, power_error, search, squared_error

POWERS = st.integers(-20, 8).map(lambda k: 2.0**k)
UNITS = st.one_of(POWERS, POWERS.map(lambda p: p / 6))
SIZES = st.floats(-40, 12).map(lambda k: 2.0**k)


@settings(derandomize=True, deadline=None, max_examples=200)
@given(UNITS, st.one_of(st.just(0.0), SIZES), SIZES, st.integers(0, 80))
def test_steps_go_down_by_percents_to_the_least(unit, bias, full, shrinks):
    rule = StepRule(np.array([unit, unit]), np.array([bias, 0.0]))
    assert rule.least.tolist() == [max(bias / 2**30, unit / 2**30), unit / 2**30]
    found = rule.candidates(np.array([full, 0.0]), shrinks)
    assert found.shape == (shrinks + 1, 2)
    np.testing.assert_allclose(
        found[:, 0], [max(full * (100 - k) / 100, rule.least[0]) for k in range(shrinks + 1)], rtol=1e-12
    )
    assert (found >= rule.least).all()
    assert (found[:, 1] == rule.least[1]).all()  # a filter of zeros


@settings(derandomize=True, deadline=None, max_examples=300)
@given(UNITS, st.one_of(st.just(0.0), SIZES), SIZES, st.sampled_from([1.0, 0.25, 2.0**-9]))
def test_power_of_two_steps(unit, bias, full, most):
    rule = StepRule(np.array([unit]), np.array([bias]), "adaptive", most)
    found = rule.candidates(np.array([full]))[:, 0]
    ratios = found / unit
    assert (np.frexp(ratios)[0] == 0.5).all()  # powers of two, exactly
    least, low = rule.least[0], unit * 2.0**-40
    while low < least:
        low *= 2
    below = max(full, least)  # then the power of two below the step that avoids clipping
    below = unit * 2.0 ** (np.frexp(below / unit)[1] - 1)
    assert below * (1 - 1e-15) <= max(full, least) < below * 2 * (1 + 1e-15)  # the quotient is rounded
    assert found.tolist() == [min(max(below * factor, low), max(most * unit, low)) for factor in (1, 0.5, 2, 4)]
    assert (found >= least).all()


def test_a_limit_on_the_step_may_differ_between_filters():
    rule = StepRule(np.full(2, 1 / 6), np.zeros(2), "adaptive", np.array([1.0, 2.0**-5]))
    found = rule.candidates(np.full(2, 0.5 / 6)) * 6
    assert found.T.tolist() == [[0.5, 0.25, 1, 1], [2.0**-5] * 4]


def test_the_bias_comes_before_the_limit():
    """Where the bias needs a coarser step than requantization can reach, the step stays legal for the bias."""
    rule = StepRule(np.ones(1), np.array([8 * LARGEST_BIAS]), "adaptive")
    assert rule.candidates(np.ones(1)).tolist() == [[8.0]] * 4


@pytest.mark.parametrize("error", [squared_error, power_error(2.4), power_error(1.0)])
def test_search_finds_the_least_error(error):
    rng = np.random.default_rng(0)
    weight, candidates = rng.normal(size=(5, 12)), rng.uniform(0.005, 0.4, (30, 5))
    values, step, least = search(weight, candidates, uniform.rounding(4), error)
    for row in range(5):
        errors = []
        for size in candidates[:, row]:
            integers = np.clip(np.floor(weight[row] / size + 0.5), -7, 7)
            errors.append(error((integers * size - weight[row])[None])[0])
        best = int(np.argmin(errors))
        assert (step[row], least[row]) == (candidates[best, row], errors[best])
        assert values[row].tolist() == np.clip(np.floor(weight[row] / step[row] + 0.5), -7, 7).tolist()
    assert len({int(np.flatnonzero(candidates[:, row] == step[row])[0]) for row in range(5)}) > 1  # each its own


def test_of_equals_the_first_wins():
    weight = np.array([[3.0, -1.0], [1.0, 2.0]])
    candidates = np.array([[0.9, 2.0], [1.0, 0.5], [0.5, 1.0], [0.25, 0.25]])  # 1, 0.5 and 0.25 are exact
    kept = candidates.copy()
    values, step, error = search(weight, candidates, uniform.rounding(8), squared_error)
    assert (step.tolist(), error.tolist()) == ([1.0, 0.5], [0.0, 0.0])
    assert values.tolist() == [[3, -1], [2, 4]]
    assert np.array_equal(candidates, kept)


def test_errors_are_sums_over_a_filter():
    difference = np.array([[1.0, -2.0], [0.0, 0.5]])
    assert squared_error(difference).tolist() == [5, 0.25]
    assert power_error(3.0)(difference).tolist() == [9, 0.125]
