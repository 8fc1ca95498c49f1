"""Few calibration images: channels get a share of the common range, and a warning names the number that is safe."""

import numpy as np
import pytest

from tests.golden.quantization.schemes import tiny_model
from triovit.golden.evaluation.predictors import FloatPredictor, IntegerPredictor
from triovit.golden.network.bundled import load_bundled
from triovit.golden.quantization.calibration.few_images import ENOUGH, share, warning, widen
from triovit.golden.quantization.calibration.images import random_images
from triovit.golden.quantization.calibration.observers import Range
from triovit.golden.quantization.methods import METHODS
from triovit.golden.quantization.quantize import quantize


def test_the_share_falls_with_every_doubling():
    assert [share(images) for images in (1, 2, 4, 8, 16)] == pytest.approx([0.5, 0.4, 0.3, 0.2, 0.1])
    assert [share(images) for images in (ENOUGH, 100, 1024)] == [0, 0, 0]


def test_every_channel_gets_its_share():
    found = Range(np.array([-1.0, 0.5, -8.0]), np.array([0.1, 10.0, 2.0]))
    one = widen(found, 1)
    assert one.low.tolist() == [-4, -4, -8] and one.high.tolist() == [5, 10, 5]
    assert widen(found, ENOUGH) is found
    alone = Range(np.array([-1.0]), np.array([3.0]))
    assert widen(alone, 1).low.tolist() == [-1] and widen(alone, 1).high.tolist() == [3]


def test_one_image_is_enough_for_a_network_that_works():
    """The logits of other pictures follow the float network's; without a share of the common range they do not."""
    bundled, pixels = load_bundled(), np.stack(random_images(2, 32, 64))
    network = quantize(bundled.model, random_images(1, 1, 64), name="x", settings=METHODS["trio"])
    expected = FloatPredictor(bundled.model, bundled.mean, bundled.std).logits(pixels)
    found = IntegerPredictor(network).logits(pixels)
    assert np.corrcoef(expected.flatten(), found.flatten())[0, 1] > 0.9


@pytest.mark.parametrize("images", [1, 2, ENOUGH - 1])
def test_few_images_are_told(images):
    network = quantize(tiny_model(), random_images(1, images, 32), name="x")
    told = network.metadata["warnings"][0]
    assert told == warning(images)
    assert told.startswith(f"{images} calibration image") and f"{ENOUGH} are safe" in told


def test_enough_images_are_not():
    assert warning(ENOUGH) is None
    assert "warnings" not in quantize(tiny_model(), random_images(1, ENOUGH, 32), name="x").metadata
