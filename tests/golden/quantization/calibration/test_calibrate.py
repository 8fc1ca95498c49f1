"""Calibration: ranges against tensors computed directly."""

import numpy as np
import pytest
import torch

from triovit.golden.data.images import IMAGENET_MEAN, IMAGENET_STD
from triovit.golden.network.architectures import layers_of
from triovit.golden.network.efficientvit.model import EfficientViT
from triovit.golden.network.normalize import normalize
from triovit.golden.network.seeded import initialize
from triovit.golden.quantization.calibration.calibrate import CHANNELS, OPERAND, calibrate
from triovit.golden.quantization.calibration.images import check_images, random_images
from triovit.golden.quantization.rules import tensor_rules
from triovit.golden.quantization.settings import QuantizationError, Settings

QKV = "backbone.stages.2.op_list.1.context_module.main.qkv"
ATTENTION = "backbone.stages.2.op_list.1.context_module.main.attention"
BLOCK = "backbone.stages.1.op_list.1"


@pytest.fixture(scope="module")
def model():
    return initialize(EfficientViT("b0", 7, 32), 1)


def run(model, images, progress=None, **settings):
    settings = Settings(**settings)
    layers = layers_of(model)
    rules = tensor_rules(layers, settings)
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


@pytest.mark.parametrize("observer", ["percentile", "lp", "ema"])
def test_tensors_are_clipped_and_the_attention_keeps_its_extremes(model, observer):
    images = check_images(random_images(3, 6, 32), 32)
    full, clipped = run(model, images), run(model, images, observer=observer, percentile=99, batch=1)
    assert full.keys() == clipped.keys()
    name = "backbone.stages.0.op_list.0.main.inverted_conv"  # 16 x 16 pixels: enough values for a percentile
    assert (clipped[name].high <= full[name].high * 1.001).all()
    assert (clipped[name].high < 0.995 * full[name].high).any()
    full = {point: found for point, found in full.items() if not point.endswith(CHANNELS)}
    points = [point for point in full if ".kv" in point or ".sum" in point or ".divisor" in point or OPERAND in point]
    assert len(points) > 20
    for kept in (*points, "head.op_list.3.linear"):
        np.testing.assert_allclose(clipped[kept].high, full[kept].high, rtol=2e-3)


def test_moving_average_is_over_the_batches_in_order(model):
    images = check_images(random_images(3, 6, 32), 32)
    found = run(model, images, observer="ema", momentum=0.75, batch=2)[QKV]
    one, two, three = (run(model, images[i : i + 2])[QKV] for i in (0, 2, 4))
    np.testing.assert_allclose(found.high, 0.75 * (0.75 * one.high + 0.25 * two.high) + 0.25 * three.high, rtol=2e-3)
    turned = run(model, images[::-1].copy(), observer="ema", momentum=0.75, batch=2)[QKV]
    assert not np.allclose(found.high, turned.high)


@pytest.mark.parametrize("observer", ["minmax", "percentile", "lp"])
def test_the_order_of_images_does_not_matter(model, observer):
    images = check_images(random_images(3, 5, 32), 32)
    one, two = run(model, images, observer=observer), run(model, images[::-1].copy(), observer=observer)
    for name, range_ in one.items():
        assert np.abs(range_.high - two[name].high).max() <= 0.02 * range_.bound.max(), name


@pytest.mark.parametrize("observer", ["percentile", "lp"])
def test_progress_and_mode(model, observer):
    images = check_images(random_images(3, 5, 32), 32)
    calls = []
    model.train()
    ranges = run(model, images, lambda *call: calls.append(call), batch=2, observer=observer)
    assert model.training
    model.eval()
    tensors = len([name for name in ranges if name in {layer.name for layer in layers_of(model)[:-1]}])
    passes = [(what, done, 5) for what in ("ranges", "histograms") for done in (2, 4, 5)]
    assert calls == passes + [("clipping ranges", done, tensors) for done in range(1, tensors + 1)]
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize("observer", ["minmax", "ema", "percentile", "lp"])
@pytest.mark.parametrize("level", [0, 128, 255])
def test_images_of_one_grey(model, observer, level):
    """Every channel has one value per pixel, the same in all images: ranges are narrow, and all is finite."""
    ranges = run(model, np.full((3, 32, 32, 3), level, np.uint8), observer=observer)
    for name, found in ranges.items():
        assert np.isfinite(found.low).all() and np.isfinite(found.high).all() and (found.low <= found.high).all(), name


def test_activations_that_are_not_finite_name_their_layer():
    model = initialize(EfficientViT("b0", 7, 32), 1)
    with torch.no_grad():
        model.backbone.stages[0].op_list[0].main.inverted_conv.conv.weight.fill_(3e38)
    images = check_images(random_images(3, 1, 32), 32)
    with pytest.raises(QuantizationError, match=r"^backbone\.stages\.0\.op_list\.0\.main\.inverted_conv: the float"):
        run(model, images)
