"""Every method quantizes: the family it is for, what it promises about weights and records, the same file again."""

from dataclasses import replace

import numpy as np
import pytest

from tests.golden.quantization.schemes import tiny_model
from triovit.golden.integer.execute import execute, pixels_to_input
from triovit.golden.integer.family import family
from triovit.golden.integer.nodes import Attention, Convolution
from triovit.golden.integer.serialize import save_network
from triovit.golden.quantization.calibration.images import random_images
from triovit.golden.quantization.methods import METHODS, find_method
from triovit.golden.quantization.quantize import quantize
from triovit.golden.quantization.settings import QuantizationError, Settings

FAMILIES = {
    "minmax": "trio",
    "ema": "trio",
    "percentile": "trio",
    "omse": "trio",
    "trio": "trio",
    "m2": "m2",
    "p2": "p2",
    "m2+p2": "m2+p2",
}
IMAGES = random_images(5, 4, 32)


@pytest.fixture(scope="module")
def model():
    return tiny_model()


@pytest.fixture(scope="module")
def networks(model):
    return {name: quantize(model, IMAGES, name=name, settings=settings) for name, settings in METHODS.items()}


def records(network):
    for node in network.nodes:
        if isinstance(node, Attention):
            yield from (post for group in (node.product, node.key_sum, node.divide) for post in group)
        else:
            yield node.post


def convolutions(network):
    return [node for node in network.nodes if isinstance(node, Convolution)]


def test_every_name_has_a_family():
    assert set(METHODS) == set(FAMILIES)


@pytest.mark.parametrize("name", METHODS)
def test_families(networks, name):
    network = networks[name]
    assert family(network) == FAMILIES[name]
    assert network.metadata["settings"] == METHODS[name].to_dict()
    outputs = [execute(network, pixels_to_input(image))[network.output] for image in IMAGES]
    assert len({output.tobytes() for output in outputs}) == len(IMAGES)


@pytest.mark.parametrize("name", ["p2", "m2+p2"])
def test_power_of_two_networks_only_shift(networks, name):
    used = 0
    for post in records(networks[name]):
        arrays = post.arrays()
        for multiplier in ("m1", "m2", "residual_multiplier"):
            assert set(arrays[multiplier].tolist()) <= {0, 1}
        used += int(arrays["m1"].sum())
    assert used > 1000
    assert any(post.m1.max() > 1 for post in records(networks["trio"]))


@pytest.mark.parametrize("name", METHODS)
def test_bits_of_depthwise_weights(networks, name):
    limit = 7 if name.startswith("m2") else 127
    for node in convolutions(networks[name]):
        if node.depthwise:
            assert node.weight_bits == (4 if limit == 7 else 8)
            largest = np.abs(node.weight.astype(int)).max()
            assert largest == limit or (name == "p2" and 64 <= largest < limit)  # steps of powers of two
        else:
            assert node.weight_bits == 8


@pytest.mark.parametrize("name", ["m2", "m2+p2"])
def test_half_of_the_filters_of_every_pointwise_layer_are_additive(networks, name):
    seen = 0
    for node in convolutions(networks[name]):
        dense = node.groups == 1 and node.kernel == 1 and not node.name.startswith(("head.op_list.2", "head.op_list.3"))
        if dense:
            seen += 1
            assert 2 * node.apot_filters.sum() == len(node.weight)
            assert np.isin(node.weight[node.apot_filters], node.apot.levels).all()
        else:
            assert not node.apot_filters.any()
    assert seen == 20
    assert all(node.key_apot is not None for node in networks[name].nodes if isinstance(node, Attention))


def test_the_others_have_no_additive_weights(networks):
    for name in set(METHODS) - {"m2", "m2+p2"}:
        assert not any(node.apot_filters.any() for node in convolutions(networks[name]))
        assert all(node.key_apot is None for node in networks[name].nodes if isinstance(node, Attention))


@pytest.mark.parametrize("name", ["minmax", "ema", "percentile", "omse"])
def test_baselines_are_vanilla(networks, name):
    """Zero point 0, a scale per tensor, and none of the papers' techniques."""
    for post in records(networks[name]):
        assert not post.zero_point.any()
    for tensor, encoding in networks[name].metadata["encodings"].items():
        if tensor != "input":
            assert len(encoding["scale"]) == 1, tensor
    settings = METHODS[name]
    assert not (settings.divisor_search or settings.divisor_gain or settings.bias_correction or settings.smoothing)


def test_baselines_differ(networks):
    files = {
        tuple(node.weight.tobytes() + node.post.bias.tobytes() for node in convolutions(networks[name]))
        for name in ("minmax", "ema", "percentile", "omse")
    }
    assert len(files) >= 3  # four images are one batch, whose moving average are its extremes
    few = replace(METHODS["ema"], batch=1)
    averaged = quantize(tiny_model(), IMAGES, name="ema", settings=few)
    assert averaged.metadata["encodings"] != networks["minmax"].metadata["encodings"]


@pytest.mark.parametrize("name", METHODS)
def test_the_same_again(model, networks, name, tmp_path):
    again = quantize(tiny_model(), iter(IMAGES), name=name, settings=find_method(name))
    save_network(networks[name], tmp_path / "a")
    save_network(again, tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


CHANGES = [
    {"migration": False},
    {"shifting": "none"},
    {"head_scales": False},
    {"symmetric": True},
    {"migration": False, "shifting": "none", "head_scales": False, "symmetric": True},
    {"migration": True, "shifting": "all", "head_scales": True, "symmetric": False},
    {"shifting": "projection", "smoothing": True},
    {"divisor_gain": False, "divisor_search": False},
]


@pytest.mark.parametrize("change", CHANGES, ids=str)
@pytest.mark.parametrize("name", METHODS)
def test_every_method_runs_without_each_technique(model, name, change):
    settings = replace(METHODS[name], **change)
    network = quantize(model, IMAGES[:2], name=name, settings=settings)
    assert family(network) == FAMILIES[name]
    assert network.metadata["settings"] == settings.to_dict()
    assert len(np.unique(execute(network, pixels_to_input(IMAGES[0]))[network.output])) > 1


def test_ablations_of_the_papers(model):
    """Single settings of a method taken away: another network, and the family follows what is left."""
    m2 = METHODS["m2"]
    for settings, expected in (
        (replace(m2, attention_apot=False), "m2"),
        (replace(m2, apot_share=0.0), "m2"),  # K of the attention is still additive
        (replace(m2, apot_share=0.0, attention_apot=False), "trio"),  # 4-bit weights alone make no family
        (replace(METHODS["p2"], smoothing=False), "p2"),
        (replace(METHODS["m2+p2"], apot_share=1.0, apot_exponent_bits=2), "m2+p2"),
        (Settings(divisor="uniform"), "trio"),
        (Settings(scales="power-of-two"), "p2"),
    ):
        assert family(quantize(model, IMAGES[:2], name="x", settings=settings)) == expected


def test_unknown_method():
    with pytest.raises(QuantizationError) as caught:
        find_method("omae")
    assert str(caught.value) == ("method must be one of minmax, ema, percentile, omse, trio, m2, p2, m2+p2, not 'omae'")
    assert find_method("m2+p2") is METHODS["m2+p2"]
