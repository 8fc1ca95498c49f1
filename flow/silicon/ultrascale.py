"""Timing of the cells that Yosys maps to for UltraScale+ (`synth_xilinx -family xcup`)."""

from __future__ import annotations

import re
from collections.abc import Callable

from triovit.flow.errors import UsageError
from triovit.flow.silicon.arcs import Arcs
from triovit.flow.silicon.delays import Delays, Stage
from triovit.flow.silicon.dsp48 import describe_dsp
from triovit.flow.silicon.netlist import Cell, Module

CLOCK = re.compile(r"CLK")
OUTPUT_OF_BLOCK_RAM = re.compile(r"DOUTP?([AB])DOUT\w*")
OUTPUT_OF_LUT_RAM = re.compile(r"DO[A-H]")


def describe(module: Module, delays: Delays) -> Arcs:
    """Arcs of all cells of a module; raises UsageError for a cell that the model does not know."""
    into = Arcs(module.size)
    for cell in module.cells:
        model = next((model for pattern, model in MODELS.items() if re.fullmatch(pattern, cell.kind)), None)
        if model is None:
            raise UsageError(
                f"the timing model must know every cell: {module.name} holds a {cell.kind} ({cell.name}); its delays "
                "belong into flow/silicon/ultrascale.py"
            )
        model(cell, module, delays, into)
    return into


def _lut(cell: Cell, module: Module, delays: Delays, into: Arcs) -> None:
    inputs = [bit for pin, bits in cell.pins.items() if pin.startswith("I") for bit in bits]
    into.arc(inputs, cell.bits("O"), delays.net + delays.lut, Stage.LUT)


def _multiplexer(cell: Cell, module: Module, delays: Delays, into: Arcs) -> None:
    for pin in ("I0", "I1", "S"):
        into.arc(cell.bits(pin), cell.bits("O"), delays.net + delays.multiplexer, Stage.MULTIPLEXER)


def _register(cell: Cell, module: Module, delays: Delays, into: Arcs) -> None:
    name = module.name_of(cell.bits("Q"), cell)
    into.start(cell.bits("Q"), delays.register_out, name)
    into.end(cell.bits("D"), delays.net + delays.register_setup, name, "D")
    for pin in ("CE", "R", "S"):
        into.end(cell.bits(pin), delays.net + delays.control_setup, name, pin)


def _carry(cell: Cell, module: Module, delays: Delays, into: Arcs) -> None:
    """CARRY4 and CARRY8. A carry that comes from another chain's end (CI) has a wire of its own."""
    sums, carries = cell.bits("O"), cell.bits("CO")
    for pin, net in (("CI", 0.0), ("CYINIT", delays.net), ("CI_TOP", 0.0)):
        for j, (total, carry) in enumerate(zip(sums, carries, strict=True)):
            into.arc(cell.bits(pin), [total], net + j * delays.carry_bit + delays.carry_out, Stage.CARRY)
            into.arc(cell.bits(pin), [carry], net + j * delays.carry_bit, Stage.CARRY)
    for pin in ("S", "DI"):
        for i, bit in enumerate(cell.bits(pin)):
            for j in range(i, len(sums)):
                onto = delays.net + delays.carry_in + (j - i) * delays.carry_bit
                if pin == "S" or j > i:
                    into.arc([bit], [sums[j]], onto + delays.carry_out, Stage.CARRY)
                into.arc([bit], [carries[j]], onto, Stage.CARRY)


def _shift_register(cell: Cell, module: Module, delays: Delays, into: Arcs) -> None:
    outputs = (*cell.bits("Q"), *cell.bits("Q15"), *cell.bits("Q31"))
    name = module.name_of(outputs, cell)
    into.start(outputs, delays.shift_out, name)
    into.end(cell.bits("D"), delays.net + delays.register_setup, name, "D")
    into.end(cell.bits("CE"), delays.net + delays.control_setup, name, "CE")
    for pin, bits in cell.pins.items():
        if re.fullmatch(r"A\d?", pin):
            into.arc(bits, cell.bits("Q"), delays.net + delays.lut, Stage.MEMORY)


def _lut_ram(cell: Cell, module: Module, delays: Delays, into: Arcs) -> None:
    """A read passes through it as through a LUT. DOA and DIA go with ADDRA and so on; all write at the last address."""
    outputs = {pin: bits for pin, bits in cell.pins.items() if OUTPUT_OF_LUT_RAM.fullmatch(pin)}
    name = module.name_of([bit for bits in outputs.values() for bit in bits], cell)
    last = max((pin for pin in cell.pins if pin.startswith("ADDR")), default="")
    for pin, bits in outputs.items():
        into.start(bits, delays.memory_out, name)
        into.arc(cell.bits(f"ADDR{pin[2:]}"), bits, delays.net + delays.lut, Stage.MEMORY)
    for pin, bits in cell.pins.items():
        if pin == last or pin.startswith(("DI", "WE")):
            into.end(bits, delays.net + delays.memory_setup, name, pin)


def _block_ram(cell: Cell, module: Module, delays: Delays, into: Arcs) -> None:
    name = module.name_of((), cell)
    for pin, bits in cell.pins.items():
        if found := OUTPUT_OF_BLOCK_RAM.fullmatch(pin):
            registered = cell.value(f"DO{found[1]}_REG", 1)
            into.start(bits, delays.block_out_registered if registered else delays.block_out, name)
        elif not CLOCK.match(pin):
            into.end(bits, delays.net + delays.block_setup, name, pin)


def _inverter(cell: Cell, module: Module, delays: Delays, into: Arcs) -> None:
    """Becomes a part of what it feeds."""
    into.arc(cell.bits("I"), cell.bits("O"), 0.0, Stage.WIRE)


def _nothing(cell: Cell, module: Module, delays: Delays, into: Arcs) -> None:
    """Cells that no signal passes."""


Model = Callable[[Cell, Module, Delays, Arcs], None]
MODELS: dict[str, Model] = {
    r"LUT[1-6]": _lut,
    r"INV|BUF": _inverter,
    r"MUXF[789]": _multiplexer,
    r"FD[RSCP]E(_1)?": _register,
    r"CARRY[48]": _carry,
    r"SRL16E|SRLC16E|SRLC32E": _shift_register,
    r"RAM32M16|RAM64M8|RAM32M|RAM64M": _lut_ram,
    r"RAMB(18|36)E2": _block_ram,
    r"DSP48E2": describe_dsp,
    r"VCC|GND|\$scopeinfo": _nothing,
}
