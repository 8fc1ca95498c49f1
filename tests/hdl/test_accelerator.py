"""Accelerator: the top level through an independent AXI implementation, and its ports."""

import pytest

from tests.sim.configurations import TINY, WIDE
from triovit.hdl.accelerator import TRACED, Accelerator
from triovit.hdl.config.accelerator import AcceleratorConfig, ConfigurationError
from triovit.hdl.isa.registers import REGISTER_ADDRESS_BITS
from triovit.sim.bench import run_bench


def test_bench():
    passed = run_bench(Accelerator(TINY), "tests.hdl.bench_accelerator", name="accelerator")
    assert sorted(passed) == ["compiled_network", "errors", "random_programs", "registers"]


@pytest.mark.parametrize("config", (TINY, WIDE), ids=lambda config: config.name)
def test_ports(config):
    top = Accelerator(config)
    assert len(top.m_axi.rdata) == len(top.m_axi.wdata) == 8 * config.data_bytes
    assert len(top.s_axil.araddr) == REGISTER_ADDRESS_BITS and len(top.interrupt) == 1
    assert {f"trace_{unit}_{event}" for unit in TRACED for event in ("start", "done")} < set(top.signature.members)


def test_a_configuration_is_checked():
    with pytest.raises(ConfigurationError, match="block must be 4, 8 or 16, not 5"):
        Accelerator(AcceleratorConfig(block=5))
