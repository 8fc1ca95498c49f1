"""One layer at a time: integers decoded against the float layer, with error bounds derived from the formulas."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.nn import functional

from tests.golden.quantization.schemes import convolution_layer, scheme_of
from triovit.golden.integer.network import INPUT, IntegerNetwork
from triovit.golden.network.efficientvit.blocks import LinearAttention
from triovit.golden.network.graph import LayerNormLayer, LinearAttentionLayer, PoolLayer
from triovit.golden.quantization import export
from triovit.golden.quantization.calibration.calibrate import OPERAND
from triovit.golden.quantization.calibration.observers import Range
from triovit.golden.quantization.encoding import Encoding, pixel_encoding
from triovit.golden.quantization.scheme import Divisor
from triovit.golden.quantization.settings import QuantizationError

CHANNELS = 8


def encoding(rng, channels=CHANNELS, *, own_scales=False, scale=0.05):
    scales = scale * rng.uniform(0.2, 5, channels) if own_scales else np.full(channels, scale)
    return Encoding(scales, rng.integers(-100, 100, channels))


def layer_of(rng, *, kernel=1, groups=1, stride=1, out=CHANNELS, spread=1.0, **fields):
    weight = rng.normal(size=(out, CHANNELS // groups, kernel, kernel)) * spread
    return convolution_layer(weight, rng.normal(size=out), stride=stride, groups=groups, **fields)


def weights_of(scheme):
    """(float weights that the integers stand for, so that only activation rounding is left to test; steps)."""
    layer, weights = scheme.layers[0], scheme.weights["a"]
    return weights.real(layer.folded, scheme.encodings[layer.inputs[0]]), weights.step


def float_convolution(x, weight, conv):
    return functional.conv2d(
        torch.from_numpy(x)[None],
        torch.from_numpy(weight),
        torch.from_numpy(conv.bias),
        conv.stride,
        conv.padding,
        groups=conv.groups,
    )[0].numpy()


@pytest.mark.parametrize(
    "shape",
    [
        {},
        {"kernel": 3, "groups": CHANNELS},
        {"kernel": 3, "groups": CHANNELS, "stride": 2},
        {"groups": 2},
        {"kernel": 5},
    ],
    ids=str,
)
@pytest.mark.parametrize("activation", ["linear", "hardswish"])
def test_convolution_is_right_to_half_a_step(shape, activation):
    rng = np.random.default_rng(1)
    layer = layer_of(rng, hardswish="a" if activation == "hardswish" else None, **shape)
    source, target = encoding(rng, own_scales=True), encoding(rng, own_scales=True, scale=0.2)
    x = rng.integers(-128, 128, (CHANNELS, 6, 5)).astype(np.int8)
    operand = float_convolution(source.decode(x), layer.folded.weight, layer.folded)
    ranges = {"a" + OPERAND: Range(operand.min(keepdims=True), 1.05 * operand.max(keepdims=True))}
    scheme = scheme_of(layer, (source, target), ranges)
    node = export.node(layer, scheme)
    got = node.run({INPUT: x})["a"].astype(np.int64)
    bits = node.post.fraction_bits
    weight, step = weights_of(scheme)
    largest = np.abs(node.weight.astype(int)).max(axis=(1, 2, 3))
    assert (largest == 127).all()
    assert node.pad_value.size == (CHANNELS if layer.folded.padding else 0)
    expected = float_convolution(source.decode(x), weight, layer.folded)
    if activation == "hardswish":
        assert operand.max() < 2 ** (15 - bits)
        expected = functional.hardswish(torch.from_numpy(expected)).numpy()
    inside = (got > -128) & (got < 127)
    error = np.abs(target.decode(got) - expected)
    # half an output step, half an accumulator step of the bias, the 16-bit operand (slope up to 1.5), the pairs' 2**-16
    slack = step / 2 + (1.5 * 2.0**-bits if activation == "hardswish" else 0)
    assert inside.mean() > 0.3
    allowed = 0.5 * target.scale[:, None, None] + slack[:, None, None] + np.abs(expected) * 2.0**-14
    assert (error <= allowed)[inside].all()
    low, high = target.decode(np.full_like(got, -128)), target.decode(np.full_like(got, 127))
    assert (np.clip(expected, low, high) - target.decode(got))[~inside] == pytest.approx(0, abs=1.0)


@pytest.mark.parametrize(("largest", "dtype"), [(127, np.int8), (128, np.int16)])
def test_levels_beyond_a_byte_are_kept(largest, dtype):
    """Additive powers of two reach 128."""
    rng = np.random.default_rng(15)
    scheme = scheme_of(layer_of(rng), (encoding(rng), encoding(rng)))
    values = np.full((CHANNELS, CHANNELS, 1, 1), 3)
    values[2, 1] = -largest
    weights = dataclasses.replace(scheme.weights["a"], values=values)
    node = export.node(scheme.layers[0], dataclasses.replace(scheme, weights={"a": weights}))
    assert node.weight.dtype == dtype
    assert np.array_equal(node.weight, values)


def test_padding_is_exactly_zero():
    rng = np.random.default_rng(2)
    layer = layer_of(rng, kernel=3, groups=CHANNELS)
    source, target = encoding(rng, own_scales=True), encoding(rng)
    node = export.node(layer, scheme_of(layer, (source, target)))
    assert node.pad_value.tolist() == source.zero_point.tolist()
    zero = np.broadcast_to(source.zero_point.astype(np.int8)[:, None, None], (CHANNELS, 4, 4))
    got = node.run({INPUT: zero})["a"]
    assert (got == got[:, :1, :1]).all()  # borders and middle alike
    expected = np.clip(np.round(layer.folded.bias / target.scale) + target.zero_point, -128, 127)
    assert np.abs(got[:, 0, 0] - expected).max() <= 1


@pytest.mark.parametrize("own_scales", [False, True])
def test_residual_is_added_before_the_one_rounding(own_scales):
    rng = np.random.default_rng(3)
    layer = layer_of(rng, residual="r")
    source, target, residual = (
        encoding(rng),
        encoding(rng, own_scales=True, scale=0.3),
        encoding(rng, own_scales=own_scales),
    )
    scheme = scheme_of(layer, (source, target, residual))
    node = export.node(layer, scheme)
    IntegerNetwork("net", (CHANNELS, 5, 5), (dataclasses.replace(node, residual=INPUT),)).validate()
    assert (node.post.residual_shift <= node.post.n1).all()
    tensors = {name: rng.integers(-128, 128, (CHANNELS, 5, 5)).astype(np.int8) for name in (INPUT, "r")}
    got = node.run(tensors)["a"].astype(np.int64)
    weight, step = weights_of(scheme)
    expected = float_convolution(source.decode(tensors[INPUT]), weight, layer.folded)
    expected += residual.decode(tensors["r"])
    inside = (got > -128) & (got < 127)
    allowed = 0.5 * target.scale + step / 2 + 2.0**-14 * 40
    assert inside.mean() > 0.3
    assert (np.abs(target.decode(got) - expected) <= allowed[:, None, None])[inside].all()


@pytest.mark.parametrize("weight", [0.0, 1e-30, 1e-7])
@pytest.mark.parametrize("bias", [0.0, 1e-12, 3.0, -4.0])
@pytest.mark.parametrize("with_residual", [False, True])
def test_dead_and_nearly_dead_filters(weight, bias, with_residual):
    """A filter that batch normalization has switched off leaves its bias (and the residual) exact."""
    rng = np.random.default_rng(4)
    weights, residuals = np.full((2, CHANNELS, 1, 1), weight), []
    layer = convolution_layer(weights, np.full(2, bias), residual="r" if with_residual else None)
    source, target = encoding(rng), Encoding(np.full(2, 0.05), np.array([-3, 50]))
    if with_residual:
        residuals.append(Encoding(np.full(2, 0.02), np.array([-128, 127])))
    node = export.node(layer, scheme_of(layer, (source, target, *residuals)))
    IntegerNetwork("net", (CHANNELS, 2, 2), (dataclasses.replace(node, residual=None),)).validate()
    x = rng.integers(-128, 128, (CHANNELS, 2, 2)).astype(np.int8)
    r = rng.integers(-128, 128, (2, 2, 2)).astype(np.int8)
    got = target.decode(node.run({INPUT: x, "r": r})["a"].astype(np.int64))
    expected = bias + sum(added.decode(r) for added in residuals) + weight * source.decode(x).sum(0)
    low, high = (target.decode(np.full((2, 2, 2), end)) for end in (-128, 127))
    assert np.abs(got - np.clip(expected, low, high)).max() <= 0.5 * 0.05 * 1.01


def test_a_huge_bias_fits_and_saturates():
    rng = np.random.default_rng(5)
    layer = convolution_layer(rng.normal(size=(2, CHANNELS, 1, 1)) * 1e-9, np.array([1e6, -1e6]))
    target = Encoding(np.full(2, 0.01), np.zeros(2, dtype=np.int64))
    node = export.node(layer, scheme_of(layer, (encoding(rng), target)))
    IntegerNetwork("net", (CHANNELS, 1, 1), (node,)).validate()
    assert node.run({INPUT: np.zeros((CHANNELS, 1, 1), dtype=np.int8)})["a"].reshape(-1).tolist() == [
        127,
        -128,
    ]


def test_first_layer_takes_pixels():
    rng = np.random.default_rng(6)
    layer = convolution_layer(rng.normal(size=(4, 3, 3, 3)), rng.normal(size=4), stride=2)
    source = pixel_encoding((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    target = Encoding(np.full(4, 0.2), np.full(4, -10))
    node = export.node(layer, scheme_of(layer, (source, target)))
    assert node.pad_value.tolist() == [124 - 128, 116 - 128, 104 - 128]  # 255 * mean, rounded
    x = rng.integers(-128, 128, (3, 8, 8)).astype(np.int8)
    got = node.run({INPUT: x})["a"].astype(np.int64)
    expected = float_convolution(source.decode(x), layer.folded.weight, layer.folded)
    error = np.abs(target.decode(got) - expected)
    assert error[:, 1:, 1:].max() < 0.1 + 0.1  # half a step, and the weights' rounding
    assert error.max() < 0.1 + 0.1 + 0.1  # at the border the mean is rounded to a pixel


def test_scales_that_are_too_far_apart():
    rng = np.random.default_rng(7)
    with pytest.raises(QuantizationError, match=r"a: scales are too far apart \(ratio .* does not fit M < 2\*\*16\)"):
        layer = layer_of(rng)
        export.node(layer, scheme_of(layer, (encoding(rng), Encoding(np.full(8, 1e-12), np.zeros(8, dtype=np.int64)))))


@pytest.mark.parametrize("side", [1, 2, 7])
def test_pool_is_right_to_half_a_step(side):
    rng = np.random.default_rng(9)
    source, target = encoding(rng, own_scales=True), encoding(rng, scale=0.06)
    layer = PoolLayer(name="p", output="p", block="p", input=INPUT, channels=CHANNELS, pixels=side * side)
    node = export.node(layer, scheme_of(layer, (source, target)))
    x = rng.integers(-128, 128, (CHANNELS, side, side)).astype(np.int8)
    got = node.run({INPUT: x})["p"].astype(np.int64)
    expected = source.decode(x).mean((1, 2), keepdims=True)
    low, high = (target.decode(np.full_like(got, end)) for end in (-128, 127))
    assert np.abs(target.decode(got) - np.clip(expected, low, high)).max() <= 0.06 * 0.5001


def norm_layer(gamma, beta, eps):
    return LayerNormLayer(name="n", output="n", block="n", input=INPUT, hardswish="n", gamma=gamma, beta=beta, eps=eps)


@pytest.mark.parametrize("eps", [1e-5, 0.5])
def test_layer_norm(eps):
    rng = np.random.default_rng(10)
    channels = 320
    source = Encoding(np.full(channels, 0.03), np.full(channels, -17))
    target = Encoding(np.full(channels, 0.02), rng.integers(-110, -100, channels))
    layer = norm_layer(rng.normal(1, 0.3, channels), rng.normal(0, 0.5, channels), eps)
    ranges = {"n" + OPERAND: Range(np.array([-5.0]), np.array([5.0]))}
    node = export.node(layer, scheme_of(layer, (source, target), ranges))
    assert node.epsilon == round(eps * channels**2 / 0.03**2)
    x = np.clip(rng.normal(-30, 25, (channels, 1, 1)), -128, 127).astype(np.int8)
    got = target.decode(node.run({INPUT: x})["n"].astype(np.int64)).reshape(-1)
    real = torch.from_numpy(source.decode(x).reshape(-1))
    normed = functional.layer_norm(real, (channels,), torch.from_numpy(layer.gamma), torch.from_numpy(layer.beta), eps)
    expected = functional.hardswish(normed).numpy()
    # half a step, and gamma's rounding (2.2 / 254) times |z| times hardswish's slope
    assert np.abs(got - np.clip(expected, target.decode(np.full((channels, 1), -128))[:, 0], None)).max() <= 0.01 + 0.04
    shifted = node.run({INPUT: (x[:, :, :] // 2).astype(np.int8)})["n"]
    moved = node.run({INPUT: (x // 2 + 40).astype(np.int8)})["n"]
    assert np.array_equal(shifted, moved)  # the zero point of the input cancels


def test_epsilon_too_large():
    layer = norm_layer(np.ones(8), np.zeros(8), 1.0)
    target, ranges = Encoding(np.full(8, 0.02), np.zeros(8, dtype=np.int64)), {"n" + OPERAND: Range(*np.ones((2, 1)))}
    with pytest.raises(QuantizationError, match=r"n: eps 1\.0 is too large beside inputs of step 1e-06"):
        export.node(layer, scheme_of(layer, (Encoding(np.full(8, 1e-6), np.zeros(8)), target), ranges))


def attention_layer(heads, dim, tokens, rng, spread=1.0):
    """An attention with two branches, encodings, ranges and inputs that were 'calibrated' on those inputs."""
    layer = LinearAttentionLayer(name="att", output="att", block="att", inputs=("x", "y"), heads=heads, dim=dim)
    sources, tensors, ranges, reals = [], {}, {}, []
    for branch, name in enumerate(layer.inputs):
        scale = (0.02 * rng.uniform(1, spread + 1e-9, 3 * heads)).repeat(dim)
        source = Encoding(scale, np.zeros(3 * heads * dim, dtype=np.int64))
        x = np.clip(rng.normal(0, 45, (3 * heads * dim, tokens, 1)), -128, 127).astype(np.int8)
        real = torch.from_numpy(source.decode(x))[None]
        q, k, v = LinearAttention(dim, 1e-15).split(real)
        sums = k.sum(3)
        for what, value in {"kv": v @ k.transpose(2, 3), "sum": sums, "divisor": (q * sums[..., None]).sum(2)}.items():
            flat = value[0].reshape(heads, -1)
            ranges[f"att.{what}{branch}"] = Range(flat.amin(1).numpy(), flat.amax(1).numpy())
        sources.append(source)
        tensors[name] = x
        reals.append(LinearAttention(dim, 1e-15)(real)[0].numpy())
    expected = np.concatenate(reals)
    target = Encoding(np.full(len(expected), np.abs(expected).max() * 1.5 / 127), np.full(len(expected), 3))
    return layer, sources, target, ranges, tensors, expected


@pytest.mark.parametrize(("heads", "dim", "tokens", "spread"), [(4, 16, 196, 1.0), (2, 32, 49, 8.0), (3, 8, 4, 3.0)])
def test_attention_errs_by_the_divisor_alone(heads, dim, tokens, spread):
    layer, sources, target, ranges, tensors, expected = attention_layer(
        heads, dim, tokens, np.random.default_rng(11), spread
    )
    node = export.node(layer, scheme_of(layer, (*sources, target), ranges))
    result = node.run(tensors)
    got = target.decode(result["att"].astype(np.int64))
    for branch in range(2):
        assert (
            np.abs(result[f"att.kv{branch}"]).reshape(heads, -1).max(1).tolist() == [127] * heads
        )  # all bits are used
        assert result[f"att.sum{branch}"].reshape(heads, -1).max(1).tolist() == [127] * heads
        assert result[f"att.code{branch}"].max() in (14, 15)
        assert result[f"att.code{branch}"].min() > 0
    # divisor / 2**code lies in [0.75, 1.5): so does the result over the true value, but for rounding
    large = np.abs(expected) > 0.3 * np.abs(expected).max()
    ratio = (got / expected)[large]
    assert 0.65 < ratio.min() < 0.85
    assert 1.3 < ratio.max() < 1.6
    assert (expected * got).sum() / (expected * expected).sum() == pytest.approx(1.08, abs=0.06)


@pytest.mark.parametrize(("q", "k"), [(16.0, 1.0), (1.0, 16.0)])
def test_log2_offset_follows_the_scale_of_q(q, k):
    """The integers are the same whatever the scales of q and k, so the codes have to be as well."""
    layer, sources, target, ranges, tensors, _ = attention_layer(2, 8, 16, np.random.default_rng(13))
    expected = export.node(layer, scheme_of(layer, (*sources, target), ranges)).run(tensors)
    factor = np.tile(np.array([q, k, 1.0]).repeat(8), 2)
    sources = [Encoding(source.scale * factor, source.zero_point) for source in sources]
    gains = {"kv": k, "sum": k, "divisor": q * k}
    ranges = {point: Range(r.low * gains[point[4:-1]], r.high * gains[point[4:-1]]) for point, r in ranges.items()}
    result = export.node(layer, scheme_of(layer, (*sources, target), ranges)).run(tensors)
    for name, tensor in expected.items():
        assert np.array_equal(result[name], tensor), name


def test_log2_offsets_stay_in_the_range_of_the_hardware():
    layer, sources, target, ranges, tensors, _ = attention_layer(2, 8, 16, np.random.default_rng(14))
    scheme = scheme_of(layer, (*sources, target), ranges)
    for chosen, expected in ((-33, -32), (-32, -32), (7, 7)):
        divisors = {"att": (Divisor(chosen), Divisor(0))}
        node = export.node(layer, dataclasses.replace(scheme, divisors=divisors))
        assert node.log2_offset == (expected, 0)
        node.run(tensors)


def test_attention_of_dead_heads_is_zero():
    layer, sources, target, ranges, tensors, _ = attention_layer(2, 8, 16, np.random.default_rng(12))
    for name in ("att.kv0", "att.sum0", "att.divisor0"):
        ranges[name] = Range(ranges[name].low * [0, 1], ranges[name].high * [0, 1])
    tensors["x"][8:16] = -5  # k of head 0 is below zero for every token
    result = export.node(layer, scheme_of(layer, (*sources, target), ranges)).run(tensors)
    assert not result["att.code0"][0].any()
    assert (result["att"][:8] == 3).all()  # the zero point
    assert not (result["att"][8:16] == 3).all()


@pytest.mark.parametrize("bits", [2, 3])
def test_levels_of_keys_reach_the_largest_key(bits):
    """K has no step that could adapt: whatever the code's width, 127 may not be cut down to a small level."""
    layer, sources, target, ranges, _, _ = attention_layer(2, 8, 16, np.random.default_rng(15))
    scheme = scheme_of(layer, (*sources, target), ranges, attention_apot=True, apot_exponent_bits=bits)
    apot = export.attention(layer, scheme).key_apot
    assert apot.exponent_bits == bits
    assert apot.nearest([0, 127]).tolist() == [0, 128]
    k = np.arange(8 if bits == 3 else 64, 128)
    assert (np.abs(apot.nearest(k) - k) <= k / 3).all()
    assert export.attention(layer, scheme_of(layer, (*sources, target), ranges)).key_apot is None
