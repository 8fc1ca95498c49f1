"""Which scheme each layer's weights get, and what limits their steps."""

from dataclasses import replace

import numpy as np
import pytest

from tests.golden.quantization.schemes import convolution_layer, tiny_model
from triovit.golden.data.images import IMAGENET_MEAN, IMAGENET_STD
from triovit.golden.integer.apot import ApotFormat
from triovit.golden.network import seeded
from triovit.golden.network.architectures import layers_of
from triovit.golden.network.graph import ConvolutionLayer, LayerNormLayer, WeightedLayer
from triovit.golden.quantization.calibration.calibrate import OPERAND
from triovit.golden.quantization.calibration.observers import Range
from triovit.golden.quantization.encoding import Encoding
from triovit.golden.quantization.methods import METHODS
from triovit.golden.quantization.quantize import make_scheme
from triovit.golden.quantization.settings import Settings
from triovit.golden.quantization.weights import additive, uniform
from triovit.golden.quantization.weights.layers import needs_moments, operand_bits, quantize_layer, step_rule
from triovit.golden.quantization.weights.moments import measure_moments
from triovit.golden.quantization.weights.quantized import by_filter
from triovit.golden.quantization.weights.steps import squared_error

M2 = replace(METHODS["m2"], divisor_search=False, divisor_gain=False, bias_correction=False)
P2 = replace(METHODS["p2"], divisor_search=False, bias_correction=False)


@pytest.fixture(scope="module")
def model():
    return tiny_model()


@pytest.fixture(scope="module")
def images():
    return seeded.random_images(6, 32, 3).numpy()


@pytest.fixture(scope="module")
def scheme_for(model, images):
    found = {}

    def make(settings):
        if settings not in found:
            found[settings] = make_scheme(model, layers_of(model), images, settings, IMAGENET_MEAN, IMAGENET_STD)
        return found[settings]

    return make


@pytest.fixture(scope="module")
def moments(model, images):
    return measure_moments(model, layers_of(model), images, IMAGENET_MEAN, IMAGENET_STD)


def convolutions(scheme):
    return [layer for layer in scheme.layers if isinstance(layer, ConvolutionLayer)]


def is_depthwise(layer):
    return layer.folded.groups == len(layer.folded.weight) > 1


def is_pointwise(layer):
    return layer.folded.groups == 1 and layer.folded.weight.shape[2:] == (1, 1)


def test_m2_gives_each_kind_of_layer_its_weights(scheme_for):
    scheme = scheme_for(M2)
    seen = {"depthwise": 0, "additive": 0, "other": 0}
    for layer in convolutions(scheme):
        found, size = scheme.weights[layer.name], len(layer.folded.weight)
        if is_depthwise(layer):
            seen["depthwise"] += 1
            assert (found.bits, np.abs(found.values).max(), found.apot) == (4, 7, None)
        elif is_pointwise(layer) and not layer.name.startswith(("head.op_list.2", "head.op_list.3")):
            seen["additive"] += 1
            assert (found.bits, found.apot) == (8, ApotFormat(3))
            assert found.apot_filters.sum() == (size + 1) // 2
            assert np.isin(found.values[found.apot_filters], found.apot.levels).all()
            assert (np.abs(found.values[~found.apot_filters]).max(axis=(1, 2, 3)) == 127).all()
        else:  # the first layer, grouped ones, the classifier
            seen["other"] += 1
            assert (found.bits, found.apot, found.apot_filters.size) == (8, None, 0)
            assert np.abs(found.values).max() == 127
    assert seen == {"depthwise": 10, "additive": 20, "other": 5}


@pytest.mark.parametrize(("share", "bits"), [(0.25, 2), (1.0, 3)])
def test_share_and_exponent_bits_are_those_of_the_settings(scheme_for, share, bits):
    scheme = scheme_for(replace(Settings(), apot_share=share, apot_exponent_bits=bits))
    marked = [scheme.weights[layer.name] for layer in convolutions(scheme) if scheme.weights[layer.name].apot]
    assert len(marked) == 20
    for found in marked:
        assert found.apot == ApotFormat(bits)
        assert found.apot_filters.sum() == int(share * len(found.values) + 0.5)


def test_filters_are_those_that_lose_least(scheme_for):
    """Of a pointwise layer, by the squared errors of the scaled weights under both schemes."""
    scheme, layer = scheme_for(M2), None
    layer = next(layer for layer in convolutions(scheme) if layer.name.endswith("stages.0.op_list.0.main.point_conv"))
    conv, found = layer.folded, scheme.weights[layer.name]
    scaled = (conv.weight * by_filter(scheme.encodings[layer.inputs[0]].scale, conv)).reshape(len(conv.weight), -1)
    rule = step_rule(layer, scheme.encodings, M2, 0)
    levels, level_step, level_error = additive.quantize_additive(scaled, rule, ApotFormat(3))
    values, step, error = uniform.quantize_uniform(scaled, rule)
    ratio = level_error / error
    assert ratio[found.apot_filters].max() <= ratio[~found.apot_filters].min()
    for row, marked in enumerate(found.apot_filters):
        kept = (levels[row], level_step[row]) if marked else (values[row], step[row])
        assert found.values[row].reshape(-1).tolist() == kept[0].tolist()
        assert found.step[row] == kept[1]


def test_real_weights_are_the_float_ones_within_half_a_step(scheme_for):
    scheme = scheme_for(Settings())
    for layer in convolutions(scheme):
        conv, found, source = layer.folded, scheme.weights[layer.name], scheme.encodings[layer.inputs[0]]
        error = np.abs(found.real(conv, source) - conv.weight) * by_filter(source.scale, conv)
        assert (error <= found.step[:, None, None, None] * 0.5001).all(), layer.name


@pytest.mark.parametrize("settings", [M2, P2], ids=["4 bits", "power of two"])
def test_with_moments_steps_go_by_output_error(scheme_for, moments, settings):
    """Steps of the scheme, against the output errors of the other candidates."""
    scheme, better = scheme_for(settings), 0
    for layer in convolutions(scheme):
        conv, found, source = layer.folded, scheme.weights[layer.name], scheme.encodings[layer.inputs[0]]
        if found.apot or (settings is M2 and found.bits == 8):
            continue
        columns = np.broadcast_to(by_filter(source.scale, conv), conv.weight.shape).reshape(len(conv.weight), -1)
        scaled = conv.weight.reshape(columns.shape) * columns
        rule = step_rule(layer, scheme.encodings, settings, found.fraction_bits)
        measure = moments[layer.name].output_error(columns)
        least = measure(found.values.reshape(columns.shape) * found.step[:, None] - scaled)
        limit = 7 if found.bits == 4 else 127
        for step in rule.candidates(np.abs(scaled).max(axis=1) / limit, 80):
            values = np.clip(np.floor(scaled / step[:, None] + 0.5), -limit, limit)
            assert (least <= measure(values * step[:, None] - scaled) * (1 + 1e-9)).all()
        plain = quantize_layer(layer, scheme.encodings, scheme.ranges, settings)  # without moments
        better += int((plain.step != found.step).sum())
    assert better > 20


def test_lp_weights_take_the_norm_of_the_settings():
    layer = convolution_layer(np.random.default_rng(0).normal(size=(8, 400, 1, 1)), np.zeros(8))
    source, target = Encoding(np.geomspace(0.5, 1, 400), np.zeros(400, int)), Encoding(np.ones(8), np.zeros(8))
    scaled, steps = layer.folded.weight[:, :, 0, 0] * source.scale, []
    for norm in (0.5, 2.4):
        found = quantize_layer(layer, {"input": source, "a": target}, {}, Settings(weight_observer="lp", norm=norm))
        rule = step_rule(layer, {"a": target}, Settings(), 0)
        values, step, _ = uniform.quantize_uniform(scaled, rule, norm=norm)
        assert np.array_equal(found.values[:, :, 0, 0], values)
        assert np.array_equal(found.step, step)
        steps.append(step)
    assert (steps[0] < steps[1]).any()  # clipping pays where large errors count little


def test_in_power_of_two_mode_no_operand_is_finer_than_an_accumulator(scheme_for):
    scheme, limited = scheme_for(P2), 0
    dyadic = scheme_for(Settings())
    for layer in scheme.layers:
        if not isinstance(layer, WeightedLayer):
            continue
        found = scheme.weights[layer.name]
        unit = 2.0**-found.fraction_bits if layer.activation == "hardswish" else scheme.encodings[layer.name].scale
        ratio = found.step / unit
        if isinstance(layer, ConvolutionLayer):
            assert (ratio <= 1).all(), layer.name
            assert (np.frexp(ratio)[0] == 0.5).all(), layer.name
        assert found.fraction_bits <= dyadic.weights[layer.name].fraction_bits
        limited += found.fraction_bits < dyadic.weights[layer.name].fraction_bits
    assert limited > 0


@pytest.mark.parametrize(
    ("largest", "bits", "expected"),
    [
        (127 * 2.0**-6, 8, 5),  # the step that just avoids clipping is 2**-6, and twice that is legal
        (127 * 1.5 * 2.0**-7, 8, 5),
        (127 * 2.0**-13, 8, 10),  # what the operand's range leaves
        (7 * 2.0**-6, 4, 5),
        (127.0, 8, 0),
        (1e9, 8, 0),
        (0.0, 8, 10),
    ],
)
def test_operand_bits(largest, bits, expected):
    weight = np.array([[0.0, -largest, 0.0], [0.0, 0.0, largest / 3]]).reshape(2, 1, 1, 3) / 4
    layer = convolution_layer(weight, np.zeros(2), hardswish="a.act", groups=2)
    source = Encoding(np.full(2, 4.0), np.zeros(2, dtype=int))
    ranges = {"a" + OPERAND: Range(np.array([-5.0]), np.array([17.0]))}
    assert operand_bits(layer, source, ranges, Settings(depthwise_bits=bits)) == 10
    settings = Settings(scales="power-of-two", depthwise_bits=bits)
    assert operand_bits(layer, source, ranges, settings) == expected
    assert operand_bits(replace(layer, hardswish=None), source, {}, settings) == 0


def test_step_rule_of_a_layer_with_a_residual():
    """The bias holds the residual's zero point; without multipliers the accumulator is no coarser than the residual."""
    layer = convolution_layer(np.ones((2, 2, 1, 1)), np.array([1.0, -8.0]), residual="r")
    target = Encoding(np.array([0.5, 0.25]), np.array([0, 0]))
    residual = Encoding(np.array([0.125, 2.0]), np.array([-100, 50]))
    encodings = {"input": target, "a": target, "r": residual}
    rule = step_rule(layer, encodings, Settings(), 0)
    assert rule.bias.tolist() == [1 + 12.5, 8 + 100]
    assert (rule.unit.tolist(), rule.power_of_two, rule.most.tolist()) == ([0.5, 0.25], False, [0.25, 1])
    rule = step_rule(replace(layer, residual=None, hardswish="a.act"), encodings, P2, 9)
    assert (rule.bias.tolist(), rule.unit.tolist(), rule.most) == ([1, 8], [2.0**-9] * 2, 1)
    assert rule.power_of_two


@pytest.mark.parametrize("scales", ["dyadic", "power-of-two"])
def test_layer_norm_weights(scales):
    rng = np.random.default_rng(0)
    layer = LayerNormLayer(
        name="n",
        output="n",
        block="n",
        input="x",
        hardswish="n",
        gamma=rng.normal(1, 0.4, 30),
        beta=rng.normal(size=30),
        eps=1e-5,
    )
    ranges = {"n" + OPERAND: Range(np.array([-4.0]), np.array([6.0]))}
    source = Encoding(np.ones(30), np.zeros(30, dtype=int))  # of no consequence: what is normalized has no scale
    found = quantize_layer(layer, {"x": source}, ranges, Settings(scales=scales))
    assert found.values.shape == (1, 30)
    assert found.step.shape == (1,)
    real = found.values[0] * found.step[0] * 2.0**9  # z has 9 fraction bits
    unclipped = np.abs(layer.gamma) <= 127 * found.step[0] * 2.0**9
    assert unclipped.mean() > 0.9
    assert (np.abs(real - layer.gamma)[unclipped] <= found.step[0] * 2.0**8 * 1.0001).all()
    assert found.fraction_bits == 12
    if scales == "dyadic":
        assert np.abs(found.values).max() == 127
    else:
        assert np.frexp(found.step[0])[0] == 0.5
        assert found.step[0] <= 2.0**-12


def test_needs_moments():
    assert not needs_moments(Settings())
    assert not needs_moments(Settings(apot_share=0.5, weight_observer="lp", divisor_search=True))
    for settings in ({"scales": "power-of-two"}, {"depthwise_bits": 4}, {"bias_correction": True}):
        assert needs_moments(Settings(**settings))


def test_squared_errors_choose_filters_whatever_the_search_used():
    """With power-of-two steps the output error chooses steps; filters are compared by the error of their weights."""
    rng = np.random.default_rng(2)
    layer = convolution_layer(rng.laplace(size=(8, 16, 1, 1)), np.zeros(8))
    one = Encoding(np.full(16, 2.0**-6), np.zeros(16, dtype=int))
    target = Encoding(np.full(8, 2.0**-3), np.zeros(8, dtype=int))
    settings = Settings(scales="power-of-two", apot_share=0.5)
    found = quantize_layer(layer, {"input": one, "a": target}, {}, settings)
    scaled = (layer.folded.weight * 2.0**-6).reshape(8, -1)
    rule = step_rule(layer, {"a": target}, settings, 0)
    ratio = additive.quantize_additive(scaled, rule, ApotFormat(3))[2] / uniform.quantize_uniform(scaled, rule)[2]
    assert np.flatnonzero(found.apot_filters).tolist() == sorted(np.argsort(ratio, kind="stable")[:4].tolist())
    left = squared_error(found.values.reshape(8, -1) * found.step[:, None] - scaled)
    assert (left < (scaled**2).sum(axis=1) / 100).all()
