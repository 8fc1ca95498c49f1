"""Outlier channels: the float network is the same function, and so is the quantized one as far as 8 bits go."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.golden.quantization.schemes import convolution_layer, tiny_model
from triovit.golden.evaluation.predictors import FloatPredictor, IntegerPredictor
from triovit.golden.integer.family import family
from triovit.golden.network.architectures import layers_of
from triovit.golden.network.bundled import load_bundled
from triovit.golden.network.graph import LayerNormLayer, LinearAttentionLayer, PoolLayer
from triovit.golden.quantization.calibration.calibrate import CHANNELS
from triovit.golden.quantization.calibration.images import random_images
from triovit.golden.quantization.calibration.observers import Range
from triovit.golden.quantization.equalization import (
    THRESHOLD,
    balance,
    describe,
    divide_ranges,
    largest_weights,
    outlier_factors,
    outliers,
)
from triovit.golden.quantization.fake_quantized import Simulation
from triovit.golden.quantization.methods import METHODS
from triovit.golden.quantization.quantize import quantize, quantize_model
from triovit.golden.quantization.rules import TensorRule
from triovit.golden.quantization.settings import Settings

CHANNEL = 3
CONSTANT = 100_000
CONTEXT = "backbone.stages.2.op_list.1.context_module.main"
STREAM = ("backbone.stages.1.op_list.0.main.point_conv", "backbone.stages.1.op_list.1.main.point_conv")


def stream(model, factor):
    """A channel of stage 1's residual stream: two blocks write it, two layers read it."""
    one, two = model.backbone.stages[1], model.backbone.stages[2]
    for block in one.op_list:
        block.main.point_conv.norm.weight[CHANNEL] *= factor
        block.main.point_conv.norm.bias[CHANNEL] *= factor
    readers = [block.main.inverted_conv for block in one.op_list[1:]]
    for reader in (*readers, two.op_list[0].main.inverted_conv):
        reader.conv.weight[:, CHANNEL] /= factor


def attention(model, factor, channels, undo):
    """Channels of a head's q, k, v; the multi-scale branch gets them as they were, and `undo` takes them back."""
    main = model.get_submodule(CONTEXT)
    dim = main.attention.dim
    first = 3 * dim  # of the second head
    for channel, f in channels(dim, factor):
        main.qkv.conv.weight[first + channel] *= f
        main.aggreg[0][1].weight[first + channel // dim * dim : first + (channel // dim + 1) * dim, channel % dim] /= f
    undo(main, dim, factor)


def value(model, factor):
    def undo(main, dim, factor):
        main.proj.conv.weight[:, dim + CHANNEL] /= factor

    attention(model, factor, lambda dim, f: [(2 * dim + CHANNEL, f)], undo)


def query_and_key(model, factor):
    attention(model, factor, lambda dim, f: [(CHANNEL, f), (dim + CHANNEL, 1 / f)], lambda *_: None)


def whole_head(model, factor):
    def undo(main, dim, factor):
        main.proj.conv.weight[:, dim : 2 * dim] /= factor

    attention(model, factor, lambda dim, f: [(2 * dim + channel, f) for channel in range(dim)], undo)


PLACES = {"residual stream": stream, "v": value, "q and k": query_and_key, "v of a head": whole_head}


@pytest.fixture(scope="module")
def images():
    return random_images(1, 32, 64)


@pytest.fixture(scope="module")
def pixels():
    return np.stack(random_images(2, 24, 64))


def error(network, bundled, pixels):
    """Noise of the logits over their signal."""
    real = IntegerPredictor(network).logits(pixels) * network.metadata["logit_scale"]
    expected = FloatPredictor(bundled.model, bundled.mean, bundled.std).logits(pixels)
    return ((real - expected) ** 2).sum() / (expected**2).sum()


def quantized(bundled, images, method="trio", **changes):
    settings = replace(METHODS[method], **changes)
    return quantize(bundled.model, images, name="x", settings=settings, mean=bundled.mean, std=bundled.std)


@pytest.fixture(scope="module")
def plain(images, pixels):
    bundled = load_bundled()
    network = quantized(bundled, images)
    return network, error(network, bundled, pixels)


@pytest.mark.parametrize("factor", [1000, 0.001], ids=["large", "small"])
@pytest.mark.parametrize("place", PLACES)
def test_an_outlier_costs_nothing(place, factor, images, pixels, plain):
    bundled = load_bundled()
    before = FloatPredictor(bundled.model, bundled.mean, bundled.std).logits(pixels)
    with torch.no_grad():
        PLACES[place](bundled.model, factor)
    after = FloatPredictor(bundled.model, bundled.mean, bundled.std).logits(pixels)
    np.testing.assert_allclose(after, before, atol=1e-3 * np.abs(before).max())  # the same function
    network = quantized(bundled, images)
    assert error(network, bundled, pixels) < 1.5 * plain[1]
    assert network.metadata["equalized"] and "warnings" not in network.metadata


def test_without_equalization_it_does_and_is_told(images, pixels, plain):
    bundled = load_bundled()
    with torch.no_grad():
        stream(bundled.model, 1000)
    network = quantized(bundled, images, equalization=False)
    assert error(network, bundled, pixels) > 10 * plain[1]
    assert "equalized" not in network.metadata
    assert network.metadata["settings"]["equalization"] is False
    told = network.metadata["warnings"]
    assert [text.partition(":")[0] for text in told] == list(STREAM)
    assert all(f"channel {CHANNEL} " in text and "switched off" in text for text in told)


def test_an_outlier_that_counts_as_much_is_told(images):
    """No factor helps where the weights are not smaller: a large constant in a channel, which its readers subtract."""
    bundled = load_bundled()
    with torch.no_grad():
        blocks = bundled.model.backbone.stages[1].op_list
        blocks[0].main.point_conv.norm.bias[CHANNEL] += CONSTANT
        for reader in (blocks[1].main.inverted_conv, bundled.model.backbone.stages[2].op_list[0].main.inverted_conv):
            part = reader.conv.weight[:, CHANNEL, 0, 0] * CONSTANT
            if reader.conv.bias is None:
                reader.norm.running_mean += part
            else:
                reader.conv.bias -= part
    warnings = quantized(bundled, images).metadata["warnings"]
    assert any(text.startswith(f"{STREAM[0]}: beside channel {CHANNEL} ") for text in warnings)
    assert all("\n" not in text for text in warnings)


def test_networks_without_outliers_stay(plain, images):
    network, _ = plain
    assert "equalized" not in network.metadata and "warnings" not in network.metadata
    without = quantized(load_bundled(), images, equalization=False)
    for node, other in zip(network.nodes, without.nodes, strict=True):
        for record, expected in zip(node.records(), other.records(), strict=True):
            assert all(
                np.array_equal(a, b) for a, b in zip(record.arrays().values(), expected.arrays().values(), strict=True)
            )


@pytest.mark.parametrize("place", ["residual stream", "v"])
@pytest.mark.parametrize("method", ["p2", "m2+p2"])
def test_every_family_takes_factors(method, place, images):
    bundled = load_bundled()
    with torch.no_grad():
        PLACES[place](bundled.model, 1000)
    network = quantized(bundled, images[:8], method)
    assert family(network) == method
    assert network.metadata["equalized"]


def test_the_simulation_knows_the_factors(images):
    """Fake quantization gives the integers of K^T V, row sums and output, with factors in q, k and v."""
    bundled = load_bundled()
    with torch.no_grad():
        value(bundled.model, 1000)
        query_and_key(bundled.model, 100)
    result = quantize_model(bundled.model, images, name="x", settings=METHODS["trio"])
    layer = next(layer for layer in result.layers if layer.name == f"{CONTEXT}.attention")
    node = next(node for node in result.network.nodes if node.name == layer.name)
    generator = np.random.default_rng(1)
    tensors = {
        name: generator.integers(-100, 100, (3 * layer.heads * layer.dim, 2, 2)).astype(np.int8)
        for name in layer.inputs
    }
    expected = node.run(tensors)
    simulation = Simulation(result.scheme, torch.float64)
    real = {name: simulation.decode(name, torch.from_numpy(x)[None]) for name, x in tensors.items()}
    for branch, name in enumerate(layer.inputs):
        products = simulation.attention_products(layer, branch, real[name])
        for point, values in zip(("kv", "sum"), products, strict=True):
            integers = torch.floor(values / simulation.scale(f"{layer.name}.{point}{branch}") + 0.5).clamp(-128, 127)
            found, right = integers[0].squeeze(-1), expected[f"{layer.name}.{point}{branch}"]
            assert np.abs(found.numpy() - right).max() <= 1  # dyadic ratios
    output = simulation.encode(layer.name, simulation.before_rounding(layer, real))[0]
    assert (np.abs(output.numpy().astype(int) - expected[layer.name]) <= 1).mean() > 0.99


def test_balance():
    wide, heavy = np.ones(32), np.ones(32)
    wide[4], heavy[4] = 100, 1 / 100
    assert balance(wide, heavy).tolist() == [1] * 4 + [128] + [1] * 27  # 100 is nearer to 128 than to 64
    assert balance(heavy, wide).tolist() == [1] * 4 + [1 / 128] + [1] * 27
    wide[4], heavy[4] = 400, 1  # an outlier that counts: half of it goes into the weights
    assert balance(wide, heavy)[4] == 16
    for scale in (1e-6, 1e6):
        assert balance(wide * scale, heavy / scale)[4] == 16


def test_balance_leaves_what_is_usual():
    ones = np.ones(9)
    less = THRESHOLD * 0.99
    assert (balance(ones * [1, 1, 1, 1, less**2, 1, 1, 1, 1], ones) == 1).all()
    assert (balance(ones * [1, 1, 1, 1, less, 1, 1, 1, 1], ones / [1, 1, 1, 1, less, 1, 1, 1, 1]) == 1).all()
    dead = np.array([1, 1, 1, *[1e-4] * 30])  # most channels are dead: those alive are the usual ones
    assert (balance(dead, np.ones(33)) == 1).all()
    unread = np.array([1, 1, 1, *[1e-9] * 3])
    assert (balance(np.ones(6), unread) == 1).all()  # wide enough for what nobody reads
    assert (balance(np.zeros(4), np.ones(4)) == 1).all() and (balance(np.ones(4), np.zeros(4)) == 1).all()


def test_which_readers_take_factors():
    dense = convolution_layer(np.ones((2, 4, 1, 1)) * [[[[3]]], [[[5]]]], np.zeros(2))
    depthwise = convolution_layer(np.full((4, 1, 3, 3), 9.0), np.zeros(4), groups=4)
    grouped = convolution_layer(np.arange(8.0).reshape(4, 2, 1, 1), np.zeros(4), groups=2)
    pool = PoolLayer(name="p", output="p", block="p", input="x", channels=4, pixels=4)
    norm = LayerNormLayer(name="n", output="n", block="n", input="x", gamma=np.ones(4), beta=np.ones(4), eps=1e-5)
    assert largest_weights([dense], 4).tolist() == [5] * 4
    assert largest_weights([grouped], 4).tolist() == [2, 3, 6, 7]
    assert largest_weights([grouped, dense, depthwise, pool], 4).tolist() == [5, 5, 6, 7]
    assert largest_weights([depthwise, pool], 4) is None  # their channels have scales of their own
    assert largest_weights([dense, norm], 4) is None


def test_factors_of_an_attention():
    """Of v to the output, of k and q inverse to each other; ranges inside follow."""
    model = tiny_model()
    layers = layers_of(model)
    layer = next(layer for layer in layers if isinstance(layer, LinearAttentionLayer))
    rng = np.random.default_rng(3)
    ranges = {}
    for other in layers[:-1]:
        ends = rng.uniform(1, 2, other.channels)
        ranges[other.name] = ranges[other.name + CHANNELS] = Range(-ends, ends)
    name, dim = layer.inputs[0], layer.dim
    ends = ranges[name + CHANNELS].high.copy()
    ends[[2, dim + 2, 2 * dim + 5]] *= [1000, 0.001, 1000]
    ranges[name + CHANNELS] = Range(-ends, ends)
    factors = outlier_factors(layers, ranges)
    assert {2, dim + 2} <= set(np.flatnonzero(factors[name] != 1))
    assert factors[name][2] * factors[name][dim + 2] == 1 and factors[name][2] == pytest.approx(1000, rel=0.5)
    assert 16 <= factors[name][2 * dim + 5] <= 64  # its readers' weights are as large as the others: half of it
    assert factors[layer.name][5] == factors[name][2 * dim + 5]


def test_ranges_are_divided():
    found = Range(-np.array([1.0, 2, 3, 800]), np.array([1.0, 2, 3, 800]))
    ranges = {"a": Range(np.array([-2.0, -800]), np.array([2.0, 800])), "a.channels": found, "b": found}
    factors = {"a": np.array([1, 1, 1, 256.0]), "b": np.array([1, 1, 1, 256.0])}
    rules = {"a": TensorRule(2, 2), "b": TensorRule(1, 1)}
    result = divide_ranges([], rules, ranges, factors)
    assert result["a"].high.tolist() == [2, 3.125] and result["b"].high.tolist() == [1, 2, 3, 3.125]
    assert ranges["b"].high[3] == 800


def test_words():
    assert outliers(np.array([1, 64, 1, 1 / 16])) == {"1": 64.0, "3": 0.0625}
    assert describe({"1": 64.0, "3": 0.0625}) == "channel 1 by 64, channel 3 by 1/16"
    assert describe({str(c): 2.0 for c in range(9)}).endswith("channel 3 by 2 and 5 more")
    assert "equalization" not in Settings().to_dict()
    assert Settings(equalization=False).to_dict()["equalization"] is False
