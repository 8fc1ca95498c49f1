"""Verilog of a whole accelerator, with AXI names and its configuration in the header."""

from __future__ import annotations

from hdl.accelerator import Accelerator
from hdl.config import AcceleratorConfig
from hdl.emit import EmittedVerilog, emit_verilog

TOP = "triovit"


def emit_accelerator(config: AcceleratorConfig) -> EmittedVerilog:
    """The accelerator as module `triovit` with `aclk`, `aresetn`, `m_axi_*`, `s_axil_*`; see `hdl.accelerator`.

    Raises ConfigurationError for an impossible configuration.
    """
    config.validate()
    header = [f"configuration {config.name}, hash {config.hash:016x}", *config.to_json().splitlines()]
    return emit_verilog(Accelerator(config), TOP, ports={"clk": "aclk", "rst": "aresetn"}, reset_active_low=True, header=header)
