"""Variants of one network, in one process and over a cluster: the same results, and the numbers they stand for."""

import numpy as np
import pytest
import torch

from triovit.golden.data.images import IMAGENET_MEAN, IMAGENET_STD
from triovit.golden.evaluation.predictors import IntegerPredictor
from triovit.golden.integer.serialize import load_network
from triovit.golden.network.efficientvit.model import EfficientViT
from triovit.golden.network.seeded import initialize, random_images
from triovit.golden.quantization.ablation import Experiment, Result, ablate, file_name, float_predictions
from triovit.golden.quantization.variants import VARIANTS, find_variant

torch.set_num_threads(1)


class Pictures:
    """Random pictures whose labels are the float network's own classes, all but the first two."""

    def __init__(self, model: EfficientViT, count: int):
        self._pictures = random_images(count, 32, 9)
        self.classes = tuple("abcdefg")
        self.labels = [0] * count
        experiment = Experiment(model, [], self, IMAGENET_MEAN, IMAGENET_STD)
        found = float_predictions(experiment).top[:, 0]
        self.labels = [int(k) for k in found]
        self.labels[0], self.labels[1] = (self.labels[0] + 1) % 7, (self.labels[1] + 1) % 7

    def __len__(self):
        return len(self.labels)

    def image(self, index, resolution, crop=0.95):
        return self._pictures[index]


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    model = initialize(EfficientViT("b0", 7, 32), 1)
    calibration = list(random_images(6, 32, 4).numpy())
    return Experiment(
        model,
        calibration,
        Pictures(model, 24),
        IMAGENET_MEAN,
        IMAGENET_STD,
        tuple("abcdefg"),
        tmp_path_factory.mktemp("networks"),
    )


@pytest.fixture(scope="module")
def variants():
    return {name: find_variant(name) for name in ("trio", "minmax", "m2")}


def test_results_are_those_of_the_saved_networks(experiment, variants):
    reference = float_predictions(experiment)
    assert reference.accuracy().correct == len(experiment.dataset) - 2
    seen = []
    results = ablate(experiment, reference, variants, done=lambda result: seen.append(result.name))
    assert [result.name for result in results] == seen == list(variants)
    assert [result.family for result in results] == ["trio", "trio", "m2"]
    pixels = np.stack([experiment.dataset.image(k, 32) for k in range(len(experiment.dataset))])
    for result in results:
        network = load_network(experiment.networks / file_name(result.name))
        found = IntegerPredictor(network).logits(pixels).argmax(1)
        assert result.top1 == (found == experiment.dataset.labels).sum()
        assert result.agreement == (found == reference.top[:, 0]).sum()
        assert result.top1 <= result.top5 <= result.images == len(experiment.dataset)
        assert network.metadata["method"] == result.name


def test_a_cluster_gives_the_same(experiment, variants, address):
    reference = float_predictions(experiment)
    here = ablate(experiment, reference, variants)
    there = ablate(experiment, reference, variants, scheduler=address)
    for one, other in zip(here, there, strict=True):
        assert {**one.to_dict(), "seconds": 0} == {**other.to_dict(), "seconds": 0}


def test_results_are_read_as_they_were_written():
    result = Result("trio", 10, 7, 9, 8, 1.5, "trio")
    assert Result.from_dict(result.to_dict()) == result
    for change in (
        {"top1": 11},
        {"top5": "9"},
        {"agreement": -1},
        {"images": 0, "top1": 0, "top5": 0, "agreement": 0},
        {"seconds": "1"},
        {"name": 3},
        {"family": None},
        {"more": 1},
    ):
        with pytest.raises((ValueError, TypeError)):
            Result.from_dict(result.to_dict() | change)
    for name in result.to_dict():
        with pytest.raises(TypeError):
            Result.from_dict({key: value for key, value in result.to_dict().items() if key != name})


def test_names_of_files_are_different():
    names = [file_name(name) for name in VARIANTS]
    assert len(set(names)) == len(names)
    assert file_name("trio, uniform divisor") == "trio-uniform-divisor.safetensors"
