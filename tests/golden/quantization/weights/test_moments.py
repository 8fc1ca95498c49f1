"""Moments against output errors of real convolutions: the layers of a network and their inputs on the same images."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from tests.golden.quantization.schemes import convolution_layer, tiny_model
from triovit.golden.data.images import IMAGENET_MEAN, IMAGENET_STD
from triovit.golden.network import seeded
from triovit.golden.network.architectures import layers_of
from triovit.golden.network.graph import ConvolutionLayer
from triovit.golden.network.normalize import normalize
from triovit.golden.quantization.encoding import Encoding
from triovit.golden.quantization.weights import moments
from triovit.golden.quantization.weights.layers import correct_bias
from triovit.golden.quantization.weights.moments import Moments, measure_moments
from triovit.golden.quantization.weights.quantized import QuantizedWeights, by_filter

ATTENTION = "backbone.stages.2.op_list.1.context_module.main"
LAYERS = {
    "3 x 3, stride 2, padding, groups 1": "backbone.input_stem.op_list.0",
    "depthwise 3 x 3": "backbone.input_stem.op_list.1.main.depth_conv",
    "depthwise 3 x 3, stride 2": "backbone.stages.0.op_list.0.main.depth_conv",
    "depthwise 5 x 5": f"{ATTENTION}.aggreg.0.0",
    "grouped 1 x 1": f"{ATTENTION}.aggreg.0.1",
    "pointwise": "backbone.stages.0.op_list.0.main.inverted_conv",
    "fully connected": "head.op_list.2.linear",
}


@pytest.fixture(scope="module")
def model():
    return tiny_model()


@pytest.fixture(scope="module")
def images():
    return seeded.random_images(9, 32, 4).numpy()


@pytest.fixture(scope="module")
def layers(model):
    return {layer.name: layer for layer in layers_of(model)}


@pytest.fixture(scope="module")
def measured(model, layers, images):
    return measure_moments(model, list(layers.values()), images, IMAGENET_MEAN, IMAGENET_STD)


def input_of(model, layer, images):
    """(N, C, H, W) float64 that the layer reads."""
    found = []
    module = model.get_submodule(layer.module)
    hook = module.register_forward_hook(lambda _module, inputs, _output: found.append(inputs[0]))
    with torch.no_grad():
        model(normalize(torch.from_numpy(images)))
    hook.remove()
    return found[0].reshape(*found[0].shape[:2], *(found[0].shape[2:] or (1, 1))).double()


def output_change(x, difference, conv):
    """(N, F, H, W) of what a change of the weights does."""
    return functional.conv2d(x, torch.from_numpy(difference), None, conv.stride, conv.padding, groups=conv.groups)


def test_every_convolution_has_moments(layers, measured):
    assert set(measured) == {name for name, layer in layers.items() if isinstance(layer, ConvolutionLayer)}
    for name, found in measured.items():
        conv = layers[name].folded
        n = conv.weight[0].size
        assert (found.mean.shape, found.second.shape) == ((conv.groups, n), (conv.groups, n, n))
        assert found.mean.dtype == found.second.dtype == np.float64


@pytest.mark.parametrize("name", LAYERS.values(), ids=LAYERS)
def test_errors_are_those_of_the_convolution(model, layers, measured, images, name):
    layer = layers[name]
    conv, x = layer.folded, input_of(model, layer, images)
    rng = np.random.default_rng(0)
    difference = rng.normal(size=conv.weight.shape)
    flat = difference.reshape(len(difference), -1)
    change = output_change(x, difference, conv)
    columns = rng.uniform(0.1, 5, flat.shape)
    squares = measured[name].output_error(columns)(flat * columns)
    np.testing.assert_allclose(squares, (change**2).mean((0, 2, 3)).numpy(), rtol=1e-4)
    np.testing.assert_allclose(
        measured[name].mean_error(flat), change.mean((0, 2, 3)).numpy(), rtol=1e-3, atol=1e-4 * np.sqrt(squares.max())
    )


@pytest.mark.parametrize("name", LAYERS.values(), ids=LAYERS)
def test_corrected_biases_leave_no_mean_error(model, layers, measured, images, name):
    layer = layers[name]
    conv, x = layer.folded, input_of(model, layer, images)
    source = Encoding(np.random.default_rng(1).uniform(0.01, 0.3, conv.channels), np.zeros(conv.channels, dtype=int))
    step = np.abs(conv.weight * by_filter(source.scale, conv)).max(axis=(1, 2, 3)) / 2  # coarse: errors show
    integers = np.floor(conv.weight * by_filter(source.scale, conv) / step[:, None, None, None]).astype(np.int64)
    quantized = QuantizedWeights(integers, step)
    corrected = correct_bias(layer, quantized, source, measured[name])
    assert corrected.folded.weight is conv.weight  # the bias alone
    change = output_change(x, quantized.real(conv, source) - conv.weight, conv).mean((0, 2, 3)).numpy()
    assert np.abs(change).max() > 0.05
    left = change + corrected.folded.bias - conv.bias
    assert np.abs(left).max() < 1e-4 * np.abs(change).max()


def test_at_most_64_evenly_spaced_images(model, layers, images, monkeypatch):
    assert moments.IMAGES == 64
    monkeypatch.setattr(moments, "IMAGES", 4)
    name = "head.op_list.0"
    found = measure_moments(model, [layers[name]], images, IMAGENET_MEAN, IMAGENET_STD)[name]
    x = input_of(model, layers[name], images[[0, 2, 4, 6]])
    np.testing.assert_allclose(found.mean[0], x.mean((0, 2, 3)).numpy(), rtol=1e-4, atol=1e-5)


def test_batches_do_not_matter_and_progress_is_told(model, layers, measured, images, monkeypatch):
    monkeypatch.setattr(moments, "BATCH", 2)
    told = []
    again = measure_moments(
        model, list(layers.values()), images, IMAGENET_MEAN, IMAGENET_STD, lambda *step: told.append(step)
    )
    for name, found in again.items():
        np.testing.assert_allclose(found.second, measured[name].second, rtol=1e-3, atol=1e-5)
    assert told == [("moments", done, 9) for done in (2, 4, 6, 8, 9)]


def test_moments_by_hand():
    found = Moments(np.array([[1.0, 2.0], [0.0, -1.0]]), np.array([[[2.0, 1.0], [1.0, 5.0]], [[1.0, 0.0], [0.0, 3.0]]]))
    difference = np.array([[1.0, 1.0], [2.0, 0.0], [0.0, 2.0], [1.0, -1.0]])  # two filters a group
    assert found.mean_error(difference).tolist() == [3, 2, -2, 1]
    assert found.output_error(np.ones((4, 2)))(difference).tolist() == [9, 8, 12, 4]
    assert found.output_error(np.full((4, 2), 2.0))(difference).tolist() == [2.25, 2, 3, 1]


def test_by_filter_spreads_channels_over_groups():
    layer = convolution_layer(np.zeros((6, 2, 3, 3)), np.zeros(6), groups=3)
    found = by_filter(np.arange(6.0), layer.folded)
    assert found.shape == (6, 2, 1, 1)
    assert found[:, :, 0, 0].tolist() == [[0, 1], [0, 1], [2, 3], [2, 3], [4, 5], [4, 5]]
