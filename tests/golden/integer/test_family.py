"""The family of a network, read off one parameter at a time."""

from dataclasses import replace

import numpy as np
import pytest

from tests.golden.integer.variants import mixed, shifting, uniform_divisors
from tests.networks import efficientvit_like, small_network, unusual_network
from triovit.golden.integer.apot import ApotFormat
from triovit.golden.integer.family import family, first_reason
from triovit.golden.integer.nodes import Attention, Convolution
from triovit.golden.integer.records import PostParameters

SHIFTS = "power-of-two requantization in every record"


def changed(network, name, **values):
    """A network with other fields of one node."""
    return replace(network, nodes=tuple(replace(n, **values) if n.name == name else n for n in network.nodes))


@pytest.mark.parametrize(
    "network",
    [small_network(1), unusual_network(2), efficientvit_like("b0", 32, 3), uniform_divisors(small_network(4))],
    ids=lambda network: network.name,
)
def test_trio(network):
    assert (family(network), first_reason(network)) == ("trio", "")


def test_4_bit_weights_and_a_format_without_filters_are_trio():
    network = changed(small_network(1), "stem", apot=ApotFormat(), apot_filters=np.zeros(8, dtype=bool))
    depthwise = network.node("ds.depthwise")
    network = changed(network, "ds.depthwise", weight=depthwise.weight // 20, weight_bits=4).validate()
    assert (family(network), first_reason(network)) == ("trio", "")


def test_one_additive_filter_makes_m2():
    network = small_network(1)
    weight = network.node("mb2.project").weight.copy()
    weight[3] = 65
    flags = np.arange(len(weight)) == 3
    network = changed(network, "mb2.project", weight=weight, apot=ApotFormat(), apot_filters=flags).validate()
    assert family(network) == "m2"
    assert first_reason(network) == "mb2.project has 1 of 12 filters in additive powers of two"


def test_additive_keys_make_m2():
    network = changed(small_network(1), "att.attention", key_apot=ApotFormat()).validate()
    assert (family(network), first_reason(network)) == ("m2", "att.attention has K in additive powers of two")


def test_the_first_node_is_named():
    network = mixed(small_network(1), 1)
    assert family(network) == "m2"
    assert first_reason(network) == "stem has 4 of 8 filters in additive powers of two"


def test_shifts_make_p2():
    network = shifting(small_network(1))
    assert (family(network), first_reason(network)) == ("p2", SHIFTS)
    both = shifting(mixed(small_network(1), 1))
    assert family(both) == "m2+p2"
    assert first_reason(both) == f"stem has 4 of 8 filters in additive powers of two and {SHIFTS}"


def records_of(network):
    """(node, field, index in a tuple or None) of every set of records."""
    for node in network.nodes:
        for name, value in vars(node).items():
            if isinstance(value, PostParameters):
                yield node, name, None
            elif name in ("product", "key_sum", "divide", "divisor_scale"):
                yield from ((node, name, i) for i in range(len(value)))


@pytest.mark.parametrize("field", ["m1", "m2", "residual_multiplier"])
def test_a_single_multiplier_of_two_is_not_p2(field):
    """Of any record of any node, in the last channel."""
    scale = (PostParameters.create(2, m1=1),) * 2
    network = shifting(small_network(1))
    network = changed(network, "att.attention", divisor="uniform", log2_offset=(), divisor_scale=scale).validate()
    assert family(network) == "p2"
    places = list(records_of(network))
    assert {type(node) for node, _, _ in places} >= {Convolution, Attention}
    assert len(places) == len(network.nodes) - 1 + 4 * 2
    for node, name, index in places:
        old = getattr(node, name) if index is None else getattr(node, name)[index]
        values = getattr(old, field).copy()
        values[-1] = 2
        post = replace(old, **{field: values})
        if index is not None:
            post = tuple(post if i == index else other for i, other in enumerate(getattr(node, name)))
        assert family(changed(network, node.name, **{name: post})) == "trio", (node.name, name, index)


def test_multipliers_of_zero_are_shifts():
    network = shifting(small_network(1))
    post = replace(network.node("stem").post, m1=np.zeros(8, dtype=np.int64))
    assert family(changed(network, "stem", post=post)) == "p2"
