"""Control and status registers behind AXI4-Lite."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from triovit.hdl.bus.axi4 import AXI4LiteSignature
from triovit.hdl.bus.axi_lite import AXI4LiteSlave
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.control.errors import ERROR_CODE_BITS
from triovit.hdl.isa.registers import COUNTERS, REGISTER_ADDRESS_BITS, REGISTERS, register_map

__all__ = ["REGISTERS", "RegisterFile"]


class RegisterFile(wiring.Component):
    """The registers of `register_map`.

    Parameters
    ----------
    config : AcceleratorConfig
        Gives the constants.

    Members
    -------
    s_axil : In(AXI4LiteSignature(12))
    start, soft_reset, acknowledge_done, acknowledge_interrupt : Out(1)
        A 1 is written to CONTROL.start, CONTROL.soft_reset, STATUS.done, STATUS.interrupt (one cycle).
    interrupt_enable : Out(1); program_offset, program_bytes, memory_size, core_stride, watchdog : Out(32);
    memory_base : Out(64)
        Contents.
    busy, done, error, interrupt : In(1), error_code : In(4), error_index : In(32), cycles : In(64)
    load_busy, store_busy, rmac_busy, mat_busy, rmac_stall, mat_stall, beats_read, beats_written : In(32)
        What the read-only registers show.

    Responses: SLVERR, without any effect, for an offset that has no register (reads give 0), for a write to a register
    with nothing to write, and for a write to a locked register while busy. Byte strobes are honoured.

    Latency: 1 cycle from an access to its response.

    Source: ours.
    """

    latency = 1

    def __init__(self, config: AcceleratorConfig):
        self.config = config.validate()
        words = ("program_offset", "program_bytes", "memory_size", "core_stride", "watchdog")
        super().__init__(
            {
                "s_axil": In(AXI4LiteSignature(REGISTER_ADDRESS_BITS)),
                **{name: Out(1) for name in ("start", "soft_reset", "acknowledge_done", "acknowledge_interrupt")},
                "interrupt_enable": Out(1),
                **{name: Out(32) for name in words},
                "memory_base": Out(64),
                **{name: In(1) for name in ("busy", "done", "error", "interrupt")},
                "error_code": In(ERROR_CODE_BITS),
                "error_index": In(32),
                "cycles": In(64),
                **{name.lower(): In(32) for name, _ in COUNTERS},
            }
        )

    def _state(self, cycles_high) -> dict:
        """What fields of kind ro and w1c show, by (register, field); the others are constants."""
        shown = {("STATUS", name): getattr(self, name) for name in ("busy", "done", "error", "interrupt")}
        words = {"ERROR": self.error_code, "ERROR_INDEX": self.error_index, "CYCLES_LO": self.cycles[:32]}
        words |= {"CYCLES_HI": cycles_high, **{name: getattr(self, name.lower()) for name, _ in COUNTERS}}
        return shown | {(name, "value"): value for name, value in words.items()}

    def _targets(self) -> dict:
        """Outputs behind writable fields, by (register, field)."""
        words = {
            name.upper(): getattr(self, name)
            for name in ("program_offset", "program_bytes", "memory_size", "core_stride", "watchdog")
        }
        words |= {"MEMORY_BASE_LO": self.memory_base[12:32], "MEMORY_BASE_HI": self.memory_base[32:]}
        return {
            **{(name, "value"): signal for name, signal in words.items()},
            ("CONTROL", "interrupt_enable"): self.interrupt_enable,
            ("CONTROL", "start"): self.start,
            ("CONTROL", "soft_reset"): self.soft_reset,
            ("STATUS", "done"): self.acknowledge_done,
            ("STATUS", "interrupt"): self.acknowledge_interrupt,
        }

    def elaborate(self, platform):
        m = Module()
        m.submodules.slave = slave = AXI4LiteSlave(REGISTER_ADDRESS_BITS)
        connect(m, flipped(self.s_axil), slave.axil)
        cycles_high = Signal(32)
        state, targets = self._state(cycles_high), self._targets()
        registers = register_map(self.config)
        lanes = Cat(strobe.replicate(8) for strobe in slave.write_strobes)

        kept = {}
        for register in registers:
            for field in register.fields:
                if field.access == "rw":
                    key = (register.name, field.name)
                    kept[key] = value = Signal(field.width, init=field.reset, name=f"{register.name}_{field.name}")
                    m.d.comb += targets[key].eq(value)

        m.d.comb += [slave.write_error.eq(1), slave.read_error.eq(1)]
        with m.Switch(slave.write_address):
            for register in registers:
                if not register.writable:
                    continue
                with m.Case(register.offset):
                    allowed = ~self.busy if register.locked else 1
                    m.d.comb += slave.write_error.eq(~allowed if register.locked else 0)
                    with m.If(slave.write & allowed):
                        for field in register.fields:
                            bits = slice(field.low, field.low + field.width)
                            new, mask = slave.write_data[bits], lanes[bits]
                            key = (register.name, field.name)
                            if field.access == "rw":
                                m.d.sync += kept[key].eq((kept[key] & ~mask) | (new & mask))
                            elif field.access != "ro":
                                m.d.comb += targets[key].eq(new & mask)
        with m.Switch(slave.read_address):
            for register in registers:
                with m.Case(register.offset):
                    m.d.comb += slave.read_error.eq(0)
                    for field in register.fields:
                        key = (register.name, field.name)
                        value = kept.get(key, state.get(key, field.reset))
                        if field.access != "w1":
                            m.d.comb += slave.read_data[field.low : field.low + field.width].eq(value)
                    if register.name == "CYCLES_LO":
                        with m.If(slave.read):
                            m.d.sync += cycles_high.eq(self.cycles[32:])
        return m
