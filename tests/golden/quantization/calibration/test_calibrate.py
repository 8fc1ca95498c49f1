"""Calibration: ranges against tensors computed directly, and every wrong calibration set."""

import hashlib

import numpy as np
import pytest
import torch

from golden.network.efficientvit import EfficientViT
from golden.network.preprocess import IMAGENET_MEAN, IMAGENET_STD, normalize
from golden.network.weights import initialize
from golden.quantization.calibrate import OPERAND, calibrate, check_images, image_hash, random_images
from golden.quantization.plan import plan
from golden.quantization.quantize import _channels
from golden.quantization.rules import tensor_rules
from golden.quantization.settings import QuantizationError, Settings

QKV = "backbone.stages.2.op_list.1.context_module.main.qkv"
ATTENTION = "backbone.stages.2.op_list.1.context_module.main.attention"
BLOCK = "backbone.stages.1.op_list.1"


@pytest.fixture(scope="module")
def model():
    return initialize(EfficientViT("b0", 7, 32), 1)


def run(model, images, progress=None, **settings):
    settings = Settings(**settings)
    layers = plan(model)
    rules = tensor_rules(layers, _channels(layers), settings)
    return calibrate(model, layers, rules, images, settings, IMAGENET_MEAN, IMAGENET_STD, progress)


def captured(model, images, path, what="output"):
    """Output, or input, of a module over all images at once."""
    values = []
    hook = model.get_submodule(path).register_forward_hook(
        lambda _module, inputs, output: values.append(output if what == "output" else inputs[0])
    )
    with torch.inference_mode():
        model(normalize(torch.from_numpy(images)))
    hook.remove()
    return values[0].double().numpy()


def test_ranges_are_those_of_the_tensors(model):
    images = check_images(random_images(3, 5, 32), 32)
    ranges = run(model, images, batch=2)
    block = captured(model, images, BLOCK)  # the residual sum, not the last convolution
    np.testing.assert_allclose(ranges[f"{BLOCK}.main.point_conv"].high, block.max((0, 2, 3)), rtol=1e-3)
    np.testing.assert_allclose(ranges[f"{BLOCK}.main.point_conv"].low, block.min((0, 2, 3)), rtol=1e-3)
    operand = captured(model, images, f"{BLOCK}.main.depth_conv.act", "input")
    np.testing.assert_allclose(ranges[f"{BLOCK}.main.depth_conv{OPERAND}"].high, [operand.max()], rtol=1e-3)
    qkv = captured(model, images, QKV).reshape(5, 4, 3, 16, -1)
    np.testing.assert_allclose(ranges[QKV].bound, np.abs(qkv).max((0, 3, 4)).reshape(-1), rtol=1e-3)
    q, k, v = np.maximum(qkv[:, :, 0], 0), np.maximum(qkv[:, :, 1], 0), qkv[:, :, 2]
    sums = k.sum(3)
    np.testing.assert_allclose(ranges[f"{ATTENTION}.sum0"].high, sums.max((0, 2)), rtol=1e-3)
    np.testing.assert_allclose(ranges[f"{ATTENTION}.kv0"].bound, np.abs(v @ k.swapaxes(2, 3)).max((0, 2, 3)), rtol=1e-3)
    np.testing.assert_allclose(
        ranges[f"{ATTENTION}.divisor0"].high, (q * sums[..., None]).sum(2).max((0, 2)), rtol=1e-3
    )


def test_batches_do_not_matter(model):
    images = check_images(random_images(3, 5, 32), 32)
    one, two = run(model, images, batch=1), run(model, images, batch=5)
    for name, range_ in one.items():  # a channel that hardly moves is a difference of large numbers
        assert np.abs(range_.high - two[name].high).max() <= 1e-3 * range_.bound.max(), name


def test_percentiles_are_inside_and_the_attention_keeps_its_extremes(model):
    images = check_images(random_images(3, 4, 32), 32)
    full, clipped = run(model, images), run(model, images, method="percentile", percentile=99)
    assert full.keys() == clipped.keys()
    name = "backbone.stages.0.op_list.0.main.inverted_conv"  # 16 x 16 pixels: enough values for a percentile
    assert (clipped[name].high <= full[name].high * 1.001).all()
    assert clipped[name].high.mean() < 0.95 * full[name].high.mean()
    for kept in (f"{ATTENTION}.kv1", f"{name}{OPERAND}", "head.op_list.3.linear"):
        assert np.array_equal(full[kept].high, clipped[kept].high)


def test_progress_and_mode(model):
    images = check_images(random_images(3, 5, 32), 32)
    calls = []
    model.train()
    run(model, images, lambda *call: calls.append(call), batch=2, method="percentile")
    assert model.training
    model.eval()
    assert calls == [(what, done, 5) for what in ("ranges", "percentiles") for done in (2, 4, 5)]
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_random_images_are_seeded():
    one, same, other = random_images(1, 3, 40), random_images(1, 3, 40), random_images(2, 3, 40)
    assert len(one) == 3
    assert one[0].shape == (40, 40, 3)
    assert one[0].dtype == np.uint8
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    assert not np.array_equal(one[0], other[0])
    neighbours = np.abs(np.diff(one[0].astype(int), axis=0)).mean()
    assert neighbours < np.abs(one[0].astype(int) - np.roll(one[0].astype(int), 17, axis=0)).mean()


def test_hash_is_of_the_pixels_in_order():
    images = check_images(random_images(1, 2, 32), 32)
    assert image_hash(images) == hashlib.sha256(images[0].tobytes() + images[1].tobytes()).hexdigest()
    assert image_hash(images) != image_hash(images[::-1])


def image(*shape, dtype=np.uint8):
    return np.zeros(shape, dtype=dtype)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([], "the calibration set is empty: at least one image is needed"),
        (
            [image(32, 32, 3), image(32, 31, 3)],
            r"calibration image 1 must be uint8 \(32, 32, 3\), not uint8 \(32, 31, 3\)",
        ),
        ([image(3, 32, 32)], r"calibration image 0 must be uint8 \(32, 32, 3\), not uint8 \(3, 32, 32\)"),
        ([image(32, 32, 3, dtype=np.float32)], r"not float32 \(32, 32, 3\)"),
        ([image(64, 64, 3)], r"not uint8 \(64, 64, 3\)"),
    ],
)
def test_wrong_images(images, message):
    with pytest.raises(QuantizationError, match=message):
        check_images(iter(images), 32)


def test_activations_that_are_not_finite_name_their_layer():
    model = initialize(EfficientViT("b0", 7, 32), 1)
    with torch.no_grad():
        model.backbone.stages[0].op_list[0].main.inverted_conv.conv.weight.fill_(3e38)
    images = check_images(random_images(3, 1, 32), 32)
    with pytest.raises(QuantizationError, match=r"^backbone\.stages\.0\.op_list\.0\.main\.inverted_conv: the float"):
        run(model, images)
