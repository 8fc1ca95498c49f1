"""Power-of-two scales: constants, smoothing, and exponents against a search that quantizes and convolves by itself."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.nn import functional

from tests.golden.quantization.schemes import convolution_layer, tiny_model
from triovit.golden.data.images import IMAGENET_MEAN, IMAGENET_STD
from triovit.golden.integer.network import INPUT
from triovit.golden.network import seeded
from triovit.golden.network.architectures import layers_of
from triovit.golden.network.graph import ConvolutionLayer, LayerNormLayer, LinearAttentionLayer, PoolLayer
from triovit.golden.network.normalize import normalize
from triovit.golden.quantization import power_of_two
from triovit.golden.quantization.calibration.calibrate import calibrate
from triovit.golden.quantization.calibration.observers import Range
from triovit.golden.quantization.encoding import Encoding, encode, encode_range, range_scales
from triovit.golden.quantization.power_of_two import constants, round_trip, search_encodings, smoothing_factors
from triovit.golden.quantization.quantize import make_scheme
from triovit.golden.quantization.rules import TensorRule, tensor_rules
from triovit.golden.quantization.settings import Settings
from triovit.golden.quantization.weights.layers import quantize_layer
from triovit.golden.quantization.weights.quantized import by_filter

SETTINGS = Settings(scales="power-of-two")
SMOOTHING = dataclasses.replace(SETTINGS, smoothing=True)
ATTENTION = "backbone.stages.2.op_list.1.context_module.main"


@pytest.fixture(scope="module")
def model():
    return tiny_model()


@pytest.fixture(scope="module")
def layers(model):
    return layers_of(model)


@pytest.fixture(scope="module")
def images():
    return seeded.random_images(5, 32, 2).numpy()


@pytest.fixture(scope="module")
def rules(layers):
    return tensor_rules(layers, SETTINGS)


@pytest.fixture(scope="module")
def ranges(model, layers, rules, images):
    return calibrate(model, layers, rules, images, SETTINGS, IMAGENET_MEAN, IMAGENET_STD)


def test_constants():
    layers = layers_of(tiny_model(resolution=96))
    found = constants(layers)
    assert set(found) == {layer.name for layer in layers}
    assert found["backbone.input_stem.op_list.0"] == 1 / 6  # hardswish
    assert found["backbone.input_stem.op_list.1.main.point_conv"] == 1 / 6  # a residual sum takes it over
    assert found["backbone.stages.0.op_list.0.main.point_conv"] == 1
    stage = "backbone.stages.1.op_list"
    assert found[f"{stage}.1.main.point_conv"] == found[f"{stage}.0.main.point_conv"] == 1
    assert found[f"{ATTENTION}.qkv"] == found[f"{ATTENTION}.attention"] == found[f"{ATTENTION}.proj"] == 1
    assert found["head.op_list.0"] == found["head.op_list.2.norm"] == 1 / 6
    assert found["head.op_list.1"] == 1 / 6 / 9
    assert found["head.op_list.2.linear"] == found["head.op_list.3.linear"] == 1


def reader(name, weight, source="t", groups=1):
    return convolution_layer(weight, np.zeros(len(weight)), name=name, source=source, groups=groups)


def producer_of(channels):
    return reader("t", np.ones((channels, 1, 1, 1)), "s")


def factors_of(spread, weight, exponent=0.5, **ends):
    """Factors of a tensor whose channels spread over 2 * spread and meet weights of these magnitudes."""
    spread, weight = np.array(spread, dtype=float), np.array(weight, dtype=float)
    found = Range(ends.get("low", -spread), ends.get("high", spread))
    producer = producer_of(len(spread))
    return smoothing_factors(producer, [producer, reader("a", weight[None, :, None, None])], found, exponent)


def test_smoothing_balances_activations_and_weights():
    spread, weight = [1, 1.5, 0.8, 0.25, 16], [4, 2, 0.5, 0.25, 1]
    assert factors_of(spread, weight, 1.0).tolist() == [1, 2, 1, 0.25, 16]  # 0.8 is 1.6 times a half: it rounds up
    assert factors_of(np.ones(5), weight, 0.0).tolist() == [0.25, 0.5, 2, 4, 1]
    ratio = np.sqrt(np.array(spread) / weight)  # 0.5, 0.87, 1.26, 1, 4
    assert np.median(ratio) == 1
    assert factors_of(spread, weight, 0.5).tolist() == [0.5, 1, 1, 1, 4]


def test_log2_of_a_factor_is_rounded_at_one_and_a_half():
    ratios = [1, 1, 1, 1.49, 1.5, 0.74, 0.75, 2.99, 3.01]
    assert factors_of(ratios, np.ones(9), 1.0).tolist() == [1, 1, 1, 1, 2, 0.5, 1, 2, 4]
    assert factors_of(np.array(ratios) ** 2, np.ones(9), 0.5).tolist() == [1, 1, 1, 1, 2, 0.5, 1, 2, 4]


def test_factors_are_bounded_and_relative_to_the_middle():
    spread = [1e9, 1e9, 1e9, 1e-9, 1e30]
    assert factors_of(spread, np.ones(5), 1.0).tolist() == [1, 1, 1, 2.0**-6, 2.0**6]


def test_channels_that_are_never_used_keep_factor_one():
    assert factors_of([0, 1, 1, 4], [1, 1, 1, 1], 1.0).tolist() == [1, 1, 1, 4]
    assert factors_of([1, 1, 4, 8], [1, 1, 1, 0], 1.0).tolist() == [1, 1, 4, 1]
    assert factors_of([0, 0], [1, 1]) is None
    assert factors_of([1, 1], [0, 0]) is None


def test_ranges_count_from_zero():
    """A channel in 3..4 needs a scale for 0..4, and half of that is its magnitude about the middle."""
    low, high = np.array([3.0, -2.0, -1.0, -8.0]), np.array([4.0, 2.0, 3.0, -7.0])
    assert factors_of(np.ones(4), np.ones(4), 1.0, low=low, high=high).tolist() == [1, 1, 1, 2]


def test_only_dense_readers_can_take_factors():
    producer = producer_of(4)
    found, dense = Range(-np.arange(1.0, 5), np.arange(1.0, 5)), reader("a", np.ones((2, 4, 1, 1)))
    depthwise = reader("b", np.ones((4, 1, 3, 3)), groups=4)
    common = {"name": "c", "output": "c", "block": "c"}
    attention = LinearAttentionLayer(**common, inputs=("t",), heads=1, dim=4)
    pool = PoolLayer(**common, input="t", channels=4, pixels=1)
    norm = LayerNormLayer(**common, input="t", gamma=np.ones(4), beta=np.ones(4), eps=1.0)
    assert smoothing_factors(producer, [producer, dense], found, 1.0) is not None
    for other in (depthwise, attention, pool, norm):
        assert smoothing_factors(producer, [producer, other], found, 1.0) is None
        assert smoothing_factors(producer, [producer, dense, other], found, 1.0) is None
    produced = dataclasses.replace(attention, name="t", inputs=("s",))
    assert smoothing_factors(produced, [produced, dense], found, 1.0) is None
    adder = dataclasses.replace(depthwise, input="u", residual="t")  # a residual sum takes any scale
    assert smoothing_factors(producer, [producer, dense, adder], found, 1.0) is not None


def test_the_largest_weight_of_all_readers_counts():
    producer, found = producer_of(3), Range(-np.ones(3), np.ones(3))
    first = reader("a", np.array([[1, 1, 4.0], [1, -1, 1]])[:, :, None, None])
    second = reader("b", np.array([[1, -16, 1.0]])[:, :, None, None])
    assert smoothing_factors(producer, [producer, first, second], found, 0.0).tolist() == [4, 0.25, 1]


def test_smoothing_leaves_the_float_function_alone():
    """What the encoding of a channel takes, the weights that read it give back."""
    rng = np.random.default_rng(0)
    spread = 2.0 ** rng.uniform(-3, 3, 16)
    weight = rng.normal(size=(8, 16, 1, 1)) / spread[:, None, None]  # small channels matter as much as large ones
    layer = convolution_layer(weight, rng.normal(size=8), source="t")
    producer = producer_of(16)
    found = Range(-spread, spread)
    target = Encoding(np.full(8, 2.0**-4), np.zeros(8, dtype=int))
    x = rng.uniform(-1, 1, (16, 500)) * spread[:, None]
    exact_output = layer.folded.weight[:, :, 0, 0] @ x
    noise = {}
    for exponent in (None, 0.5):
        factors = exponent and smoothing_factors(producer, [producer, layer], found, exponent)
        source = encode_range(found, TensorRule(1, 1), factors)
        assert (np.abs(source.decode(source.quantize(x)) - x) <= source.scale[:, None] * 0.5001).all()
        quantized = quantize_layer(layer, {"t": source, "a": target}, {}, SETTINGS)
        real = quantized.real(layer.folded, source)
        step = quantized.step[:, None, None, None] / by_filter(source.scale, layer.folded)
        clipped = np.abs(quantized.values) == 127
        assert (np.abs(real - layer.folded.weight) <= 0.5001 * step)[~clipped].all()
        output = real[:, :, 0, 0] @ source.decode(source.quantize(x))
        noise[exponent] = ((output - exact_output) ** 2).sum() / (exact_output**2).sum()
    assert noise[0.5] < 0.2 * noise[None]
    assert noise[0.5] < 1e-3


def captured(model, layer, images):
    found = []
    hook = model.get_submodule(layer.output).register_forward_hook(lambda _module, _x, y: found.append(y))
    with torch.no_grad():
        model(normalize(torch.from_numpy(images)))
    hook.remove()
    return found[0].reshape(*found[0].shape[:2], *(found[0].shape[2:] or (1, 1))).double().numpy()


def coded(x, scale, zero):
    """Values as their integers stand for them."""
    scale, zero = scale[:, None, None], zero[:, None, None]
    return (np.clip(np.floor(x / scale + 0.5) + zero, -128, 127) - zero) * scale


def error_of(x, back, layer, layers, rule):
    """(scales,) squared errors: of what reads the tensor if all are convolutions, otherwise of the tensor."""
    readers = [other for other in layers if layer.name in other.inputs]
    if all(isinstance(other, ConvolutionLayer) for other in readers):
        errors = []
        for other in readers:
            conv = other.folded
            out = functional.conv2d(
                torch.from_numpy(back - x),
                torch.from_numpy(conv.weight),
                None,
                conv.stride,
                conv.padding,
                groups=conv.groups,
            )
            errors.append((out.numpy() ** 2).sum((0, 2, 3)).reshape(rule.scales, -1).sum(1))
        return sum(errors)
    if rule.rectified:
        used = np.arange(x.shape[1]) // rule.group % 3 < 2
        x, back = (np.where(used[:, None, None], np.maximum(v, 0), v) for v in (x, back))
    return ((x - back) ** 2).sum((0, 2, 3)).reshape(rule.scales, -1).sum(1)


@pytest.mark.parametrize(
    "settings",
    [SETTINGS, SMOOTHING, dataclasses.replace(SMOOTHING, migration=False)],
    ids=["plain", "smoothing", "smoothing without migration"],
)
def test_exponents_have_the_least_error_of_four(model, layers, images, settings):
    chosen, kinds, factors = [], set(), {}
    rules = tensor_rules(layers, settings)
    ranges = calibrate(model, layers, rules, images, settings, IMAGENET_MEAN, IMAGENET_STD)
    if settings.smoothing:
        factors = {
            layer.name: smoothing_factors(layer, layers, ranges[layer.name], 0.5)
            for layer in layers[:-1]
            if rules[layer.name].group == 1 and rules[layer.name].scales == 1
        }
        assert sum(found is not None for found in factors.values()) > 10
    found = search_encodings(model, layers, rules, ranges, factors, images, IMAGENET_MEAN, IMAGENET_STD, settings)
    assert list(found) == [INPUT, *(layer.name for layer in layers[:-1])]
    for layer in layers[:-1]:
        name, rule, mine = layer.name, rules[layer.name], factors.get(layer.name)
        x, constant = captured(model, layer, images), constants(layers)[layer.name]
        full, tried, errors = range_scales(ranges[name], rule, mine), [], []
        for change in (-1, 0, 1, 2):
            encoding = encode(ranges[name], rule, constant * 2.0 ** (np.floor(np.log2(full / constant)) + change), mine)
            tried.append(encoding)
            errors.append(error_of(x, coded(x, encoding.scale, encoding.zero_point), layer, layers, rule))
        errors = np.array(errors)
        if isinstance(layer, PoolLayer):  # a shift cannot multiply: no channel finer than the sum of its pixels
            best = tried[int(errors.argmin())]
            finest = found[layer.input].scale / layer.pixels
            expected = encode(ranges[name], TensorRule(1, len(finest)), np.maximum(best.scale, finest))
            np.testing.assert_allclose(found[name].scale, expected.scale, rtol=1e-12)
            np.testing.assert_array_equal(found[name].zero_point, expected.zero_point)
            raised = (finest > 1.5 * best.scale).sum()
            continue
        members = len(found[name].scale) // rule.scales
        for number in range(rule.scales):
            part = slice(number * members, (number + 1) * members)
            matches = [k for k in range(4) if np.array_equal(tried[k].scale[part], found[name].scale[part])]
            assert len(matches) == 1
            assert np.array_equal(tried[matches[0]].zero_point[part], found[name].zero_point[part])
            assert errors[matches[0], number] <= errors[:, number].min() * (1 + 1e-3) + 1e-9, name
            chosen.append(matches[0])
        kinds.add((type(layer), rule.scales > 1, rule.symmetric, rule.rectified))
    assert (raised > 0) == (not settings.migration)
    counts = np.bincount(chosen, minlength=4)
    assert counts[1:3].min() > (10 if settings.migration else 2)
    assert (ConvolutionLayer, True, True, True) in kinds  # q, k, v of the multi-scale branch
    ratio = np.concatenate([found[layer.name].scale / constants(layers)[layer.name] for layer in layers[:-1]])
    assert np.abs(np.log2(ratio) - np.round(np.log2(ratio))).max() < 1e-12


def test_of_equal_exponents_the_one_below_the_range_wins(model, layers, rules, ranges, images):
    """Zeros cause no error with any scale."""
    zeros = tiny_model()
    with torch.no_grad():
        for parameter in zeros.parameters():
            parameter.zero_()
    found = search_encodings(zeros, layers, rules, ranges, {}, images[:1], IMAGENET_MEAN, IMAGENET_STD, SETTINGS)
    for layer in layers[:-1]:
        scales = range_scales(ranges[layer.name], rules[layer.name])
        constant = constants(layers)[layer.name]
        expected = constant * 2.0 ** np.floor(np.log2(scales / constant))
        if not isinstance(layer, PoolLayer):
            assert np.array_equal(found[layer.name].scale.reshape(len(scales), -1)[:, 0], expected), layer.name


def test_at_most_32_images(model, layers, rules, ranges, images, monkeypatch):
    assert power_of_two.IMAGES == 32
    monkeypatch.setattr(power_of_two, "IMAGES", 2)
    told = []
    search_encodings(
        model,
        layers,
        rules,
        ranges,
        {},
        images,
        IMAGENET_MEAN,
        IMAGENET_STD,
        SETTINGS,
        lambda *step: told.append(step),
    )
    assert told == [("exponents", 2, 2)]


def test_round_trip_is_the_encoding():
    rng = np.random.default_rng(1)
    encoding = Encoding(2.0 ** rng.integers(-6, -2, 4), rng.integers(-128, 128, 4))
    x = rng.normal(0, 3, (2, 4, 5, 3)).astype(np.float32)
    found = round_trip(torch.from_numpy(x), encoding).numpy()
    for image, back in zip(x, found, strict=True):
        assert np.array_equal(back, encoding.decode(encoding.quantize(image).astype(np.int64)))


def test_every_ratio_of_a_scheme_is_a_power_of_two(model, layers, images):
    scheme = make_scheme(model, layers, images, SMOOTHING, IMAGENET_MEAN, IMAGENET_STD)
    rules, smoothed = tensor_rules(layers, SMOOTHING), 0
    for layer in scheme.layers[:-1]:
        scale = scheme.encodings[layer.name].scale
        ratio = np.log2(scale / scale[0])
        assert np.abs(ratio - np.round(ratio)).max() < 1e-9
        smoothed += len(np.unique(scale)) > 1 and rules[layer.name].scales == 1
    assert smoothed > 5
