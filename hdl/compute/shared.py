"""Buffers that all cores share: weights and post-processing records."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from triovit.hdl.compute.core import bank_array
from triovit.hdl.compute.pins import ReadPins, ReadPinsInterface, WritePins, WritePinsInterface
from triovit.hdl.compute.ports import OperandsInterface, operands, tile_layout, words
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.config.buffers import buffers
from triovit.hdl.delay_line import delayed
from triovit.hdl.dma.ports import bus_words
from triovit.hdl.integrity.alarms import ALARMS, alarm
from triovit.hdl.isa.engines import Space
from triovit.hdl.isa.names import Storage


class SharedBuffers(wiring.Component):
    """Buffers B, C and P, and the skew of the weights, once for all cores.

    Parameters: config.
    Members:
      b, c (In, ReadPins): reads in S1. p_en, p_block (In): records of a channel block, in S0.
      write_b, write_c, write_p (In, WritePins), load (In, bus_words in the order of banks): before a register here.
      operands (Out, operands of B and C), records (Out, words): `READ` cycles after S0; a register in each core is to
      follow. Byte m of the weights' words comes m cycles later, but not of `b_word`.
      alarms (Out, ALARMS), with `integrity` only: of B, C and P, registers.
    """

    b: ReadPinsInterface
    c: ReadPinsInterface
    p_en: Signal
    p_block: Signal
    write_b: WritePinsInterface
    write_c: WritePinsInterface
    write_p: WritePinsInterface
    load: data.View
    operands: OperandsInterface
    records: data.View
    alarms: data.View

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        shapes = buffers(config)
        super().__init__(
            {
                "b": In(ReadPins(shapes[Space.B])),
                "c": In(ReadPins(shapes[Space.C])),
                "p_en": In(1),
                "p_block": In(13),
                "write_b": In(WritePins(shapes[Space.B])),
                "write_c": In(WritePins(shapes[Space.C])),
                "write_p": In(WritePins(shapes[Space.P])),
                "load": In(bus_words(config)),
                "operands": Out(operands(config, (Space.B, Space.C))),
                "records": Out(words(config, shapes[Space.P].banks)),
                **({"alarms": Out(ALARMS)} if config.integrity else {}),
            }
        )

    def elaborate(self, platform):
        m = Module()
        block, shapes = self.config.block, buffers(self.config)
        load = delayed(m, self.load, 1, "load")[-1]
        memories = {}
        for name, space in (("b", Space.B), ("c", Space.C), ("p", Space.P)):
            m.submodules[name] = memories[name] = memory = bank_array(shapes[space], self.config)
            pins = getattr(self, f"write_{name}")
            m.d.comb += [
                memory.write_en.eq(delayed(m, pins.enables, 1, f"write_{name}_enables", reset=True)[-1]),
                memory.write_rows.eq(delayed(m, pins.rows, 1, f"write_{name}_rows")[-1]),
                memory.write_data.eq(load),
            ]
        for name in ("b", "c"):
            pins, memory = getattr(self, name), memories[name]
            m.d.comb += [
                memory.read_en.eq(delayed(m, pins.enables, 1, f"{name}_enables")[-1]),
                memory.read_rows.eq(delayed(m, pins.rows, 1, f"{name}_rows")[-1]),
            ]
            tile = data.View(tile_layout(block), memory.read_data.as_value())
            skewed = getattr(self.operands, name)
            for lane in range(block):
                for column in range(block):
                    byte = delayed(m, tile[lane][column], column, f"{name}_{lane}_{column}")[-1]
                    m.d.comb += skewed[lane][column].eq(byte)
        shift = delayed(m, self.b.shift, 1 + memories["b"].latency, "b_shift")[-1]
        p, row = memories["p"], self.p_block[: len(memories["p"].read_rows[0])]
        m.d.comb += [
            self.operands.b_word[0].eq(memories["b"].read_data[shift]),
            p.read_en.eq(delayed(m, self.p_en, 2, "p_en", reset=True)[-1].replicate(shapes[Space.P].banks)),
            *(p.read_rows[bank].eq(delayed(m, row, 2, f"p_row_{bank}")[-1]) for bank in range(shapes[Space.P].banks)),
            self.records.eq(p.read_data),
        ]
        if self.config.integrity:
            alarms, assignments = alarm(
                corrected=Cat(memory.corrected for memory in memories.values()).any(),
                failed={Storage[name.upper()]: memory.failed for name, memory in memories.items()},
            )
            m.d.comb += assignments
            m.d.sync += self.alarms.eq(alarms)
        return m
