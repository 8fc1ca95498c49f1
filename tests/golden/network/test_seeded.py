"""Seeded random networks: repeatable, and with activations of sensible size."""

import pytest
import torch

from tests.golden.network.efficientvit.layers import named_layers
from triovit.golden.network.efficientvit.model import EfficientViT
from triovit.golden.network.normalize import normalize
from triovit.golden.network.seeded import initialize, random_images

PINNED_STEM = [0.2337495, 0.0913078, 0.0074243]
PINNED_MEAN = -0.015499114990234375


def state(seed, resolution=32):
    return initialize(EfficientViT("b0", 10, resolution), seed).state_dict()


def test_same_seed_same_weights_whatever_the_threads_and_the_global_seed():
    threads = torch.get_num_threads()
    torch.manual_seed(1)
    first = state(7)
    torch.manual_seed(2)
    try:
        torch.set_num_threads(2 if threads == 1 else 1)
        second = state(7)
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(first[name], second[name]) for name in first)
    other = state(8)
    assert not torch.equal(first["head.op_list.2.linear.weight"], other["head.op_list.2.linear.weight"])


def test_weights_are_pinned():
    weights = state(0)
    stem = weights["backbone.input_stem.op_list.0.conv.weight"].flatten()[:3]
    assert stem.tolist() == pytest.approx(PINNED_STEM, abs=1e-7)
    assert float(weights["head.op_list.0.norm.running_mean"][0]) == PINNED_MEAN


@pytest.mark.parametrize(("preset", "resolution"), [("b0", 64), ("b1", 64), ("b1", 224)])
def test_activations_are_sane_on_images_not_seen(preset, resolution):
    model = initialize(EfficientViT(preset, 10, resolution), seed=1)
    assert not model.training
    spread, peak = {}, {}
    for name, module in named_layers(model):

        def hook(_module, _inputs, output, name=name):
            spread[name], peak[name] = float(output.std()), float(output.abs().max())

        module.register_forward_hook(hook)
    with torch.no_grad():
        logits = model(normalize(random_images(4, resolution, seed=99)))
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())
    assert min(spread.values()) > 0.2
    assert max(spread.values()) < 10
    assert max(peak.values()) < 200
    assert float((logits[0] - logits[1]).abs().max()) > 0.3  # the images reach the logits


def test_random_images():
    images = random_images(3, 100, seed=4)
    assert images.shape == (3, 100, 100, 3)
    assert images.dtype == torch.uint8
    assert torch.equal(images, random_images(3, 100, seed=4))
    assert not torch.equal(images, random_images(3, 100, seed=5))
    assert not torch.equal(images[0], images[1])
    neighbours = torch.stack([images[:, :, :-1].flatten().float(), images[:, :, 1:].flatten().float()])
    assert torch.corrcoef(neighbours)[0, 1] > 0.7
