"""Accelerator: the top level through an independent AXI implementation, and its ports."""

import pytest

from tests.sim.configurations import FOUR, TINY, WIDE
from triovit.compiler.schedule.synchronize import SEMAPHORE_NAMES
from triovit.hdl.accelerator import Accelerator
from triovit.hdl.config.accelerator import AcceleratorConfig, ConfigurationError
from triovit.hdl.emit.hierarchy import member_ports
from triovit.hdl.generate import emit_accelerator
from triovit.hdl.isa.names import Unit
from triovit.hdl.isa.registers import REGISTER_ADDRESS_BITS, REGISTERS
from triovit.sim.bench import run_bench


def test_bench():
    passed = run_bench(Accelerator(TINY), "tests.hdl.bench_accelerator", name="accelerator")
    assert sorted(passed) == ["compiled_network", "errors", "random_programs", "registers"]


@pytest.mark.parametrize("config", (TINY, WIDE, FOUR), ids=lambda config: config.name)
def test_ports(config):
    top = Accelerator(config, trace=True)
    for master in config.masters:
        port = getattr(top, master)
        assert len(port.rdata) == len(port.wdata) == 8 * config.data_bytes
    assert config.masters == (("m_axi",) if config is not FOUR else ("m_axi0", "m_axi1", "m_axi2", "m_axi3"))
    assert len(top.s_axil.araddr) == REGISTER_ADDRESS_BITS and len(top.interrupt) == 1
    names = {name for name, _, _ in member_ports(top)}
    assert {name.split("_")[1] for name in names if name.endswith("_rlast")} == {m[2:] for m in config.masters}
    units = ("fetch", "load", "store", "rmac", "mat")
    assert {f"trace_{unit}_{event}" for unit in units for event in ("start", "done", "start_index", "done_index")} == {
        name for name in names if name.startswith("trace_")
    }
    assert {name for name, _, _ in member_ports(Accelerator(config))} == {
        n for n in names if not n.startswith("trace_")
    }


def test_the_map_names_units_counters_and_semaphores():
    """What simulators and drivers read beside the Verilog is what the Verilog has."""
    emitted = emit_accelerator(TINY, trace=True)
    table = emitted.map()
    ports = {port["name"] for port in table["ports"]}
    assert {unit["name"]: unit["number"] for unit in table["units"]} == {unit.name.lower(): unit for unit in Unit}
    for unit in table["units"]:
        assert {f"{unit['trace']}_{event}" for event in ("start", "start_index", "done", "done_index")} <= ports
    assert {counter["name"]: counter["offset"] for counter in table["counters"]}.items() < REGISTERS.items()
    assert [counter["number"] for counter in table["counters"]] == list(range(8))
    assert {"giver": "load", "taker": "rmac", "number": 2} in table["semaphores"]
    assert len(table["semaphores"]) == len(SEMAPHORE_NAMES)
    plain = emit_accelerator(TINY).map()
    assert {unit["trace"] for unit in plain["units"]} == {None}
    assert {port["name"] for port in plain["ports"]} == {name for name in ports if not name.startswith("trace_")}


def test_resets():
    """A module has at most one clock and one reset; arrays of registers that need no reset have none."""
    modules = emit_accelerator(TINY).modules
    resets = {}
    for name, record in modules.items():
        ports = [port for port, _, _ in record.ports]
        assert not [port for port in ports if port.endswith(("_clk", "_rst"))], name
        assert "clk" in ports or "rst" not in ports, name  # what is combinational has neither
        resets[record.component] = "rst" in ports
    assert not any(resets[name] for name in ("PostLane", "BankArray", "Rotator", "AdderTree", "NestAddress"))
    assert all(resets[name] for name in ("LoadUnit", "ReadMaster", "Core", "Semaphores", "Controller"))


def test_a_configuration_is_checked():
    with pytest.raises(ConfigurationError, match="block must be 4, 8 or 16, not 5"):
        Accelerator(AcceleratorConfig(block=5))
