"""Control and status registers behind AXI4-Lite."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from triovit.hdl.bus.axi4 import AXI4LiteInterface, AXI4LiteSignature
from triovit.hdl.bus.axi_lite import AXI4LiteSlave
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.config.engines import engines_of
from triovit.hdl.control.ports import CommandInterface, Commands, MemoryInterface, MemoryWindow, Status, StatusInterface
from triovit.hdl.isa.engines import Engine, counters
from triovit.hdl.isa.registers import REGISTER_ADDRESS_BITS, register_map


class RegisterFile(wiring.Component):
    """The registers of `register_map`.

    Parameters
    ----------
    config : AcceleratorConfig
        Gives the constants.
    engines : units that have counters; by default those of the configuration

    Members
    -------
    s_axil : In(AXI4LiteSignature(12))
    commands : Out(Commands())
        start, soft_reset, acknowledge_done, acknowledge_interrupt: a 1 is written to CONTROL.start, CONTROL.soft_reset,
        STATUS.done, STATUS.interrupt (one cycle, the one after the write). interrupt_enable, watchdog: contents.
    memory : Out(MemoryWindow(ports)); program_offset, program_bytes, core_stride : Out(32)
        Contents. A port's base is settled as many cycles after a write as the port's number.
    core_mask : Out(64)
        Cores that take part; bit 0 is always set, the bits of cores that there are not count for nothing.
    corrected : In(32), with `integrity` only
        What CORRECTED shows.
    status : In(Status()), cycles : In(64), counts : In(32).array(number of counters)
        What the read-only registers show.

    Responses: SLVERR, without any effect, for an offset that has no register (reads give 0), for a write to a register
    with nothing to write, and for a write to a locked register while busy. Byte strobes are honoured.

    Latency: 2 cycles from the transfer of an access to its response, see `AXI4LiteSlave`.

    Source: ours.
    """

    s_axil: AXI4LiteInterface
    commands: CommandInterface
    memory: MemoryInterface
    program_offset: Signal
    program_bytes: Signal
    core_stride: Signal
    core_mask: Signal
    status: StatusInterface
    cycles: Signal
    counts: list[Signal]
    corrected: Signal

    latency = AXI4LiteSlave.latency

    def __init__(self, config: AcceleratorConfig, engines: Sequence[Engine] | None = None):
        self.config = config.validate()
        self.engines = engines_of(config) if engines is None else engines
        self.counters = counters(self.engines)
        self._port_stride = Signal(32, name="port_stride")
        super().__init__(
            {
                "s_axil": In(AXI4LiteSignature(REGISTER_ADDRESS_BITS)),
                "commands": Out(Commands()),
                "memory": Out(MemoryWindow(config.ports)),
                "program_offset": Out(32),
                "program_bytes": Out(32),
                "core_stride": Out(32),
                "core_mask": Out(64, init=1),
                "status": In(Status(config.integrity)),
                "cycles": In(64),
                "counts": In(32).array(len(self.counters)),
                **({"corrected": In(32)} if config.integrity else {}),
            }
        )

    def _state(self, cycles_high) -> dict:
        """What fields of kind ro and w1c show, by (register, field); the others are constants."""
        status = self.status
        integrity = {}
        if self.config.integrity:
            integrity = {("ERROR", "place"): status.error_place, ("CORRECTED", "value"): self.corrected}
        words = {
            "ERROR_INDEX": status.error_index,
            "CYCLES_LO": self.cycles[:32],
            "CYCLES_HI": cycles_high,
            **{counter.name: count for counter, count in zip(self.counters, self.counts, strict=True)},
        }
        return {
            **integrity,
            ("ERROR", "code" if integrity else "value"): status.error_code,
            ("STATUS", "busy"): status.busy,
            ("STATUS", "done"): status.done,
            ("STATUS", "error"): status.error,
            ("STATUS", "interrupt"): status.interrupt,
            ("STATUS", "bursts"): status.bursts,
            **{(name, "value"): value for name, value in words.items()},
        }

    def _targets(self) -> dict:
        """Outputs behind writable fields, by (register, field)."""
        commands = self.commands
        words = {
            "PROGRAM_OFFSET": self.program_offset,
            "PROGRAM_BYTES": self.program_bytes,
            "MEMORY_BASE_LO": self.memory.base[0][12:32],
            "MEMORY_BASE_HI": self.memory.base[0][32:],
            "MEMORY_SIZE": self.memory.size,
            "CORE_STRIDE": self.core_stride,
            "PORT_STRIDE": self._port_stride[12:],
            "WATCHDOG": commands.watchdog,
            "CORE_MASK_HI": self.core_mask[32:],
        }
        return {
            **{(name, "value"): signal for name, signal in words.items()},
            ("CORE_MASK_LO", "others"): self.core_mask[1:32],
            ("CONTROL", "interrupt_enable"): commands.interrupt_enable,
            ("CONTROL", "start"): commands.start,
            ("CONTROL", "soft_reset"): commands.soft_reset,
            ("STATUS", "done"): commands.acknowledge_done,
            ("STATUS", "interrupt"): commands.acknowledge_interrupt,
        }

    def elaborate(self, platform):
        m = Module()
        m.submodules.slave = slave = AXI4LiteSlave(REGISTER_ADDRESS_BITS)
        connect(m, flipped(self.s_axil), slave.axil)
        cycles_high = Signal(32)
        state, targets = self._state(cycles_high), self._targets()
        registers = register_map(self.config, self.engines)
        lanes = Cat(strobe.replicate(8) for strobe in slave.write_strobes)

        m.d.comb += self.core_mask[0].eq(1)
        # The bases of further ports, each from the one before.
        page = self.memory.base[0][12:]
        for port in range(1, self.config.ports):
            following = Signal.like(page, name=f"base_{port}")
            m.d.sync += following.eq(page + self._port_stride[12:])
            m.d.comb += self.memory.base[port][12:].eq(following)
            page = following

        kept = {}
        for register in registers:
            for field in register.fields:
                if field.access == "rw":
                    key = (register.name, field.name)
                    kept[key] = value = Signal(field.width, init=field.reset, name=f"{register.name}_{field.name}")
                    m.d.comb += targets[key].eq(value)
                elif field.access != "ro":
                    m.d.sync += targets[register.name, field.name].eq(0)

        m.d.comb += [slave.write_error.eq(1), slave.read_error.eq(1)]
        with m.Switch(slave.write_address):
            for register in registers:
                if not register.writable:
                    continue
                with m.Case(register.offset):
                    allowed = ~self.status.busy if register.locked else 1
                    m.d.comb += slave.write_error.eq(~allowed if register.locked else 0)
                    with m.If(slave.write & allowed):
                        for field in register.fields:
                            bits = slice(field.low, field.low + field.width)
                            new, mask = slave.write_data[bits], lanes[bits]
                            key = (register.name, field.name)
                            if field.access == "rw":
                                m.d.sync += kept[key].eq((kept[key] & ~mask) | (new & mask))
                            elif field.access != "ro":
                                m.d.sync += targets[key].eq(new & mask)
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
