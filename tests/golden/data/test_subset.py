"""Evenly spaced images of a data set that is sorted by class."""

import numpy as np
import pytest

from triovit.golden.data.folders import Subset


class Sorted:
    """A data set sorted by class, as archives often are."""

    classes = ("a", "b", "c", "d", "e")
    labels = tuple(i // 20 for i in range(100))

    def __len__(self):
        return 100

    def image(self, index, resolution, crop=0.95):
        return np.full((resolution, resolution, 3), index, np.uint8)


@pytest.mark.parametrize("count", [5, 10, 33, 100])
def test_subset_is_evenly_spaced(count):
    subset = Subset(Sorted(), count)
    assert len(subset) == len(subset.labels) == count
    shares = np.bincount(subset.labels, minlength=5)
    assert shares.max() - shares.min() <= 1
    indices = [int(subset.image(i, 2)[0, 0, 0]) for i in range(count)]
    assert indices == sorted(set(indices))
    assert [i // 20 for i in indices] == list(subset.labels)


@pytest.mark.parametrize("count", [0, 101, -1])
def test_subset_bounds(count):
    with pytest.raises(ValueError, match=rf"count must lie in 1\.\.100, not {count}"):
        Subset(Sorted(), count)
