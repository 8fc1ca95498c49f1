"""The search for offsets and gains, against attentions executed one choice at a time."""

import dataclasses

import numpy as np
import pytest
import torch

from tests.golden.quantization.schemes import tiny_model
from triovit.golden.data.images import IMAGENET_MEAN, IMAGENET_STD
from triovit.golden.network import seeded
from triovit.golden.network.architectures import layers_of
from triovit.golden.network.graph import LinearAttentionLayer
from triovit.golden.network.normalize import normalize
from triovit.golden.quantization import divisor_search
from triovit.golden.quantization.calibration.observers import Range
from triovit.golden.quantization.divisor_search import AROUND, GAINS, _gains, search_divisors
from triovit.golden.quantization.export import attention
from triovit.golden.quantization.methods import METHODS
from triovit.golden.quantization.quantize import make_scheme
from triovit.golden.quantization.scheme import Divisor
from triovit.golden.quantization.settings import Settings

OPTIONS = {"mean": IMAGENET_MEAN, "std": IMAGENET_STD}


@pytest.fixture(scope="module")
def model():
    return tiny_model(3)


@pytest.fixture(scope="module")
def images():
    return seeded.random_images(6, 32, 7).numpy()


@pytest.fixture(scope="module")
def plain(model, images):
    """A scheme without searched divisors."""
    return make_scheme(model, layers_of(model), images, Settings(), IMAGENET_MEAN, IMAGENET_STD)


def with_settings(scheme, **changes):
    return dataclasses.replace(scheme, settings=dataclasses.replace(scheme.settings, **changes))


def attentions(scheme):
    return [layer for layer in scheme.layers if isinstance(layer, LinearAttentionLayer)]


def errors(model, scheme, layer, images, divisors):
    """(branches,) squared errors of an attention on the float network's q, k and v, and (branches, heads) of heads."""
    found = []
    hook = model.get_submodule(layer.output).register_forward_hook(lambda _m, x, y: found.append((x[0], y)))
    with torch.no_grad():
        model(normalize(torch.from_numpy(images)))
    hook.remove()
    qkv, expected = (part.double().numpy() for part in found[0])
    node = attention(layer, dataclasses.replace(scheme, divisors={layer.name: divisors}))
    total = 0
    for x, y in zip(qkv, expected, strict=True):
        parts = x.reshape(len(layer.inputs), -1, *x.shape[1:])
        tensors = {name: scheme.encodings[name].quantize(part) for name, part in zip(layer.inputs, parts, strict=True)}
        got = scheme.encodings[layer.name].decode(node.run(tensors)[layer.name].astype(np.int64))
        total = total + ((got - y) ** 2).reshape(len(layer.inputs), layer.heads, -1).sum(axis=2)
    return total.sum(axis=1), total


@pytest.mark.parametrize("factor", [1, 1 / 4])
def test_offsets_have_the_least_error_of_those_tried(model, plain, images, factor):
    """factor: on the calibrated divisors; where they seem to be smaller than they are, the offset clips their codes."""
    ranges = {
        name: Range(found.low, found.high * factor) if ".divisor" in name else found
        for name, found in plain.ranges.items()
    }
    plain = dataclasses.replace(plain, ranges=ranges)
    found = search_divisors(model, with_settings(plain, divisor_search=True), images, **OPTIONS)
    assert list(found) == [layer.name for layer in attentions(plain)]
    moved = []
    for layer in attentions(plain):
        base = attention(layer, plain).log2_offset
        tried = {
            change: errors(model, plain, layer, images, tuple(Divisor(o + change) for o in base))[0]
            for change in (-2, -1, 0, 1, 2)
        }
        for branch, choice in enumerate(found[layer.name]):
            assert choice.gain is None
            change = choice.offset - base[branch]
            least = min(error[branch] for error in tried.values())
            assert tried[change][branch] == pytest.approx(least, rel=1e-4)
            moved.append(change)
    assert AROUND[0] == 0
    assert sorted(AROUND) == [-2, -1, 0, 1, 2]
    assert set(moved) <= ({0, 1} if factor == 1 else {-2, -1})


def test_a_gain_takes_the_mean_error_back(model, plain, images):
    found = search_divisors(model, with_settings(plain, divisor_gain=True), images, **OPTIONS)
    gains = []
    for layer in attentions(plain):
        base = attention(layer, plain).log2_offset
        assert tuple(choice.offset for choice in found[layer.name]) == base  # offsets are not searched
        without = errors(model, plain, layer, images, tuple(Divisor(offset) for offset in base))[1]
        with_gain = errors(model, plain, layer, images, found[layer.name])[1]
        assert (with_gain.sum(axis=1) < 0.97 * without.sum(axis=1)).all()
        assert (with_gain <= without * 1.02).all()  # every head's own, but for the rounding of results
        gains.append(np.stack([choice.gain for choice in found[layer.name]]))
        assert gains[-1].shape == without.shape
        larger = tuple(Divisor(choice.offset, choice.gain * 1.2) for choice in found[layer.name])
        moved = errors(model, plain, layer, images, larger)[1]
        assert (with_gain.sum(axis=1) < moved.sum(axis=1)).all()
    assert 0.85 < np.mean(np.concatenate([g.reshape(-1) for g in gains])) < 0.97  # 8 % too large on average


def test_both_together(model, plain, images):
    scheme = with_settings(plain, divisor_search=True, divisor_gain=True)
    both = search_divisors(model, scheme, images, **OPTIONS)
    gain = search_divisors(model, with_settings(plain, divisor_gain=True), images, **OPTIONS)
    for layer in attentions(plain):
        together = errors(model, plain, layer, images, both[layer.name])[0]
        assert (together <= errors(model, plain, layer, images, gain[layer.name])[0] * (1 + 1e-4)).all()
        base = attention(layer, plain).log2_offset
        for branch, choice in enumerate(both[layer.name]):
            assert abs(choice.offset - base[branch]) <= 2
            assert GAINS[0] <= choice.gain.min() <= choice.gain.max() <= GAINS[1]


def test_the_choice_reaches_the_integer_network(model, images):
    settings = METHODS["trio"]
    scheme = make_scheme(model, layers_of(model), images, settings, IMAGENET_MEAN, IMAGENET_STD)
    for layer in attentions(scheme):
        node = attention(layer, scheme)
        without = attention(layer, dataclasses.replace(scheme, divisors={}))
        assert node.log2_offset == tuple(choice.offset for choice in scheme.divisors[layer.name])
        for branch, choice in enumerate(scheme.divisors[layer.name]):
            factor = [m / 2.0**n for m, n in zip(node.divide[branch].m1, node.divide[branch].n1, strict=True)]
            base = [m / 2.0**n for m, n in zip(without.divide[branch].m1, without.divide[branch].n1, strict=True)]
            moved = 2.0 ** (choice.offset - without.log2_offset[branch])
            np.testing.assert_allclose(np.divide(factor, base), choice.gain * moved, rtol=1e-4)


def test_no_offset_beyond_what_a_shift_reaches(model, images):
    settings = Settings(scales="power-of-two", divisor_search=True)
    scheme = make_scheme(model, layers_of(model), images, settings, IMAGENET_MEAN, IMAGENET_STD)
    for layer in attentions(scheme):
        for post in attention(layer, scheme).divide:
            assert set(post.m1) == {1}
            assert (post.n1 >= 0).all()


def test_at_most_32_images(model, plain, images, monkeypatch):
    assert divisor_search.IMAGES == 32
    monkeypatch.setattr(divisor_search, "IMAGES", 2)
    told = []
    search_divisors(
        model, with_settings(plain, divisor_gain=True), images, **OPTIONS, progress=lambda *step: told.append(step)
    )
    assert told == [("divisors", 2, 2)]


def test_gains_are_least_squares():
    rng = np.random.default_rng(0)
    found = rng.normal(size=(5, 2, 3, 40))
    expected = found * np.array([[0.9, 1.0, 1.3], [0.7, 1.9, 0.55]])[:, :, None] + rng.normal(0, 0.1, found.shape)
    gains = _gains(found, expected)
    for branch in range(2):
        for head in range(3):
            x, y = found[:, branch, head].reshape(-1), expected[:, branch, head].reshape(-1)
            assert gains[branch, head] == pytest.approx(np.linalg.lstsq(x[:, None], y, rcond=None)[0][0])


def test_gains_are_bounded_and_one_for_zeros():
    found = np.ones((1, 1, 4, 2)) * np.array([1.0, 1.0, 0.0, 1.0])[:, None]
    expected = np.ones((1, 1, 4, 2)) * np.array([5.0, 0.1, 3.0, -1.0])[:, None]
    assert _gains(found, expected).tolist() == [[2.0, 0.5, 1.0, 0.5]]
