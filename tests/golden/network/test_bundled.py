"""The bundled network: its file, its card, and its accuracy where the test images are at hand."""

import os
from pathlib import Path

import numpy as np
import pytest

from triovit.golden.assets import ASSETS, FLOAT_NETWORK
from triovit.golden.data.archives import CifarArchive
from triovit.golden.data.folders import Subset
from triovit.golden.data.images import IMAGENET_MEAN, IMAGENET_STD
from triovit.golden.evaluation.evaluate import evaluate
from triovit.golden.evaluation.predictors import FloatPredictor
from triovit.golden.integer.serialize import load_network
from triovit.golden.network import bundled as bundled_module
from triovit.golden.network.bundled import load_bundled
from triovit.golden.network.checkpoint import CheckpointError, read_checkpoint, save_checkpoint
from triovit.golden.network.seeded import random_images

REPOSITORY = Path(__file__).resolve().parents[3]
DATA = Path(os.environ.get("TRIOVIT_DATA", REPOSITORY.parent / "shared" / "data"))
ARCHIVE = DATA / "cifar10_jpeg.npz"
SAMPLE = 200  # evenly spaced: the archive is sorted by class
PINNED_CORRECT = 173  # of those
PINNED_LOGITS = [-1.539, 0.388, 1.725, -0.562, -1.182, -1.035, -1.533, -2.063, -1.532, 1.879]


@pytest.fixture(scope="module")
def bundled():
    return load_bundled()


def archive():
    if not ARCHIVE.is_file():
        pytest.skip("cifar10_jpeg.npz is missing: set TRIOVIT_DATA to the folder that holds it")
    return ARCHIVE


def test_facts(bundled):
    assert (bundled.resolution, bundled.accuracy) == (64, 85.45)
    assert (bundled.mean, bundled.std) == (IMAGENET_MEAN, IMAGENET_STD)
    assert len(bundled.classes) == bundled.model.n_classes == 10
    assert bundled.classes[0] == "airplane"
    assert "48 epochs" in bundled.recipe
    assert not bundled.model.training


def test_card_agrees_with_the_file(bundled):
    card = (ASSETS / "README.md").read_text(encoding="utf-8")
    parameters = sum(parameter.numel() for parameter in bundled.model.parameters())
    assert f"{parameters:,}".replace(",", " ") in card
    macs = load_network(FLOAT_NETWORK.with_suffix(".int8.safetensors")).macs()
    assert sum(macs.values()) == 9_294_336  # docs/results/hardware.md
    assert f"{sum(macs.values()) / 1e6:.2f} M" in card
    assert f"{bundled.accuracy} %" in card
    assert ", ".join(bundled.classes) in card


def test_logits_are_pinned(bundled):
    logits = FloatPredictor(bundled.model).logits(random_images(1, 64, seed=0).numpy())[0]
    np.testing.assert_allclose(logits, PINNED_LOGITS, atol=2e-3)


def test_damaged_file(monkeypatch, tmp_path):
    damaged = tmp_path / FLOAT_NETWORK.name
    damaged.write_bytes(FLOAT_NETWORK.read_bytes()[:100_000])
    monkeypatch.setattr(bundled_module, "FLOAT_NETWORK", damaged)
    with pytest.raises(CheckpointError, match="not a whole safetensors file"):
        load_bundled()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mean": None}, "mean must be in its metadata, as JSON"),
        ({"mean": "[0.5, 0.5]"}, "mean must be 3 of type float, not [0.5, 0.5]"),
        ({"std": '["a", "b", "c"]'}, "std must be 3 of type float"),
        ({"classes": '["cat"]'}, "classes must be 10 of type str"),
        ({"resolution": "100"}, "resolution must be a multiple of 32"),
        ({"resolution": "true"}, "resolution must be of type int, not True"),
        ({"accuracy": '"good"'}, "accuracy must be of type float, not 'good'"),
        ({"recipe": "no JSON"}, "recipe must be in its metadata, as JSON"),
    ],
)
def test_damaged_facts(bundled, monkeypatch, tmp_path, changes, words):
    metadata = {**read_checkpoint(FLOAT_NETWORK).metadata, **changes}
    path = tmp_path / FLOAT_NETWORK.name
    save_checkpoint(bundled.model, path, {name: value for name, value in metadata.items() if value is not None})
    monkeypatch.setattr(bundled_module, "FLOAT_NETWORK", path)
    with pytest.raises(CheckpointError) as caught:
        load_bundled()
    assert str(caught.value).startswith(f"{path}: ") and words in str(caught.value)


def test_accuracy_on_a_sample_of_the_test_images(bundled):
    dataset = CifarArchive(archive(), "test")
    assert dataset.classes == bundled.classes
    assert len(dataset) == 10_000
    top1 = evaluate(FloatPredictor(bundled.model, bundled.mean, bundled.std), Subset(dataset, SAMPLE)).accuracy()
    assert top1.images == SAMPLE
    assert abs(top1.correct - PINNED_CORRECT) <= 1
