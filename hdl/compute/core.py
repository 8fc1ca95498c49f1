"""One core: its buffers, the data paths of its engines, the queues of their rows and post-processing.

A core decides nothing: all control comes from the pipelines' controls, `ResultControl` and `ComputeUnits`, which drive
every core alike, and passes a register in the core first.
"""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from triovit.hdl.aux.post_processing import PostProcessing
from triovit.hdl.compute.engines import Pipeline, computing, pipelines_of
from triovit.hdl.compute.pins import ReadPins, ReadPinsInterface, WritePins, WritePinsInterface
from triovit.hdl.compute.ports import (
    OperandsInterface,
    by_name,
    members_of,
    operands,
    row_layout,
    words,
)
from triovit.hdl.compute.results import post_control, row_control
from triovit.hdl.compute.row_queue import RowQueue
from triovit.hdl.compute.timing import PINS
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.config.buffers import Banks, buffers
from triovit.hdl.delay_line import delayed
from triovit.hdl.dma.ports import beat_words
from triovit.hdl.integrity.alarms import ALARMS, alarm
from triovit.hdl.isa.engines import Space
from triovit.hdl.isa.layouts import RECORD_LAYOUT
from triovit.hdl.isa.names import Storage
from triovit.hdl.memory.bank_array import BankArray
from triovit.hdl.memory.column_memory import ColumnMemory
from triovit.hdl.memory.ram import Ram
from triovit.hdl.memory.rotator import Rotator


def bank_array(shape: Banks, config: AcceleratorConfig) -> BankArray:
    """The memory of a row of the table of buffers."""
    return BankArray(shape.words, shape.banks, shape.word_bits, shape.write_width, secded=config.integrity)


class Core(wiring.Component):
    """Data path of a core.

    A core that does not take part holds the registers behind its inputs, and with them all that follows: nothing is
    written, and nothing changes, until it takes part again. Its buffers keep nothing.

    Parameters: config; pipelines: by default those of the configuration.
    Members, all but `o_data` for a register in the core:
      active (In, 1): it takes part; changed only while no unit is at work.
      a, o (In, ReadPins), k (In, ReadPins): reads of the core's buffers. shared (In, operands of B and C), p (In, 16
      words): outputs of the buffers that cores share.
      write_a, write_o, write_k, write_codes (In, WritePins): a word of each port is the result, or LOAD's, which `load`
      (In, beat words) has in the order of banks.
      paths (In, the control of each pipeline). row (In, row_control), post (In, post_control).
      o_data (Out, banks of O): O's output, `BankArray.latency` + 1 cycles after `o`, for STORE.
      alarms (Out, ALARMS), with `integrity` only: of its buffers and row queues, registers.
    """

    active: Signal
    a: ReadPinsInterface
    o: ReadPinsInterface
    k: ReadPinsInterface
    write_a: WritePinsInterface
    write_o: WritePinsInterface
    write_k: WritePinsInterface
    write_codes: WritePinsInterface
    load: data.View
    shared: OperandsInterface
    p: data.View
    paths: wiring.PureInterface
    row: data.View
    post: data.View
    o_data: data.View
    alarms: data.View

    def __init__(self, config: AcceleratorConfig, pipelines: Sequence[Pipeline] | None = None):
        self.config = config
        self.pipelines = pipelines_of(config) if pipelines is None else pipelines
        self._paths = [pipeline.path(config) for pipeline in self.pipelines]
        shapes, units = buffers(config), len(computing(self.pipelines))
        self._active = Signal(name="active_1", reset_less=True)
        super().__init__(
            {
                "active": In(1),
                "a": In(ReadPins(shapes[Space.A])),
                "o": In(ReadPins(shapes[Space.O])),
                "k": In(ReadPins(shapes[Space.K])),
                "write_a": In(WritePins(shapes[Space.A])),
                "write_o": In(WritePins(shapes[Space.O])),
                "write_k": In(WritePins(shapes[Space.K])),
                "write_codes": In(WritePins(shapes[Space.DIVISOR])),
                "load": In(beat_words(config)),
                "shared": In(operands(config, (Space.B, Space.C))),
                "p": In(words(config, shapes[Space.P].banks)),
                "paths": In(
                    wiring.Signature(
                        {
                            pipeline.name: Out(path.control.shape())
                            for pipeline, path in zip(self.pipelines, self._paths, strict=True)
                        }
                    )
                ),
                "row": In(row_control(units)),
                "post": In(post_control(units)),
                "o_data": Out(words(config, shapes[Space.O].banks)),
                **({"alarms": Out(ALARMS)} if config.integrity else {}),
            }
        )

    def elaborate(self, platform):
        m = Module()
        shapes, integrity = buffers(self.config), self.config.integrity
        of_k, of_codes = shapes[Space.K], shapes[Space.DIVISOR]
        m.submodules.a = a = bank_array(shapes[Space.A], self.config)
        m.submodules.o = o = bank_array(shapes[Space.O], self.config)
        m.submodules.k = k = ColumnMemory(of_k.words, of_k.banks, self.config.block, of_k.style, parity=integrity)
        m.submodules.codes = codes = Ram(of_codes.word_bits + integrity, of_codes.words, "distributed")
        m.d.sync += self._active.eq(self.active)
        outputs = self._build_reads(m, a, o, k)
        rows = self._build_paths(m, outputs)
        result = self._build_results(m, rows, outputs["o"], codes)
        self._build_writes(m, result, a, o, k, codes)
        if integrity:
            self._build_alarms(m, rows, a, o, k, codes)
        return m

    def _register(self, m, value, name: str, reset: bool = False):
        """The register of the core behind one of its inputs, which holds while the core does not take part."""
        register = Signal(value.shape(), name=f"{name}_1", reset_less=not reset)
        with m.If(self._active):
            m.d.sync += register.eq(value)
        return register

    def _build_reads(self, m, a, o, k) -> dict:
        """The core's buffers up to the operands that pipelines see, by their names there."""
        shifts = {}
        for name, port, memory in (("a", self.a, a), ("o", self.o, o)):
            m.d.comb += [
                memory.read_en.eq(self._register(m, port.enables, f"{name}_enables")),
                memory.read_rows.eq(self._register(m, port.rows, f"{name}_rows")),
            ]
            shift = self._register(m, port.shift, f"{name}_shift_at_pins")
            shifts[name] = delayed(m, shift, memory.latency, f"{name}_shift")[-1]
        m.d.comb += [
            k.read_en.eq(self._register(m, self.k.enables[0], "k_en")),
            k.read_row.eq(self._register(m, self.k.rows[0], "k_row")),
        ]
        if self.config.integrity:
            m.d.comb += k.used.eq(self._register(m, self.k.enables, "k_used"))
        m.submodules.rotator = rotator = Rotator(self.config.block, 8 * self.config.block)
        word = Signal(words(self.config, 1))
        m.d.comb += [
            rotator.i.eq(a.read_data),
            rotator.shift.eq(shifts["a"]),
            word[0].eq(o.read_data[shifts["o"]]),
            self.o_data.eq(o.read_data),
        ]
        shared = {name: self._register(m, value, f"shared_{name}") for name, value in by_name(self.shared).items()}
        return {"a": rotator.o, "o": word, "k": k.read_data, **shared}

    def _build_paths(self, m, outputs) -> list:
        """The engines behind the buffers, with a queue for each unit's rows; returns the queues."""
        queues = []
        for pipeline, path, control in zip(self.pipelines, self._paths, members_of(self.paths), strict=True):
            m.submodules[pipeline.name] = path
            m.d.comb += path.control.eq(self._register(m, control, f"{pipeline.name}_control", reset=True))
            m.d.comb += [target.eq(outputs[name]) for name, target in by_name(path.operands).items()]
            for engine, row in zip(pipeline.engines, path.rows, strict=True):
                m.submodules[f"{engine.unit.name.lower()}_rows"] = queue = RowQueue(self.config)
                m.d.comb += [queue.i.valid.eq(row.valid), queue.i.acc.eq(row.acc)]
                queues.append(queue)
        return queues

    def _build_results(self, m, queues, o_word, codes):
        """A row of psums meets its records, residual operand and divisor code; returns the result."""
        block = self.config.block
        m.submodules.post = post = PostProcessing(block, self.config.accumulator_bits)
        row = self._register(m, self.row, "row", reset=True)
        control = self._register(m, self.post, "control")
        acc = Signal(row_layout(self.config))
        with m.Switch(control.unit):
            for number, queue in enumerate(queues):
                m.d.comb += queue.take.eq(row.take[number])
                with m.Case(number):
                    m.d.comb += acc.eq(queue.o)
        records = data.View(data.ArrayLayout(RECORD_LAYOUT, block), self._register(m, self.p.as_value(), "records"))
        m.d.comb += [
            codes.read_en.eq(row.code_en),
            codes.read_address.eq(row.code_address),
            post.i.acc.eq(acc),
            post.i.parameters.eq(records),
            post.i.residual.eq(self._register(m, o_word.as_value(), "residual")),
            post.i.code.eq(codes.read_data[: len(post.i.code)]),
            post.i.mode.eq(control.mode),
            post.i.fraction_bits.eq(control.fraction_bits),
            post.i.use_residual.eq(control.use_residual),
            post.i.log2_offset.eq(control.log2_offset),
            post.i.high_byte.eq(control.high_byte),
        ]
        return post.o

    def _build_writes(self, m, result, a, o, k, codes):
        """Write ports: each word of a port is the result or LOAD's."""
        load = self._register(m, self.load, "load")
        pins = {
            name: (
                self._register(m, port.enables, f"write_{name}_enables", reset=True),
                self._register(m, port.rows, f"write_{name}_rows"),
            )
            for name, port in (
                ("a", self.write_a),
                ("o", self.write_o),
                ("k", self.write_k),
                ("codes", self.write_codes),
            )
        }
        for name, port, memory in (("a", self.write_a, a), ("o", self.write_o, o)):
            from_result = self._register(m, port.from_result, f"write_{name}_from_result")
            m.d.comb += [memory.write_en.eq(pins[name][0]), memory.write_rows.eq(pins[name][1])]
            m.d.comb += [
                memory.write_data[lane].eq(Mux(from_result, result.as_value(), load[lane]))
                for lane in range(len(memory.write_data))
            ]
        m.d.comb += [
            k.write_en.eq(pins["k"][0]),
            k.write_row.eq(pins["k"][1][0]),
            k.write_data.eq(result),
            codes.write_en.eq(pins["codes"][0][0]),
            codes.write_address.eq(pins["codes"][1][0]),
            codes.write_data.eq(self._coded(result[0][:4]) if self.config.integrity else result[0]),
        ]

    @staticmethod
    def _coded(code):
        """A divisor code with its parity bit."""
        return Cat(code, code.xor())

    def _build_alarms(self, m, queues, a, o, k, codes):
        """Words of the core's memories that have changed. A divisor code is read only if it is used."""
        code_read = delayed(m, codes.read_en, 1, "code_read", reset=True)[-1]
        alarms, assignments = alarm(
            corrected=a.corrected | o.corrected,
            failed={
                Storage.A: a.failed,
                Storage.O: o.failed,
                Storage.K: k.failed,
                Storage.DIVISOR: code_read & codes.read_data.xor(),
            },
            queues={
                engine.unit: queue.damaged for engine, queue in zip(computing(self.pipelines), queues, strict=True)
            },
        )
        m.d.comb += assignments
        # A core that stands still may read what it never wrote.
        m.d.sync += self.alarms.eq(Mux(self._active, alarms.as_value(), 0))


assert PINS == 2  # a register of addresses before the core, and the core's own
