"""In the netlist of the Verilog, no output of an AXI port depends on an input within a cycle (IHI 0022, A3.1.1)."""

import json

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from tests.hdl.formal import run_yosys
from tests.sim.configurations import TINY, WIDE
from triovit.hdl.emit.verilog import emit_verilog
from triovit.hdl.generate import emit_accelerator

REGISTERS = {"$dff", "$dffe", "$sdff", "$sdffe", "$sdffce", "$adff", "$adffe", "$aldff", "$aldffe"}


def holds(cell: dict) -> bool:
    """Whether a cell of Yosys keeps its outputs for a cycle. A latch, or a memory read without a clock, does not."""
    clocked = int(cell["parameters"].get("CLK_ENABLE", "0"), 2) if cell["type"].startswith("$memrd") else 0
    return cell["type"] in REGISTERS or bool(clocked)


def combinational_paths(emitted, folder) -> dict[str, set[str]]:
    """Outputs of the top module, with the inputs that each depends on without a register in between."""
    files = " ".join(str(file) for file in emitted.write(folder))
    run_yosys(
        f"""
        tee -q read_verilog {files}
        tee -q hierarchy -check -top {emitted.name}
        tee -q proc
        tee -q flatten
        tee -q opt_clean
        write_json {folder}/netlist.json
        """
    )
    module = json.loads((folder / "netlist.json").read_text())["modules"][emitted.name]
    behind = {}  # bit of a net -> the bits that it depends on
    for cell in module["cells"].values():
        if not holds(cell):
            sides = {"input": [], "output": []}
            for port, bits in cell["connections"].items():
                sides[cell["port_directions"][port]] += bits
            behind.update(dict.fromkeys(sides["output"], sides["input"]))
    ports = module["ports"].items()
    inputs = {bit: name for name, port in ports if port["direction"] == "input" for bit in port["bits"]}
    paths = {}
    for name, port in ports:
        if port["direction"] == "output":
            seen, left = set(), list(port["bits"])
            while left:
                bit = left.pop()
                if bit not in seen:
                    seen.add(bit)
                    left += behind.get(bit, [])
            paths[name] = {inputs[bit] for bit in seen if bit in inputs}
    return paths


@pytest.mark.parametrize("config", (TINY, WIDE), ids=lambda config: config.name)
def test_accelerator(config, tmp_path):
    """Trace ports among them."""
    paths = combinational_paths(emit_accelerator(config, trace=True), tmp_path)
    assert {"interrupt", "s_axil_awready", "m_axi_rready", "m_axi_wvalid", "m_axi_bready"} < paths.keys()
    assert {"trace_store_done", "trace_fetch_start", "trace_rmac_start"} < paths.keys()
    assert not {name: sources for name, sources in paths.items() if sources}


class Paths(wiring.Component):
    """An output behind each kind of thing that an input can pass, or cannot."""

    select: In(1)
    address: In(2)
    data: In(4)
    gated: Out(4)
    read: Out(4)
    stored: Out(4)
    clocked: Out(4)
    constant: Out(1)

    def elaborate(self, platform):
        m = Module()
        m.submodules.inner = inner = Module()
        value = Signal(4)
        inner.d.comb += value.eq(self.data + 1)
        with m.If(self.select):
            m.d.comb += self.gated.eq(value)
        m.d.sync += self.stored.eq(value)
        m.submodules.store = store = memory.Memory(shape=4, depth=4, init=[1, 2, 3])
        now, later, write = store.read_port(domain="comb"), store.read_port(), store.write_port()
        m.d.comb += [port.addr.eq(self.address) for port in (now, later, write)]
        m.d.comb += [write.data.eq(self.data), write.en.eq(self.select), later.en.eq(1)]
        m.d.comb += [self.read.eq(now.data), self.clocked.eq(later.data), self.constant.eq(1)]
        return m


def test_paths_are_found(tmp_path):
    assert combinational_paths(emit_verilog(Paths(), "paths"), tmp_path) == {
        "gated": {"select", "data"},
        "read": {"address"},
        "stored": set(),
        "clocked": set(),
        "constant": set(),
    }
