"""Decoding a data set, and random numbers that depend on their position alone."""

import pytest
import torch

from tests.golden.training.archive import write_archive
from triovit.golden.data.archives import CifarArchive
from triovit.golden.data.folders import ImageFolder
from triovit.golden.training.images import AUGMENTATION, ORDER, decode, epoch_order, random_numbers


def test_decode(tmp_path):
    dataset = CifarArchive(write_archive(tmp_path / "a.npz", 6, 3), "train")
    seen = []
    images, labels = decode(dataset, lambda done, total: seen.append((done, total)))
    assert images.dtype == torch.uint8 and images.shape == (6, 32, 32, 3)
    assert all(torch.equal(images[index], torch.from_numpy(dataset.image(index, 32))) for index in range(6))
    assert labels.tolist() == list(dataset.labels) and labels.dtype == torch.int64
    assert seen == [(done, 6) for done in range(1, 7)]
    assert not torch.equal(images[0], images[1])


def test_decode_reports_a_damaged_image(tmp_path):
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "a.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"a\.png"):
        decode(ImageFolder(tmp_path))


def test_random_numbers_depend_on_every_argument():
    draws = {
        arguments: tuple(random_numbers(*arguments).integers(0, 1 << 30, 4))
        for arguments in [(0, ORDER, 0), (1, ORDER, 0), (0, AUGMENTATION, 0), (0, ORDER, 1), (1, ORDER, 1)]
    }
    assert len(set(draws.values())) == len(draws)
    assert draws[0, ORDER, 1] == tuple(random_numbers(0, ORDER, 1).integers(0, 1 << 30, 4))


def test_epoch_order_is_a_permutation_of_its_own():
    first, second, other = epoch_order(50, 3, 0), epoch_order(50, 3, 1), epoch_order(50, 4, 0)
    assert all(sorted(order.tolist()) == list(range(50)) for order in (first, second, other))
    assert not torch.equal(first, second) and not torch.equal(first, other)
    assert torch.equal(first, epoch_order(50, 3, 0))


def test_random_numbers_stay_as_they_are():
    """A run that is gone on with after an update of this package must draw what it would have drawn."""
    assert epoch_order(8, 0, 0).tolist() == [2, 4, 3, 6, 5, 0, 1, 7]
    assert random_numbers(0, AUGMENTATION, 0).integers(0, 100, 4).tolist() == [52, 88, 99, 55]
