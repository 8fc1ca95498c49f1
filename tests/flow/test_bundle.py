"""The quantized network that ships: its file, its figures, and its accuracy where the test images are at hand."""

import os
from pathlib import Path

import numpy as np
import pytest

from tests.golden.training.archive import write_archive
from triovit.flow.bundle import CALIBRATION_IMAGES, quantize_bundled
from triovit.golden.assets import INTEGER_NETWORK
from triovit.golden.data.archives import CifarArchive
from triovit.golden.data.folders import Subset
from triovit.golden.evaluation.predictors import FloatPredictor, IntegerPredictor
from triovit.golden.integer.serialize import load_network
from triovit.golden.network.bundled import load_bundled
from triovit.golden.network.seeded import random_images
from triovit.golden.quantization.methods import METHODS

REPOSITORY = Path(__file__).resolve().parents[2]
ARCHIVE = Path(os.environ.get("TRIOVIT_DATA", REPOSITORY.parent / "shared" / "data")) / "cifar10_jpeg.npz"


@pytest.fixture(scope="module")
def network():
    return load_network(INTEGER_NETWORK)


@pytest.fixture(scope="module")
def archive():
    if not ARCHIVE.is_file():
        pytest.skip("cifar10_jpeg.npz is missing: set TRIOVIT_DATA to the folder that holds it")
    return ARCHIVE


def test_file(network):
    bundled = load_bundled()
    assert network.classes == bundled.classes
    assert network.input_shape == (3, 64, 64)
    assert network.metadata["method"] == "trio"
    assert network.metadata["settings"] == METHODS["trio"].to_dict()
    assert network.metadata["calibration_images"] == CALIBRATION_IMAGES
    assert len(network.metadata["calibration_sha256"]) == 64
    assert network.metadata["test_images"] == 10_000
    assert network.metadata["float_top1"] == bundled.accuracy
    assert abs(network.metadata["integer_top1"] - bundled.accuracy) < 1
    assert INTEGER_NETWORK.stat().st_size < 3_500_000


def test_it_agrees_with_float_on_pictures_without_meaning(network):
    """Needs no data: logits of random pictures, which neither training nor calibration has seen."""
    pictures = random_images(16, 64, 3)
    expected = FloatPredictor(load_bundled().model).logits(pictures.numpy())
    got = IntegerPredictor(network).logits(pictures.numpy()) * network.metadata["logit_scale"]
    assert np.corrcoef(got.reshape(-1), expected.reshape(-1))[0, 1] > 0.9


def test_accuracy_on_evenly_spaced_test_images(network, archive):
    test = Subset(CifarArchive(archive, "test"), 100)
    images = np.stack([test.image(index, 64) for index in range(100)])
    labels = np.array(test.labels)
    expected = FloatPredictor(load_bundled().model).logits(images).argmax(1)
    got = IntegerPredictor(network).logits(images).argmax(1)
    assert int((got == expected).sum()) >= 93
    assert int((got == labels).sum()) >= 79


def test_calibration_can_be_repeated(network, archive):
    again = quantize_bundled(archive)
    assert again.metadata["calibration_sha256"] == network.metadata["calibration_sha256"]
    for one, two in zip(network.nodes, again.nodes, strict=True):
        if hasattr(one, "weight"):
            different = np.mean(one.weight != two.weight)
            assert different < 0.01, one.name  # another machine's float sums may move a range by one rounding


def test_command(triovit, archive, tmp_path):
    output = tmp_path / "net.safetensors"
    outcome = triovit("bundle", archive, "--output", output, "--calibration", 10, "--test", 20)
    made = load_network(output)
    assert outcome.status == 0
    assert (made.metadata["calibration_images"], made.metadata["test_images"]) == (10, 20)
    assert outcome.report["integer_top1"] == made.metadata["integer_top1"]
    assert f"integer top-1 {made.metadata['integer_top1']:.2f} %" in outcome.out
    assert f"wrote {output}" in outcome.out


def test_command_on_a_small_archive(triovit, refused, tmp_path):
    archive = write_archive(tmp_path / "a.npz", 12, 10)
    outcome = triovit("bundle", archive, "-o", tmp_path / "net.safetensors", "--calibration", 4)
    assert outcome.status == 0
    made = load_network(tmp_path / "net.safetensors").metadata
    assert (made["calibration_images"], made["test_images"]) == (4, 10)
    assert outcome.report["float_top1"] == made["float_top1"]
    text = refused("bundle", archive, "-o", tmp_path / "other.safetensors", "--test", 11)
    assert text == "--test must lie in 1..10 for this archive, not 11\n"


def test_command_without_archive(refused, tmp_path):
    assert "none.npz: no such archive" in refused("bundle", tmp_path / "none.npz", "--output", tmp_path / "a")
    assert not (tmp_path / "a").exists()
