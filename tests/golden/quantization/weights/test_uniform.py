"""Uniform integer weights against their formulas and against searches by plain loops."""

import numpy as np
import pytest

from triovit.golden.quantization.weights.steps import StepRule, power_error, squared_error
from triovit.golden.quantization.weights.uniform import limit, quantize_uniform

FREE = StepRule(np.full(6, 1e-3), np.zeros(6))


def weights(seed=0, filters=6, size=40):
    """Filters of different spread with outliers."""
    rng = np.random.default_rng(seed)
    return rng.standard_t(3, (filters, size)) * np.geomspace(0.01, 10, filters)[:, None]


def rounded(weight, step, largest):
    return np.clip(np.floor(weight / step + 0.5), -largest, largest)


def test_largest_integers():
    assert (limit(8), limit(4)) == (127, 7)


def test_weights_round_half_up_and_use_the_whole_range():
    weight = np.array([[127.0, 2.5, -2.5, -127.0], [0.5, 0.0, -1.27, 0.1]])
    integers, step, error = quantize_uniform(weight, StepRule(np.ones(2), np.zeros(2)))
    assert integers.tolist() == [[127, 3, -2, -127], [50, 0, -127, 10]]
    assert integers.dtype == np.int64
    assert step.tolist() == pytest.approx([1, 0.01], rel=1e-15)
    assert error.tolist() == pytest.approx([0.5, 0], abs=1e-12)


@pytest.mark.parametrize("bits", [4, 8])
def test_the_largest_weight_is_the_largest_integer(bits):
    weight = weights()
    integers, step, error = quantize_uniform(weight, FREE, bits)
    assert (np.abs(integers).max(axis=1) == limit(bits)).all()
    assert np.array_equal(step, np.abs(weight).max(axis=1) / limit(bits))
    assert (np.abs(integers * step[:, None] - weight) <= step[:, None] * 0.5 * (1 + 1e-9)).all()
    np.testing.assert_allclose(error, ((integers * step[:, None] - weight) ** 2).sum(axis=1))


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("norm", [1.0, 2.4])
def test_norm_takes_the_best_of_81_steps(bits, norm):
    weight = weights(1)
    integers, step, squared = quantize_uniform(weight, FREE, bits, norm=norm)
    for row, filter_ in enumerate(weight):
        full = np.abs(filter_).max() / limit(bits)
        tried = [full * (1 - 0.01 * k) for k in range(81)]
        errors = [(np.abs(rounded(filter_, s, limit(bits)) * s - filter_) ** norm).sum() for s in tried]
        assert step[row] == tried[int(np.argmin(errors))]
        assert integers[row].tolist() == rounded(filter_, step[row], limit(bits)).tolist()
    if bits == 4:
        assert (step < np.abs(weight).max(axis=1) / 7).sum() >= 4  # clipping pays
    np.testing.assert_allclose(squared, ((integers * step[:, None] - weight) ** 2).sum(axis=1))  # whatever the norm


def test_error_takes_the_best_of_81_steps_and_comes_before_norm():
    weight, importance = weights(2), np.random.default_rng(3).uniform(0, 3, (6, 40))

    def weighted(difference):
        return (difference**2 * importance).sum(axis=1)

    _, step, _ = quantize_uniform(weight, FREE, 4, error=weighted)
    again = quantize_uniform(weight, FREE, 4, error=weighted, norm=2.4)[1]
    assert np.array_equal(step, again)
    for row, filter_ in enumerate(weight):
        tried = [np.abs(filter_).max() / 7 * (1 - 0.01 * k) for k in range(81)]
        errors = [((rounded(filter_, s, 7) * s - filter_) ** 2 * importance[row]).sum() for s in tried]
        assert step[row] == tried[int(np.argmin(errors))]
    assert (step != quantize_uniform(weight, FREE, 4, norm=2.0)[1]).any()


@pytest.mark.parametrize("measure", [None, power_error(4.0)])
def test_power_of_two_steps_go_by_squared_or_given_error(measure):
    weight = weights(4)
    rule = StepRule(np.full(6, 2.0**4 / 6), np.zeros(6), "adaptive")
    integers, step, _ = quantize_uniform(weight, rule, 4, error=measure)
    for row, filter_ in enumerate(weight):
        tried = rule.candidates(np.abs(weight).max(axis=1) / 7)[:, row]
        found = (measure or squared_error)(np.array([rounded(filter_, s, 7) * s - filter_ for s in tried]))
        assert step[row] == tried[int(np.argmin(found))]
        assert integers[row].tolist() == rounded(filter_, step[row], 7).tolist()


def test_filters_of_zeros_and_filters_with_a_huge_bias():
    weight = np.array([[0.0, 0.0], [1e-20, -1e-20], [1.0, -0.4]])
    integers, step, error = quantize_uniform(weight, StepRule(np.full(3, 0.5), np.array([0.0, 0.0, 2.0**32])))
    assert step.tolist() == [2.0**-31, 2.0**-31, 4.0]
    assert not integers.any()
    assert error.tolist() == pytest.approx([0, 2e-40, 1.16])
