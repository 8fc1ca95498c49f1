"""Exponents of powers of two, and what each rule does to whole networks."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.golden.quantization.schemes import tiny_model
from triovit.golden.integer.execute import execute, pixels_to_input
from triovit.golden.integer.family import family
from triovit.golden.integer.nodes import Convolution
from triovit.golden.quantization.calibration.images import random_images
from triovit.golden.quantization.encoding import from_metadata
from triovit.golden.quantization.exponents import RULES, candidates
from triovit.golden.quantization.methods import METHODS
from triovit.golden.quantization.quantize import quantize

FIXED = ("nearest", "ceil", "floor")


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.lists(st.floats(1e-9, 1e9), min_size=1, max_size=5))
def test_rules(scales):
    scales = np.array(scales)
    found = {rule: candidates(scales, rule) for rule in RULES}
    assert [len(found[rule]) for rule in RULES] == [4, 1, 1, 1]
    assert all(np.array_equal(exponents, np.round(exponents)) for exponents in found.values())
    floor, ceil, nearest = found["floor"][0], found["ceil"][0], found["nearest"][0]
    assert (2.0**floor <= scales).all() and (scales < 2.0 ** (floor + 1)).all()
    assert (2.0 ** (ceil - 1) < scales).all() and (scales <= 2.0**ceil).all()
    assert (np.abs(nearest - np.log2(scales)) <= 0.5).all()
    assert found["adaptive"].tolist() == [
        floor.tolist(),
        (floor - 1).tolist(),
        (floor + 1).tolist(),
        (floor + 2).tolist(),
    ]


def test_powers_of_two_are_kept_and_the_middle_is_the_root_of_two():
    scales = np.array([0.25, 1, 8, 1.414, 1.415, 2.828, 2.829])
    assert candidates(scales, "nearest").tolist() == [[-2, 0, 3, 0, 1, 1, 2]]
    assert candidates(scales, "ceil").tolist() == [[-2, 0, 3, 1, 1, 2, 2]]
    assert candidates(scales, "floor").tolist() == [[-2, 0, 3, 0, 0, 1, 1]]
    assert np.array_equal(candidates(scales), candidates(scales, "adaptive"))


@pytest.mark.parametrize("exponent", [-30, -1, 0, 7, 40])
def test_the_numbers_beside_a_power_of_two(exponent):
    """Their logarithms round to whole numbers, their exponents are not those."""
    power = 2.0**exponent
    scales = np.array([np.nextafter(power, 0), power, np.nextafter(power, np.inf)])
    assert candidates(scales, "floor").tolist() == [[exponent - 1, exponent, exponent]]
    assert candidates(scales, "ceil").tolist() == [[exponent, exponent, exponent + 1]]
    assert candidates(scales, "nearest").tolist() == [[exponent] * 3]


def test_unknown_rule():
    with pytest.raises(ValueError, match="rule of exponents must be one of adaptive, nearest, ceil, floor, not 'up'"):
        candidates(np.ones(1), "up")


@pytest.fixture(scope="module")
def networks():
    model, images, told = tiny_model(), random_images(5, 4, 32), {}
    result = {}
    for rule in RULES:
        told[rule] = []
        result[rule] = quantize(
            model,
            images,
            name=rule,
            settings=replace(METHODS["p2"], exponents=rule),
            progress=lambda what, *_, rule=rule: told[rule].append(what),
        )
    return result, told


def test_networks_of_all_rules_are_of_the_family(networks):
    for rule, network in networks[0].items():
        assert family(network) == "p2"
        assert network.metadata["settings"]["exponents"] == rule
        output = execute(network, pixels_to_input(random_images(6, 1, 32)[0]))[network.output]
        assert len(np.unique(output)) > 1


def test_only_adaptive_exponents_run_the_network(networks):
    assert {rule: "exponents" in steps for rule, steps in networks[1].items()} == {
        "adaptive": True,
        "nearest": False,
        "ceil": False,
        "floor": False,
    }


def test_order_of_the_scales(networks):
    """Floor is at most nearest, that at most ceil, that at most twice floor; of tensors and of weights."""
    encodings = {rule: from_metadata(network) for rule, network in networks[0].items()}
    differ = 0
    for name in list(encodings["floor"])[1:-1]:
        floor, nearest, ceil = (encodings[rule][name].scale for rule in ("floor", "nearest", "ceil"))
        if name == "head.op_list.1":
            continue  # the pool's are limited by those of its input
        assert (floor <= nearest).all() and (nearest <= ceil).all() and (ceil <= 2 * floor * (1 + 1e-12)).all()
        differ += (floor < nearest).any() + (nearest < ceil).any()
        rounds = np.log2(nearest / floor)
        assert set(np.round(rounds).tolist()) <= {0, 1}
    assert differ > 20


def test_ceil_never_clips_weights_and_floor_does(networks):
    clipped = {}
    for rule in FIXED:
        values = [
            np.abs(node.weight.astype(int)).reshape(len(node.weight), -1)
            for node in networks[0][rule].nodes
            if isinstance(node, Convolution)
        ]
        clipped[rule] = sum(int(((v == 127).sum(axis=1) > 1).sum()) for v in values)
    assert clipped["ceil"] < clipped["nearest"] < clipped["floor"]
