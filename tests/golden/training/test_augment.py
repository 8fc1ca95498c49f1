"""Augmentation against its definition, on images whose pixels show where they come from."""

import numpy as np
import pytest
import torch

from triovit.golden.data.images import enlarge
from triovit.golden.network.normalize import normalize
from triovit.golden.network.seeded import random_images
from triovit.golden.training.augment import GREY, augment, network_input
from triovit.golden.training.recipe import Recipe

PLAIN = {"padding": 0, "brightness": 0, "cutout_share": 0}
COUNT = 64


def coordinates(count=COUNT):
    """Images with the row in red and the column in green."""
    rows, columns = np.mgrid[:32, :32]
    image = np.stack([rows, columns, np.full((32, 32), 9)], axis=-1).astype(np.uint8)
    return torch.from_numpy(np.repeat(image[None], count, axis=0))


def run(images, seed=1, **changes):
    return augment(images, Recipe(**{**PLAIN, **changes}), np.random.default_rng(seed))


def test_flips_half_of_the_images():
    images = random_images(400, 32, 1)
    result = run(images)
    assert result.dtype == torch.float32 and result.shape == images.shape
    same = [torch.equal(new, old.float()) for new, old in zip(result, images, strict=True)]
    mirrored = [torch.equal(new, old.flip(1).float()) for new, old in zip(result, images, strict=True)]
    assert all(a != b for a, b in zip(same, mirrored, strict=True))
    assert 160 < sum(mirrored) < 240


@pytest.mark.parametrize("padding", [1, 4, 31])
def test_crops_come_from_the_reflected_image(padding):
    result = run(coordinates(400), padding=padding).numpy()
    border = np.pad(coordinates(1)[0].numpy(), ((padding, padding), (padding, padding), (0, 0)), mode="reflect")
    windows = {}
    for row in range(2 * padding + 1):
        for column in range(2 * padding + 1):
            window = border[row : row + 32, column : column + 32]
            for place in (window, window[:, ::-1]):
                windows.setdefault(place.astype(np.float32).tobytes(), set()).add((row, column))
    found = [windows[image.tobytes()] for image in result]  # KeyError: no such window
    rows = {row for places in found if len(places) == 1 for row, _ in places}
    assert {0, 2 * padding} <= rows or padding == 31
    assert len({tuple(sorted(places)) for places in found}) > padding


def test_brightness_is_one_factor_an_image():
    images = torch.full((COUNT, 32, 32, 3), 200, dtype=torch.uint8)
    result = run(images, brightness=0.2)
    levels = result[:, 0, 0, 0]
    assert torch.equal(result, levels[:, None, None, None].expand_as(result))
    assert 160 <= levels.min() < 170 and 230 < levels.max() <= 240
    assert torch.equal(levels, levels.round())


def test_brightness_stays_within_8_bits():
    assert run(torch.full((COUNT, 32, 32, 3), 250, dtype=torch.uint8), brightness=0.5).max() == 255


@pytest.mark.parametrize("share", [0, 0.5, 1])
def test_cutout_is_a_square_that_may_leave_the_image(share):
    result = run(torch.zeros((200, 32, 32, 3), dtype=torch.uint8), cutout_share=share, cutout=16)
    hidden = (result == GREY).all(-1).numpy()
    assert set(result.unique().tolist()) <= {0.0, *GREY.tolist()}
    cut = hidden.any((1, 2))
    assert 200 * share - 40 < cut.sum() < 200 * share + 40 and (share == 0.5 or cut.sum() == 200 * share)
    sides = {side for mask in hidden[cut] for side in (mask.any(0).sum(), mask.any(1).sum())}
    for mask in hidden[cut]:
        assert mask.sum() == mask.any(0).sum() * mask.any(1).sum()  # a whole rectangle
        assert np.ptp(np.flatnonzero(mask.any(0))) + 1 == mask.any(0).sum()
    assert not sides or (min(sides) >= 8 and max(sides) == 16 and len(sides) > 4)


def test_images_have_their_own_numbers_and_the_input_is_kept():
    images = coordinates()
    kept = images.clone()
    result = run(images, padding=4, brightness=0.2, cutout_share=0.5)
    assert torch.equal(images, kept)
    assert len({image.numpy().tobytes() for image in result}) > COUNT // 2
    assert torch.equal(result, run(images, padding=4, brightness=0.2, cutout_share=0.5))
    assert not torch.equal(result, run(images, 2, padding=4, brightness=0.2, cutout_share=0.5))


@pytest.mark.parametrize("resolution", [32, 64])
def test_network_input_is_that_of_evaluation(resolution):
    images = random_images(5, 32, 3)
    expected = normalize(torch.from_numpy(np.stack([enlarge(image, resolution) for image in images.numpy()])))
    for given in (images, images.float()):
        result = network_input(given, resolution)
        assert result.is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(result, expected, rtol=0, atol=1e-6)


def test_grey_is_nearly_zero_after_normalization():
    grey = GREY.expand(1, 32, 32, 3)
    assert network_input(grey, 32).abs().max() < 0.01
