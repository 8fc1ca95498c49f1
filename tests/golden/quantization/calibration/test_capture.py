"""Looking at modules while the float network runs."""

import numpy as np
import pytest
import torch

from tests.golden.quantization.schemes import tiny_model
from triovit.golden.data.images import IMAGENET_MEAN, IMAGENET_STD
from triovit.golden.network import seeded
from triovit.golden.network.normalize import normalize
from triovit.golden.quantization.calibration.capture import evenly, run


@pytest.fixture
def model():
    return tiny_model()


@pytest.fixture(scope="module")
def images():
    return seeded.random_images(5, 32, 1).numpy()


def options(**changes):
    return {"batch": 2, "mean": IMAGENET_MEAN, "std": IMAGENET_STD, "what": "ranges"} | changes


def test_visits_see_inputs_and_outputs_batch_by_batch(model, images):
    seen, other, progress = [], [], []
    norm = model.backbone.input_stem.op_list[0]
    run(
        model,
        images,
        iter([(norm, lambda *pair: seen.append(pair)), (model, lambda _x, y: other.append(y))]),
        **options(progress=lambda *step: progress.append(step)),
    )
    x = normalize(torch.from_numpy(images), IMAGENET_MEAN, IMAGENET_STD)
    assert torch.equal(torch.cat([x for x, _ in seen]), x)
    with torch.no_grad():
        expected, logits = norm(x), model(x)
    assert torch.allclose(torch.cat([y for _, y in seen]), expected, atol=1e-5)
    assert torch.allclose(torch.cat(other), logits, atol=1e-4)
    assert [len(x) for x, _ in seen] == [2, 2, 1]
    assert progress == [("ranges", 2, 5), ("ranges", 4, 5), ("ranges", 5, 5)]


def test_mean_and_std_are_those_given(model, images):
    seen = []
    run(model, images, [(model, lambda x, _: seen.append(x))], **options(mean=(0.5, 0.25, 0), std=(1, 0.5, 2)))
    expected = (images[0, 3, 4] / 255 - [0.5, 0.25, 0]) / [1, 0.5, 2]
    np.testing.assert_allclose(seen[0][0, :, 3, 4].numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("fails", [True, False])
def test_the_model_is_left_as_it_was(model, images, training, fails):
    model.train(training)
    kept = {name: value.clone() for name, value in model.state_dict().items()}

    def visit(x, _):
        assert not model.training
        assert not x.requires_grad
        assert torch.is_inference_mode_enabled()
        if fails:
            raise KeyError

    if fails:
        with pytest.raises(KeyError):
            run(model, images, [(model.head, visit)], **options())
    else:
        run(model, images, [(model.head, visit)], **options())
    assert model.training == training
    assert not any(module._forward_hooks for module in model.modules())
    assert all(torch.equal(value, kept[name]) for name, value in model.state_dict().items())


def test_evenly():
    images = np.arange(10)
    assert evenly(images, 10).tolist() == evenly(images, 99).tolist() == list(range(10))
    assert evenly(images, 4).tolist() == [0, 2, 5, 7]
    assert evenly(images, 1).tolist() == [0]
    assert evenly(np.arange(1), 32).tolist() == [0]
