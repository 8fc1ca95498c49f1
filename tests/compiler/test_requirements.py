"""Networks of other families are refused before anything is compiled, with the configuration that would run them."""

from __future__ import annotations

import dataclasses

import pytest

from tests.golden.integer.variants import mixed, shifting, uniform_divisors
from tests.networks import small_network, unusual_network
from triovit.compiler import CompileError, compile_network
from triovit.compiler.requirements import check_family
from triovit.golden.integer.family import family
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
