"""Write ports of the buffers: results first, else LOAD's beats."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from triovit.hdl.compute.pins import WritePins, WritePinsInterface
from triovit.hdl.compute.results import WRITES
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.config.buffers import SHARED, Banks, buffers
from triovit.hdl.delay_line import delayed
from triovit.hdl.dma.ports import BufferWrite, WriteInterface, bus_words, port_beats
from triovit.hdl.isa.engines import Space
from triovit.hdl.isa.names import Buffer, Destination
from triovit.hdl.memory.bank_select import BankSelect
from triovit.hdl.memory.rotator import Rotator, Towards
from triovit.hdl.memory.write_select import WriteSelect


class CorePinsInterface(wiring.PureInterface):
    """Members of `core_pins`."""

    a: WritePinsInterface
    o: WritePinsInterface
    k: WritePinsInterface
    codes: WritePinsInterface


def core_pins(config: AcceleratorConfig) -> wiring.Signature:
    """Write ports of a core's buffers; Out at who writes."""
    shapes = buffers(config)
    return wiring.Signature(
        {
            "a": Out(WritePins(shapes[Space.A])),
            "o": Out(WritePins(shapes[Space.O])),
            "k": Out(WritePins(shapes[Space.K])),
            "codes": Out(WritePins(shapes[Space.DIVISOR])),
        }
    )


class WritePorts(wiring.Component):
    """Takes a result for every core, or a beat of LOAD, to the pins of the buffers.

    Parameters: config.
    Members:
      results (In, WRITES): two cycles before the result is at the write ports. load (In, BufferWrite): refused only
      while a result is going to the same buffer.
      cores (Out, pins of each core), b, c, p (Out, WritePins), port_data (Out, port_beats), shared_data (Out,
      bus_words): a cycle later; a register in each core, or in front of the shared buffers, follows. The data are in
      the order of banks: for cores each port's beat, for the shared buffers those of all ports.
    Latency: 1 cycle.
    """

    results: data.View
    load: WriteInterface
    cores: list[CorePinsInterface]
    b: WritePinsInterface
    c: WritePinsInterface
    p: WritePinsInterface
    port_data: data.View
    shared_data: data.View

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        shapes = buffers(config)
        super().__init__(
            {
                "results": In(WRITES),
                "load": In(BufferWrite(config)),
                "cores": Out(core_pins(config)).array(config.cores),
                **{space.value.lower(): Out(WritePins(shapes[space])) for space in SHARED},
                "port_data": Out(port_beats(config)),
                "shared_data": Out(bus_words(config)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, shapes, load = self.config, buffers(self.config), self.load
        result_to = {space: self.results.destination[Destination[space.name].position] for space in (Space.A, Space.O)}
        blocked = ((load.buffer == Buffer.A) & result_to[Space.A]) | ((load.buffer == Buffer.O) & result_to[Space.O])
        m.d.comb += load.ready.eq(~blocked)
        # The words in the order of banks.
        shared = self._rotated(m, "rotator", load.data, config.bus_words)
        m.d.comb += self.shared_data.eq(shared)
        for port in range(config.ports):
            alone = shared
            if config.ports > 1:
                alone = self._rotated(m, f"rotator{port}", load.data[port], config.beat_words)
            m.d.comb += self.port_data[port].eq(alone)
        accepted = delayed(m, load.valid & load.ready, 1, "accepted", reset=True)[-1]
        buffer, core, address, mask = (
            delayed(m, getattr(load, name), 1, name)[-1] for name in ("buffer", "core", "address", "mask")
        )
        result = Signal(WRITES)
        m.d.comb += [
            result.eq(delayed(m, self.results.as_value(), 1, "result")[-1]),
            result.destination.eq(delayed(m, self.results.destination, 1, "destination", reset=True)[-1]),
        ]
        for space in (Space.A, Space.O):
            shape, name = shapes[space], space.value.lower()
            m.submodules[f"{name}_select"] = select = WriteSelect(
                shape.words, shape.banks, config.beat_words, config.port_cores
            )
            m.d.comb += [
                select.result_en.eq(result.destination[Destination[space.name].position]),
                select.result_address.eq(result.out),
                select.load_en.eq(accepted & (buffer == Buffer[space.name])),
                select.load_core.eq(core),
                select.load_address.eq(address),
                select.load_mask.eq(mask[: config.beat_words]),
            ]
            for number, pins in enumerate(self.cores):
                port = getattr(pins, name)
                m.d.comb += [
                    port.enables.eq(select.enables[number % config.port_cores]),
                    port.rows.eq(select.rows),
                    port.from_result.eq(select.from_result),
                ]
        for space in SHARED:
            shape, name = shapes[space], space.value.lower()
            m.submodules[f"{name}_select"] = select = BankSelect(shape.words, shape.banks, config.bus_words)
            port = getattr(self, name)
            m.d.comb += [
                select.address.eq(address),
                select.mask.eq(Mux(accepted & (buffer == Buffer[space.name]), mask, 0)),
                port.enables.eq(select.enables),
                port.rows.eq(select.rows),
            ]
        for pins in self.cores:
            self._one_word(m, pins.k, shapes[Space.K], result.destination[Destination.K.position], result.attention)
            to_codes = result.destination[Destination.DIVISOR.position]
            self._one_word(m, pins.codes, shapes[Space.DIVISOR], to_codes, result.pixel)
        return m

    def _rotated(self, m, name: str, words, count: int):
        """Words of a LOAD in the order of banks, a cycle later."""
        m.submodules[name] = rotator = Rotator(count, 8 * self.config.block, Towards.BANKS)
        m.d.comb += [
            rotator.i.as_value().eq(words),
            rotator.shift.eq(self.load.address[: len(rotator.shift)]),
        ]
        return delayed(m, rotator.o, 1, f"{name}_data")[-1]

    @staticmethod
    def _one_word(m, port, shape: Banks, en, address):
        """A result that goes to one bank."""
        bits = len(port.enables).bit_length() - 1
        m.d.comb += [
            port.enables.eq(Mux(en, 1 << address[:bits], 0)),
            *(port.rows[bank].eq(address[bits:]) for bank in range(shape.banks)),
            port.from_result.eq(1),
        ]
