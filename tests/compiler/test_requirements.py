"""Networks of other families are refused before anything is compiled, with the configuration that would run them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.golden.integer.variants import mixed, shifting, uniform_divisors
from tests.networks import small_network, unusual_network
from triovit.compiler import CompileError, compile_network
from triovit.compiler.requirements import check_family, check_numbers
from triovit.golden.integer.family import family
from triovit.golden.integer.network import INPUT, IntegerNetwork
from triovit.golden.integer.nodes import Convolution
from triovit.golden.integer.records import PostParameters
from triovit.hdl.config.accelerator import PRESETS

CORE = PRESETS["trio-core"]
NETWORK = small_network(1, size=16)
ADDITIVE = "stem has 4 of 8 filters in additive powers of two"
SHIFTS = "power-of-two requantization in every record"


def message(network, config=CORE):
    with pytest.raises(CompileError) as caught:
        compile_network(network, config)
    return str(caught.value)


def test_additive_powers_of_two():
    assert message(mixed(NETWORK, 1)) == (
        f"network small-1 is of family m2: {ADDITIVE}; configuration trio-core is of family trio, whose engines "
        "multiply 8-bit weights; a configuration of family m2 (shifter-adder-tree beside a multiplier array, as "
        "M2-ViT's 'm2-asic') runs it, and this version generates family trio only"
    )


def test_shifts():
    assert message(shifting(NETWORK), PRESETS["trio-tiny"]) == (
        f"network small-1 is of family p2: {SHIFTS}; configuration trio-tiny is of family trio, whose requantizers "
        "multiply; a configuration of family p2 (requantization by shifts, no multipliers) runs it, and this version "
        "generates family trio only"
    )


def test_both():
    text = message(shifting(mixed(NETWORK, 1)))
    assert text.startswith(f"network small-1 is of family m2+p2: {ADDITIVE} and {SHIFTS}; configuration trio-core")
    assert "a configuration of family m2+p2 (shifter-adder-tree beside a multiplier array, requantization by" in text


def test_uniform_divisors():
    text = "network small-1: att.attention divides by 8-bit uniform divisors, an ablation that no hardware runs"
    assert message(uniform_divisors(NETWORK)).startswith(text)
    assert message(uniform_divisors(mixed(NETWORK, 1))).startswith(text)


@pytest.mark.parametrize("config", PRESETS.values(), ids=PRESETS)
@pytest.mark.parametrize("network", [NETWORK, unusual_network(2)], ids=lambda network: network.name)
def test_trio_runs_on_every_preset(network, config):
    assert config.family == family(network) == "trio"
    check_family(network, config)


def test_family_is_no_part_of_the_configuration_hash():
    """The hash is taken over the fields, which programs of earlier versions share."""
    assert "family" not in dataclasses.asdict(CORE)


def bounded(bias=0, residual_multiplier=0, residual_shift=0):
    """A layer of one weight whose accumulator reaches 128 + |bias|."""
    records = {"bias": bias, "m1": 1, "residual_multiplier": residual_multiplier, "residual_shift": residual_shift}
    weight = np.ones((1, 1, 1, 1), dtype=np.int8)
    first = Convolution("first", INPUT, np.ones((1, 3, 1, 1), dtype=np.int8), PostParameters.create(1, m1=3, n1=8))
    second = Convolution("second", "first", weight, PostParameters.create(1, **records), residual="first")
    return IntegerNetwork("bounded", (3, 4, 4), (first, second))


@pytest.mark.parametrize(("bits", "needed"), [(24, 25), (27, 28), (31, 32)])
def test_accumulators_must_fit(bits, needed):
    config = dataclasses.replace(CORE, accumulator_bits=bits)
    fits = (1 << (bits - 1)) - 1 - 128
    check_numbers(bounded(fits), config)
    assert message(bounded(-fits - 1), config) == (
        f"second (convolution): the accumulator can reach {fits + 1 + 128}, which needs {needed} bits; configuration "
        f"trio-core has accumulator_bits {bits}: one with {needed} has room"
    )
    check_numbers(bounded(-fits - 1), dataclasses.replace(CORE, accumulator_bits=needed))


def test_products_must_fit():
    check_numbers(bounded(residual_multiplier=1, residual_shift=39), CORE)
    assert message(bounded(residual_multiplier=1, residual_shift=40)) == (
        "second (convolution): accumulator times multiplier and the residual operand's term can reach "
        f"{128 + (1 << 47)}, more than the 48 bits of post-processing hold: quantize the network again, with weights "
        "that are not nearly 0"
    )
