"""What is learned about a block, and the scheme that it becomes."""

import dataclasses

import numpy as np
import pytest
import torch

from triovit.golden.integer.network import IntegerNetwork
from triovit.golden.network import seeded
from triovit.golden.network.efficientvit.model import EfficientViT
from triovit.golden.network.graph import ConvolutionLayer, LinearAttentionLayer, addend
from triovit.golden.network.seeded import initialize
from triovit.golden.quantization import export
from triovit.golden.quantization.encoding import Encoding
from triovit.golden.quantization.fake_quantized import Simulation
from triovit.golden.quantization.methods import METHODS
from triovit.golden.quantization.quantize import quantize_model
from triovit.golden.quantization.reconstruction.blocks import split
from triovit.golden.quantization.reconstruction.learn import forward
from triovit.golden.quantization.reconstruction.learned import LearnedBlock, rescale
from triovit.golden.quantization.weights.layers import step_rule

ATTENTION = "backbone.stages.2.op_list.1.context_module"
BLOCK = "backbone.stages.1.op_list.1"


@pytest.fixture(scope="module")
def model():
    return initialize(EfficientViT("b0", 7, 32), 1)


@pytest.fixture(scope="module")
def schemes(model):
    images = list(seeded.random_images(8, 32, 5).numpy())
    return {
        name: quantize_model(model, images, name="x", settings=METHODS[name]).scheme
        for name in ("trio", "m2", "p2", "minmax")
    }


def block_of(scheme, name):
    return next(block for block in split(scheme.layers) if block.name == name)


def moved(sim, seed=0):
    """The same block with other factors and other decisions."""
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for factor in (*sim.factors.values(), *sim.inner.values()):
            factor.copy_(torch.from_numpy(rng.uniform(0.8, 1.25, factor.shape)))
        for rounding in sim.roundings.values():
            rounding.alpha.copy_(torch.from_numpy(rng.choice([-9.0, 9.0], rounding.alpha.shape)))
    return sim


def test_parameters(model, schemes):
    block = block_of(schemes["trio"], ATTENTION)
    sim = LearnedBlock(schemes["trio"], block)
    prefix = f"{ATTENTION}.main"
    assert {name: len(factor) for name, factor in sim.factors.items()} == {
        f"{prefix}.qkv": 3,
        f"{prefix}.aggreg.0.0": 1,
        f"{prefix}.aggreg.0.1": 3,
        f"{prefix}.attention": 1,
        f"{prefix}.proj": 1,
    }
    assert set(sim.inner) == {f"{prefix}.attention.{point}{branch}" for point in ("kv", "sum") for branch in (0, 1)}
    assert set(sim.roundings) == {layer.name for layer in block.layers if isinstance(layer, ConvolutionLayer)}
    one = LearnedBlock(schemes["minmax"], block_of(schemes["minmax"], ATTENTION))  # one scale for q, k and v
    assert {len(factor) for factor in one.factors.values()} == {1}
    shifts = LearnedBlock(schemes["p2"], block_of(schemes["p2"], ATTENTION))
    assert not shifts.factors and not shifts.inner and shifts.roundings
    last = block_of(schemes["trio"], "head.op_list.3")
    assert not LearnedBlock(schemes["trio"], last).factors  # logits


@pytest.mark.parametrize("method", ["trio", "m2", "p2", "minmax"])
@pytest.mark.parametrize("name", [ATTENTION, BLOCK, "head.op_list.2"])
def test_the_result_computes_what_was_learned(model, schemes, method, name):
    """Frozen, the block and the scheme it becomes are the same function: scales are absorbed, integers stay."""
    scheme = schemes[method]
    block = block_of(scheme, name)
    sim = moved(LearnedBlock(scheme, block))
    sim.freeze()
    result = sim.result()
    generator = torch.Generator().manual_seed(0)
    integers = torch.randint(-128, 128, (2, len(scheme.encodings[block.source].scale), 4, 4), generator=generator)
    integers = integers[:, :, :1, :1] if name.startswith("head") else integers
    with torch.no_grad():
        learned, exported = forward(sim, block, integers), forward(Simulation(result), block, integers)
    step = torch.from_numpy(result.encodings[block.output].scale).float()[:, None, None]
    difference = ((learned - exported) / step).abs()
    # float32 near ties, and biases in other steps, which are coarse with 4-bit weights
    assert (difference > 0.01).double().mean() < (0.15 if method == "m2" else 0.02)
    assert difference.max() < 4
    assert (learned != forward(Simulation(scheme), block, integers)).double().mean() > 0.3
    inside = {layer.name for layer in block.layers}
    for layer in scheme.layers:
        if not isinstance(layer, ConvolutionLayer):
            continue
        old, new = scheme.weights[layer.name], result.weights[layer.name]
        conv = layer.folded
        if layer.name not in inside:
            same = old.real(conv, scheme.encodings[layer.inputs[0]])
            assert np.array_equal(new.values, old.values)
            assert np.allclose(new.real(conv, result.encodings[layer.inputs[0]]), same, rtol=1e-6, atol=0)
    nodes = tuple(export.node(layer, result) for layer in result.layers)
    IntegerNetwork("x", (3, 32, 32), nodes).validate()


def test_one_factor_a_tensor(model, schemes):
    """Ratios of channels (channel-wise migration) and zero points are kept; other blocks' tensors are not touched."""
    scheme = schemes["trio"]
    block = block_of(scheme, BLOCK)
    result = moved(LearnedBlock(scheme, block)).result()
    inside = {layer.name for layer in block.layers}
    for name, encoding in scheme.encodings.items():
        new = result.encodings[name]
        assert np.array_equal(new.zero_point, encoding.zero_point)
        ratio = new.scale / encoding.scale
        assert ratio == pytest.approx(np.full(len(ratio), ratio[0]), rel=1e-6)
        assert (abs(ratio[0] - 1) > 0.01) == (name in inside)


def test_factors_of_q_k_v_and_of_products(model, schemes):
    scheme = schemes["trio"]
    block = block_of(scheme, ATTENTION)
    sim = moved(LearnedBlock(scheme, block))
    result = sim.result()
    attention = next(layer for layer in block.layers if isinstance(layer, LinearAttentionLayer))
    for name in attention.inputs:
        ratio = (result.encodings[name].scale / scheme.encodings[name].scale).reshape(attention.heads, 3, -1)
        expected = sim.factors[name].detach().numpy()[None, :, None]
        assert ratio == pytest.approx(np.broadcast_to(expected, ratio.shape), rel=1e-5)
    for point, factor in sim.inner.items():
        assert result.ranges[point].high == pytest.approx(scheme.ranges[point].high * factor.item())
        assert Simulation(result).scale(point).numpy() == pytest.approx(sim.scale(point).detach().numpy(), rel=1e-5)


def test_factors_are_limited(model, schemes):
    sim = LearnedBlock(schemes["trio"], block_of(schemes["trio"], BLOCK))
    with torch.no_grad():
        for factor, value in zip(sim.factors.values(), (-1.0, 9.0, 1.5), strict=True):
            factor.fill_(value)
    sim.limit()
    assert [factor.item() for factor in sim.factors.values()] == [0.5, 2.0, 1.5]


@pytest.mark.parametrize("method", ["trio", "m2"])
def test_steps_do_not_fall_below_the_accumulator(schemes, method):
    """A filter of next to nothing with a bias: a smaller step would take its bias out of 32 bits."""
    scheme = schemes[method]
    layer = next(layer for layer in scheme.layers if layer.name == f"{BLOCK}.main.inverted_conv")
    old = scheme.weights[layer.name]
    conv = layer.folded
    bias = conv.bias.copy()
    bias[:4] = old.step[:4] * 2.0**30  # the smallest legal step
    layer = layer.with_bias(bias)
    source = scheme.encodings[layer.inputs[0]]
    encodings = scheme.encodings | {layer.inputs[0]: Encoding(source.scale * 0.5, source.zero_point)}
    new = rescale(layer, old, scheme, encodings)
    assert new.step[:4] == pytest.approx(old.step[:4])
    assert new.step[4:] == pytest.approx(old.step[4:] / 2)
    assert np.array_equal(new.values[4:], old.values[4:])
    error = new.real(layer.folded, encodings[layer.inputs[0]])[:4] - conv.weight[:4]
    step = new.step[:4, None, None, None] / encodings[layer.inputs[0]].scale[None, :, None, None]
    uniform = ~old.apot_filters[:4] if old.apot is not None else np.ones(4, dtype=bool)
    assert uniform.any()
    assert (np.abs(error) <= step * 0.51)[uniform].all()


def test_a_residual_with_another_scale_leaves_steps_that_hold_the_bias(model, schemes):
    """The bias holds the residual's zero point: a layer that only adds a tensor depends on its scale too."""
    scheme = schemes["trio"]
    block = block_of(scheme, "backbone.stages.1.op_list.0")
    added = block.layers[-1].name
    adder = next(layer for layer in scheme.layers if addend(layer) == added)
    assert added not in adder.inputs and adder not in block.layers
    old = scheme.weights[adder.name]
    fine = step_rule(adder, scheme.encodings, scheme.settings, old.fraction_bits).least  # as of filters switched off
    scheme = dataclasses.replace(scheme, weights={**scheme.weights, adder.name: dataclasses.replace(old, step=fine)})
    sim = LearnedBlock(scheme, block)
    with torch.no_grad():
        sim.factors[added].fill_(2.0)
    result = sim.result()
    least = step_rule(adder, result.encodings, result.settings, old.fraction_bits).least
    assert (least > fine * 1.01).any()
    assert (result.weights[adder.name].step >= least).all()
