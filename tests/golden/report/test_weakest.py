"""Which layers are the weakest, and what is said about them."""

import numpy as np
import pytest

from tests.networks import small_network
from triovit.golden.quantization.sqnr import TensorError
from triovit.golden.report.activations import Activations, BranchDivisors
from triovit.golden.report.findings import Accuracy, Findings
from triovit.golden.report.opening import opening
from triovit.golden.report.view import View
from triovit.golden.report.weakest import weakest
from triovit.golden.report.weights import layer_weights

SQNR = {"stem": 30.0, "mb1.expand": 12.0, "mb1.depthwise": 11.0, "att.attention": 9.0, "att.qkv": 25.0}


def errors(network, values, saturated=0.0):
    return [TensorError(node.name, values.get(node.name, 40.0), 0.1, 1.0, saturated) for node in network.nodes]


@pytest.fixture
def network():
    return small_network(1)


def findings(network, values, saturated=0.0, divisors=()):
    activations = Activations(1, {}, list(divisors))
    return Findings(layer_weights(network), errors(network, values, saturated), activations)


def attention(network):
    return next(node for node in network.nodes if node.kind == "attention")


def test_order_and_count(network):
    found = weakest(network, findings(network, SQNR), 3)
    assert [w.sqnr for w in found] == sorted(w.sqnr for w in found)
    assert len(found) == 3 and found[0].sqnr == 9.0
    assert weakest(network, Findings(layer_weights(network))) == []


def test_an_error_that_comes_in_names_its_source(network):
    by_name = {w.name: w for w in weakest(network, findings(network, SQNR), 100)}
    assert by_name["mb1.depthwise"].source == ("mb1.expand", 12.0) and not by_name["mb1.depthwise"].causes
    assert by_name["mb1.expand"].source is None  # its input has 30 or 40 dB
    assert by_name["stem"].source is None  # it reads the image


def test_half_of_the_noise_is_the_limit(network):
    inside = {"mb1.expand": 12.0, "mb1.depthwise": 9.1}
    outside = {"mb1.expand": 12.0, "mb1.depthwise": 8.9}
    for values, own in ((inside, False), (outside, True)):
        (found,) = (w for w in weakest(network, findings(network, values), 2) if w.name == "mb1.depthwise")
        assert (found.source is None) == own


def test_layers_without_error_are_none(network):
    values = {node.name: float("inf") for node in network.nodes} | {"stem": 20.0}
    assert [w.name for w in weakest(network, findings(network, values))] == ["stem"]


def test_causes(network):
    name = attention(network).name
    branch = BranchDivisors(name, 0, offset=0)
    branch.add(np.full((1, 1, 4), 3), np.full((1, 1, 4), 1), None)  # 3 divided as 2: 50 % too much
    branch.clipped = 1
    (found,) = weakest(network, findings(network, {name: 5.0}, 0.02, [branch]), 1)
    assert found.name == name
    assert found.causes == (
        "the 4-bit log2 codes of its divisors are wrong by 50 % (root mean square)",
        "25.0 % of its divisors lie beyond the codes",
        "2.0 % of its integers are at an end of their range",
    )
    (quiet,) = weakest(network, findings(network, {name: 5.0}), 1)
    assert quiet.causes == ()


def test_the_opening_tells_the_numbers(network):
    name = network.output
    view = View(network, findings(network, {name: 20.0, "stem": 7.0, "mb1.expand": float("-inf")}))
    accuracies = [Accuracy("float network", "d", 1000, 90.0, floating=True), Accuracy("this network", "d", 1000, 88.5)]
    text = "".join(opening(view, accuracies))
    assert "<b>88.50 %</b>top-1 on 1,000 images; the float network: 90.00 %" in text
    assert "<b>20.0 dB</b>" in text and "their error is 10 % of its signal" not in text
    assert "error is 10 % of their signal" in text
    widest = max(network.bounds(), key=lambda bound: bound.bound)
    assert f"<b>{widest.bits} of 32 bits</b>" in text
    assert text.count('<i style="background:') == len(network.nodes) + 6
    assert "stem" in text and "7.0 dB: its error is 45 % of its signal" in text
    assert "no signal" in text


def test_the_opening_tells_what_is_not_known(network):
    view = View(network, Findings(layer_weights(network), lacking={"sqnr": ["this", "that"]}))
    text = "".join(opening(view, []))
    assert text.count("<b>?</b>") == 2 and "triovit evaluate" in text
    assert "for want of: this; that." in text and "strip" not in text
