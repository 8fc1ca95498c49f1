"""Verilog of a whole accelerator, with AXI names and its configuration in the header."""

from __future__ import annotations

from collections.abc import Sequence

from triovit.hdl.accelerator import Accelerator
from triovit.hdl.compute.engines import Pipeline
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.config.engines import semaphores
from triovit.hdl.emit.verilog import EmittedVerilog, emit_verilog
from triovit.hdl.isa.engines import Engine, counters, trace_port, traced
from triovit.hdl.isa.registers import register_map
from triovit.hdl.technology import TECHNOLOGIES

TOP = "triovit"

# Ways of writing of Yosys' Verilog back end that Verilator's linter remarks on; every other remark is a finding.
LINT_WAIVERS = {
    "WIDTHEXPAND": "constants are written in their least width, operands extend by Verilog's rules",
    "WIDTHTRUNC": "a vector as a condition means any bit",
    "CASEINCOMPLETE": "every case follows a default assignment",
    "CASEOVERLAP": "casez items stand in order of priority",
    "CMPCONST": "range checks that a configuration makes constant",
    "UNSIGNED": "range checks that a configuration makes constant",
    "SYMRSVDWORD": "the port is called interrupt, as AXI tools expect",
}


def unit_tables(config: AcceleratorConfig, engines: Sequence[Engine], *, trace: bool) -> dict:
    """Names and numbers of units, counters and semaphores for the map beside the Verilog.

    units: number in opcodes and events, trace: prefix of the trace ports, null where there are none. counters: number,
    offset of the register. semaphores: number, as programs of this compiler use them (to the machine they are all
    alike).
    """
    offsets = {register.name: register.offset for register in register_map(config, engines)}
    return {
        "units": [
            {"name": unit.name.lower(), "number": int(unit), "trace": trace_port(unit) if trace else None}
            for unit in traced(engines)
        ],
        "counters": [
            {"name": counter.name, "number": number, "offset": offsets[counter.name]}
            for number, counter in enumerate(counters(engines))
        ],
        "semaphores": [
            {"giver": giver.name.lower(), "taker": taker.name.lower(), "number": number}
            for (giver, taker), number in semaphores(engines).items()
        ],
    }


def emit_accelerator(
    config: AcceleratorConfig, pipelines: Sequence[Pipeline] | None = None, *, prefix: str = TOP, trace: bool = False
) -> EmittedVerilog:
    """The accelerator as module `prefix` with `aclk`, `aresetn`, `m_axi_*`, `s_axil_*`; see `hdl.accelerator`.

    pipelines: what its computing units are made of, by default those of the configuration. prefix: name of the top
    module, with which the names of all others begin, those of the hand-written ones too: accelerators of different
    prefixes can stand in one design. trace: with trace ports, which the simulators of `sim.rtl` need. Raises
    ConfigurationError for an impossible configuration, ValueError for a prefix that is no identifier of Verilog.
    """
    accelerator = Accelerator(config, pipelines, trace=trace)
    waivers = [line for name, reason in LINT_WAIVERS.items() for line in (f"{reason}:", f"verilator lint_off {name}")]
    header = [*waivers, f"configuration {config.name}, hash {config.hash:016x}", *config.to_json().splitlines()]
    return emit_verilog(
        accelerator,
        prefix,
        ports={"clk": "aclk", "rst": "aresetn"},
        reset_active_low=True,
        header=header,
        own_names=True,
        tables=unit_tables(config, accelerator.engines, trace=trace),
        technology=TECHNOLOGIES[config.technology],
    )
