"""Integer accuracy: the same logits with and without worker processes, and subsets that hold every class."""

import numpy as np
import pytest
import torch

from golden.integer.execute import execute, pixels_to_input
from golden.network.datasets import Subset
from golden.network.evaluate import count_correct
from golden.network.weights import random_images
from golden.quantization.evaluate import integer_predictor
from tests.networks import small_network


class Sorted:
    """A data set sorted by class, as archives often are."""

    classes = ("a", "b", "c", "d", "e")
    labels = tuple(i // 20 for i in range(100))

    def __len__(self):
        return 100

    def image(self, index, resolution):
        return torch.full((resolution, resolution, 3), index, dtype=torch.uint8)


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


@pytest.mark.parametrize("processes", [1, 2])
def test_predictor_gives_the_networks_logits(processes):
    network = small_network(6)
    images = random_images(9, 28, 1)
    expected = [
        execute(network, pixels_to_input(image))[network.output].reshape(-1).tolist() for image in images.numpy()
    ]
    with integer_predictor(network, processes) as predict:
        assert predict(images).tolist() == expected


def test_counting():
    network = small_network(6)
    with integer_predictor(network) as predict:
        correct, seen = count_correct(predict, Subset(Sorted(), 10), 28, batch_size=4)
        by_hand = sum(int(predict(Sorted().image(i, 28)[None]).argmax()) == i // 20 for i in range(0, 100, 10))
    assert (correct, seen) == (by_hand, 10)
