"""Observers of extremes against NumPy over all images at once."""

import numpy as np
import pytest
import torch

from triovit.golden.quantization.calibration.observers import MinMaxObserver, MovingAverageObserver, Range, grouped
from triovit.golden.quantization.settings import QuantizationError

VALUES = (
    torch.from_numpy(np.random.default_rng(0).normal(size=(40, 6, 9, 7)).astype(np.float32))
    * torch.arange(1, 7)[:, None, None]
)
BATCHES = [VALUES[start : start + 16] for start in range(0, 40, 16)]
ROUNDING = 2.0**-12  # relative, of the ends of a range


def groups_of(values, group):
    """(groups, values) in double precision, channel by channel."""
    members = group or 6
    return np.stack([values[:, c : c + members].double().numpy().ravel() for c in range(0, 6, members)])


def observed(observer, batches=tuple(BATCHES)):
    for batch in batches:
        observer.observe(batch)
    return observer.range()


@pytest.mark.parametrize("group", [0, 1, 2, 3, 6])
def test_min_max_over_batches(group):
    found, expected = observed(MinMaxObserver("a", group)), groups_of(VALUES, group)
    np.testing.assert_allclose(found.low, expected.min(1), rtol=ROUNDING)
    np.testing.assert_allclose(found.high, expected.max(1), rtol=ROUNDING)
    np.testing.assert_allclose(found.bound, np.abs(expected).max(1), rtol=ROUNDING)


@pytest.mark.parametrize("group", [0, 1, 3])
@pytest.mark.parametrize("momentum", [0, 0.5, 0.9])
def test_moving_average_is_the_recurrence(group, momentum):
    found = observed(MovingAverageObserver("a", momentum, group))
    low, high = groups_of(BATCHES[0], group).min(1), groups_of(BATCHES[0], group).max(1)
    for batch in BATCHES[1:]:
        low = momentum * low + (1 - momentum) * groups_of(batch, group).min(1)
        high = momentum * high + (1 - momentum) * groups_of(batch, group).max(1)
    np.testing.assert_allclose(found.low, low, rtol=ROUNDING)
    np.testing.assert_allclose(found.high, high, rtol=ROUNDING)


def test_moving_average_of_few_batches():
    """One batch: its extremes. Momentum 0: the last batch's. Close to 1: the first's."""
    for observer, batches, same in (
        (MovingAverageObserver("a", 0.9, 1), BATCHES[:1], BATCHES[:1]),
        (MovingAverageObserver("a", 0.0, 1), BATCHES, BATCHES[-1:]),
        (MovingAverageObserver("a", 1 - 1e-9, 1), BATCHES, BATCHES[:1]),
    ):
        found, expected = observed(observer, batches), observed(MinMaxObserver("a", 1), same)
        assert np.array_equal(found.low, expected.low) and np.array_equal(found.high, expected.high)


def test_ends_have_twelve_significant_bits():
    values = torch.tensor([-1 / 3, 1e-9 / 3, 1e9 / 3]).reshape(1, 1, 3)
    found = observed(MinMaxObserver("a"), [values])
    for end, exact in ((found.low, -1 / 3), (found.high, 1e9 / 3)):
        mantissa = np.frexp(end)[0] * 2**12
        assert mantissa == np.round(mantissa)
        assert 0 < abs(end.item() / exact - 1) < ROUNDING
    again = found.rounded()
    assert np.array_equal(again.low, found.low) and np.array_equal(again.high, found.high)


def test_groups_are_consecutive_channels():
    values = torch.arange(2 * 6 * 3).reshape(2, 6, 3, 1)
    assert grouped(values, 2)[1, 2].tolist() == values[1, 4:6].flatten().tolist()
    assert grouped(values, 0).shape == (2, 1, 18)


@pytest.mark.parametrize("make", [MinMaxObserver, lambda name, group: MovingAverageObserver(name, 0.9, group)])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_not_finite(make, bad):
    values = VALUES.clone()
    values[3, 2, 1, 1] = bad
    observer = make("layer", 1)
    observer.observe(VALUES)
    with pytest.raises(QuantizationError, match=r"^layer: the float network's values are not finite numbers$"):
        observer.observe(values)


@pytest.mark.parametrize("observer", [MinMaxObserver("layer"), MovingAverageObserver("layer", 0.9)])
def test_nothing_observed(observer):
    with pytest.raises(QuantizationError, match=r"^layer: no calibration image was observed$"):
        observer.range()


def test_bound_is_the_largest_magnitude():
    assert Range(np.array([-3.0, 1.0]), np.array([2.0, 5.0])).bound.tolist() == [3, 5]
