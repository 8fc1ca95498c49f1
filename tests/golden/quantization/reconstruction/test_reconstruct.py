"""Reconstruction of whole networks: it helps, hurts no block, and ends in integers."""

import dataclasses

import numpy as np
import pytest
import torch

from triovit.golden.data.images import IMAGENET_MEAN, IMAGENET_STD
from triovit.golden.integer.network import IntegerNetwork
from triovit.golden.network import seeded
from triovit.golden.network.architectures import layers_of
from triovit.golden.network.bundled import load_bundled
from triovit.golden.network.efficientvit.model import EfficientViT
from triovit.golden.network.graph import ConvolutionLayer
from triovit.golden.network.seeded import initialize
from triovit.golden.quantization import export
from triovit.golden.quantization.methods import METHODS
from triovit.golden.quantization.quantize import make_scheme, quantize_model
from triovit.golden.quantization.reconstruction.learn import batches, exponent
from triovit.golden.quantization.reconstruction.options import OPTIONS, Options, find_options
from triovit.golden.quantization.reconstruction.reconstruct import reconstruct
from triovit.golden.quantization.reconstruction.result import BlockResult
from triovit.golden.quantization.reconstruction.rounding import check, neighbours
from triovit.golden.quantization.settings import QuantizationError
from triovit.golden.quantization.weights.quantized import by_filter

SHORT = dataclasses.replace(OPTIONS["fast"], images=16, iterations=8, batch=8)


@pytest.fixture(scope="module")
def model():
    return initialize(EfficientViT("b0", 7, 32), 1)


@pytest.fixture(scope="module")
def images():
    return seeded.random_images(16, 32, 5).numpy()


@pytest.fixture(scope="module")
def schemes(model, images):
    return {
        name: make_scheme(model, layers_of(model), images, METHODS[name], IMAGENET_MEAN, IMAGENET_STD)
        for name in ("trio", "m2", "p2")
    }


def run(model, scheme, images, options=SHORT, progress=None):
    return reconstruct(model, scheme, images, IMAGENET_MEAN, IMAGENET_STD, progress, options)


@pytest.mark.parametrize("method", ["trio", "m2", "p2"])
def test_result(model, images, schemes, method):
    scheme = schemes[method]
    result, blocks = run(model, scheme, images)
    assert len(blocks) == 20 and all(block.after <= block.before for block in blocks)
    assert sum(block.gain > 0 for block in blocks) >= 10
    assert any(block.changed for block in blocks)
    for layer in result.layers:
        if isinstance(layer, ConvolutionLayer):
            old, new = scheme.weights[layer.name], result.weights[layer.name]
            source = scheme.encodings[layer.inputs[0]]
            ratio = layer.folded.weight * by_filter(source.scale, layer.folded)
            lower, upper = neighbours(ratio / old.step[:, None, None, None], old)
            # either a neighbour, or never touched (what calibration decided may be further away)
            kept = new.values == old.values
            check(np.where(kept, lower, new.values), lower, upper, new, layer.name)
            assert (new.bits, new.fraction_bits) == (old.bits, old.fraction_bits)
            assert np.array_equal(new.apot_filters, old.apot_filters)
    if method == "p2":
        assert all(
            np.array_equal(result.encodings[name].scale, encoding.scale) for name, encoding in scheme.encodings.items()
        )
        assert all(np.array_equal(result.weights[name].step, old.step) for name, old in scheme.weights.items())
    else:
        assert (
            sum(
                not np.array_equal(result.encodings[name].scale, encoding.scale)
                for name, encoding in scheme.encodings.items()
            )
            > 10
        )
    nodes = tuple(export.node(layer, result) for layer in result.layers)
    IntegerNetwork("x", (3, 32, 32), nodes).validate()


def test_the_same_seed_gives_the_same_result(model, images, schemes):
    first, blocks = run(model, schemes["trio"], images)
    again, same = run(model, schemes["trio"], images)
    assert blocks == same
    for name, found in first.weights.items():
        assert np.array_equal(found.values, again.weights[name].values)
        assert np.array_equal(found.step, again.weights[name].step)
    other = dataclasses.replace(schemes["trio"], settings=dataclasses.replace(schemes["trio"].settings, seed=1))
    assert run(model, other, images)[1] != blocks


def test_it_helps_a_trained_network():
    """4-bit depthwise layers of the bundled network: the learned part of it, beyond what bias correction gives."""
    bundled = load_bundled()
    images = seeded.random_images(24, 64, 5).numpy()
    scheme = make_scheme(bundled.model, layers_of(bundled.model), images, METHODS["m2"], bundled.mean, bundled.std)
    gains = {}
    for iterations in (1, 40):
        options = dataclasses.replace(OPTIONS["fast"], iterations=iterations, batch=8)
        _, blocks = reconstruct(bundled.model, scheme, images, bundled.mean, bundled.std, None, options)
        gains[iterations] = sum(block.gain for block in blocks[:6])
    assert gains[40] > gains[1] + 0.4


def test_the_quantizer_reconstructs(model, images, schemes, monkeypatch):
    """Settings.reconstruction asks for it; divisors are searched again for the new scales."""
    monkeypatch.setitem(OPTIONS, "fast", SHORT)
    settings = dataclasses.replace(METHODS["trio"], reconstruction="fast")
    seen = []
    found = quantize_model(
        model, images, name="x", settings=settings, progress=lambda what, done, total: seen.append(what)
    )
    expected, blocks = run(model, schemes["trio"], images)
    assert found.scheme.reconstruction == blocks
    assert found.network.metadata["reconstruction"] == [dataclasses.asdict(block) for block in blocks]
    assert found.network.metadata["settings"]["reconstruction"] == "fast"
    assert all(
        np.array_equal(found.scheme.weights[name].values, part.values) for name, part in expected.weights.items()
    )
    assert len(seen) - seen[::-1].index("divisors") == len(seen)
    before = {name: [(one.offset, one.gain.tolist()) for one in choice] for name, choice in expected.divisors.items()}
    after = {
        name: [(one.offset, one.gain.tolist()) for one in choice] for name, choice in found.scheme.divisors.items()
    }
    assert before.keys() == after.keys() and before != after


def test_published_phases(model, images, schemes):
    """Roundings, then scales, then those inside attention; power-of-two scales leave the first phase alone."""
    options = Options(images=8, iterations=3, scale_iterations=2, attention_iterations=1, batch=4)
    steps = {}
    _, blocks = run(model, schemes["trio"], images, options, lambda what, done, total: steps.update({what: total}))
    by_name = {block.name: block.iterations for block in blocks}
    assert by_name["backbone.input_stem.op_list.0"] == 5
    assert by_name["backbone.stages.2.op_list.1.context_module"] == 6
    assert by_name["head.op_list.1"] == 2 and by_name["head.op_list.3"] == 3  # the pool has no weights, logits no scale
    assert {what.removeprefix("reconstruction of "): total for what, total in steps.items()} == by_name
    _, blocks = run(model, schemes["p2"], images, options)
    assert {block.iterations for block in blocks} == {0, 3}


def test_the_model_is_left_as_it_was(model, images, schemes):
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.train()
    try:
        run(model, schemes["trio"], images[:2], dataclasses.replace(SHORT, iterations=1))
        assert model.training
    finally:
        model.eval()
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())


def test_one_image_is_enough(model, images, schemes):
    _, blocks = run(model, schemes["trio"], images[:1], dataclasses.replace(SHORT, iterations=2))
    assert all(block.after <= block.before for block in blocks)


def test_published_options():
    """Trio-ViT's release, and BRECQ."""
    found = find_options("published")
    assert (found.images, found.iterations, found.scale_iterations, found.attention_iterations) == (
        1024,
        20000,
        5000,
        5000,
    )
    assert (found.batch, found.rounding_rate, found.scale_rate, found.regularization) == (32, 1e-3, 4e-4, 0.5)
    assert (found.first_beta, found.last_beta, found.warm_up, found.norm, found.joint) == (20, 2, 0.2, 2.4, False)
    with pytest.raises(QuantizationError, match=r"reconstruction must be one of published, fast .*, not 'none'"):
        find_options("none")


def test_exponent_falls_after_the_warm_up():
    options = Options()
    assert exponent(0.19, options) is None
    assert exponent(0.2, options) == pytest.approx(20)
    assert exponent(0.6, options) == pytest.approx(11)
    assert exponent(1.0, options) == pytest.approx(2)


def test_batches_hold_every_image_once():
    generator = torch.Generator().manual_seed(0)
    found = batches(10, 5, generator)
    first, second = ([next(found) for _ in range(2)] for _ in range(2))
    assert sorted(torch.cat(first).tolist()) == sorted(torch.cat(second).tolist()) == list(range(10))
    assert torch.cat(first).tolist() != torch.cat(second).tolist()
    assert len(next(batches(3, 5, generator))) == 3


def test_report():
    results = (
        BlockResult("a", 100.0, 1.0, 0.1, "learned, bias", 30, 5, 10),
        BlockResult("b", 0.0, 0.0, 0.0, "nothing", 0, 0, 0),
    )
    assert (results[0].gain, results[0].sqnr) == pytest.approx((10, 30))
    assert (results[1].gain, results[1].sqnr) == (0, float("inf"))
    assert (results[0].changed_percent, results[1].changed_percent) == (50, 0)
