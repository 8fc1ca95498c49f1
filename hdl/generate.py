"""Verilog of a whole accelerator, with AXI names and its configuration in the header."""

from __future__ import annotations

from triovit.hdl.accelerator import Accelerator
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.emit.verilog import EmittedVerilog, emit_verilog

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


def emit_accelerator(config: AcceleratorConfig) -> EmittedVerilog:
    """The accelerator as module `triovit` with `aclk`, `aresetn`, `m_axi_*`, `s_axil_*`; see `hdl.accelerator`.

    Raises ConfigurationError for an impossible configuration.
    """
    config.validate()
    waivers = [line for name, reason in LINT_WAIVERS.items() for line in (f"{reason}:", f"verilator lint_off {name}")]
    header = [*waivers, f"configuration {config.name}, hash {config.hash:016x}", *config.to_json().splitlines()]
    return emit_verilog(
        Accelerator(config), TOP, ports={"clk": "aclk", "rst": "aresetn"}, reset_active_low=True, header=header
    )
