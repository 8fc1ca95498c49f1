"""One core: its buffers, the data paths of its engines and the post-processing pipeline.

A core decides nothing: all control comes from the pipelines' controls and `ResultControl`, which drive every core
alike.
"""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from triovit.hdl.aux.post_processing import PostProcessing
from triovit.hdl.compute.engines import Pipeline, pipelines_of
from triovit.hdl.compute.ports import OperandsInterface, RowInterface, RowOffer, by_space, members_of, operands, words
from triovit.hdl.compute.results import result_control
from triovit.hdl.compute.steps import WORD_ADDRESS_BITS
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.config.buffers import buffers
from triovit.hdl.dma.ports import beat_words
from triovit.hdl.dma.runs import LOCAL_BITS
from triovit.hdl.isa.engines import Space
from triovit.hdl.isa.layouts import RECORD_LAYOUT
from triovit.hdl.isa.names import Destination
from triovit.hdl.memory.banked import BankedMemory
from triovit.hdl.memory.ram import Ram


class BufferInterface(wiring.PureInterface):
    """Members of a `BufferPort`."""

    en: Signal
    address: Signal
    double: Signal


class BufferPort(wiring.Signature):
    """Read port of a buffer; directions of the reader. double: every second word (A only)."""

    def __init__(self):
        super().__init__({"en": Out(1), "address": Out(WORD_ADDRESS_BITS), "double": Out(1)})


class CoreLoadInterface(wiring.PureInterface):
    """Members of a `CoreLoad`."""

    a: Signal
    o: Signal
    address: Signal
    data: data.View
    mask: Signal


class CoreLoad(wiring.Signature):
    """A LOAD's write of a core's own buffers; directions of the LOAD. a, o: strobes."""

    def __init__(self, config: AcceleratorConfig):
        super().__init__(
            {
                "a": Out(1),
                "o": Out(1),
                "address": Out(LOCAL_BITS),
                "data": Out(beat_words(config)),
                "mask": Out(config.beat_words),
            }
        )


class PathPort(wiring.Signature):
    """What a pipeline's control drives in every core, and what core 0 answers; directions of the control."""

    def __init__(self, control, status):
        super().__init__({"control": Out(control), "status": In(status)})


class Core(wiring.Component):
    """Data path of a core.

    Parameters: config; pipelines: by default those of the configuration.
    Members:
      a, o, k (In, BufferPort): reads of the core's buffers. shared (In, operands of B and C), p (In, 16 words): outputs
      of the buffers that cores share. load (In, CoreLoad): given only in cycles without a result for the same buffer.
      paths (In, a PathPort each pipeline): control of its engines. results (In, result_control). Both are the same for
      every core.
      rows (Out, array of RowOffer): engines offer a row of psums.
      o_data (Out, beat words): buffer O's output, for STORE.
    """

    a: BufferInterface
    o: BufferInterface
    k: BufferInterface
    shared: OperandsInterface
    p: data.View
    load: CoreLoadInterface
    paths: wiring.PureInterface
    results: data.View
    rows: list[RowInterface]
    o_data: data.View

    def __init__(self, config: AcceleratorConfig, pipelines: Sequence[Pipeline] | None = None):
        self.config = config
        self.pipelines = pipelines_of(config) if pipelines is None else pipelines
        self._paths = [pipeline.path(config) for pipeline in self.pipelines]
        rows = sum(pipeline.rows for pipeline in self.pipelines)
        super().__init__(
            {
                "a": In(BufferPort()),
                "o": In(BufferPort()),
                "k": In(BufferPort()),
                "shared": In(operands(config, (Space.B, Space.C))),
                "p": In(words(config, 16)),
                "load": In(CoreLoad(config)),
                "paths": In(
                    wiring.Signature(
                        {
                            pipeline.name: Out(PathPort(path.control.shape(), path.status.shape()))
                            for pipeline, path in zip(self.pipelines, self._paths, strict=True)
                        }
                    )
                ),
                "results": In(result_control(rows)),
                "rows": Out(RowOffer()).array(rows),
                "o_data": Out(words(config, config.beat_words)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        shapes = buffers(self.config)
        m.submodules.a = a = BankedMemory(*shapes[Space.A])
        m.submodules.o = o = BankedMemory(*shapes[Space.O])
        m.submodules.k = k = BankedMemory(*shapes[Space.K])
        m.submodules.codes = codes = Ram(shapes[Space.DIVISOR].word_bits, shapes[Space.DIVISOR].words)
        m.submodules.post = post = PostProcessing(self.config.block, self.config.accumulator_bits)
        for port, memory in ((self.a, a), (self.o, o), (self.k, k)):
            m.d.comb += [memory.read_en.eq(port.en), memory.read_address.eq(port.address)]
        m.d.comb += [a.read_double.eq(self.a.double), self.o_data.eq(o.read_data)]
        outputs = {Space.A: a.read_data, Space.O: o.read_data[0], Space.K: k.read_data, **by_space(self.shared)}
        rows = self._build_paths(m, outputs)
        self._build_results(m, rows, post, o, codes)
        self._build_writes(m, post.o, a, o, k, codes)
        return m

    def _build_paths(self, m, outputs) -> list:
        """The engines behind the buffers; returns their rows."""
        rows = []
        for pipeline, path, port in zip(self.pipelines, self._paths, members_of(self.paths), strict=True):
            m.submodules[pipeline.name] = path
            m.d.comb += [path.control.eq(port.control), port.status.eq(path.status)]
            m.d.comb += [operand.eq(outputs[space]) for space, operand in by_space(path.operands).items()]
            rows += path.rows
        return rows

    def _build_results(self, m, rows, post, o, codes):
        """A row of psums, chosen in T0, meets its records, residual operand and divisor code in T1."""
        ctl, block = self.results, self.config.block
        row = Signal(data.ArrayLayout(signed(32), block), reset_less=True)
        for number, (source, offer) in enumerate(zip(rows, self.rows, strict=True)):
            m.d.comb += [
                source.ready.eq(ctl.ready[number]),
                offer.valid.eq(source.valid),
                offer.last.eq(source.payload.last),
            ]
            with m.If(ctl.take & (ctl.source == number)):
                m.d.sync += row.eq(source.payload.acc)
        records = data.View(data.ArrayLayout(RECORD_LAYOUT, block), self.p.as_value())
        m.d.comb += [
            codes.read_en.eq(ctl.code_en),
            codes.read_address.eq(ctl.code_address),
            *(post.i.acc[k].eq(row[k]) for k in range(block)),
            post.i.parameters.eq(records),
            post.i.residual.eq(o.read_data[0]),
            post.i.code.eq(codes.read_data),
            post.i.mode.eq(ctl.mode),
            post.i.fraction_bits.eq(ctl.fraction_bits),
            post.i.use_residual.eq(ctl.use_residual),
            post.i.log2_offset.eq(ctl.log2_offset),
            post.i.high_byte.eq(ctl.high_byte),
        ]

    def _build_writes(self, m, result, a, o, k, codes):
        """Write ports: a result first, else a LOAD (the accelerator offers one only where no result is)."""
        ctl, load = self.results, self.load
        for memory, destination, loaded in ((a, Destination.A, load.a), (o, Destination.O, load.o)):
            write = ctl.write[destination.position]
            m.d.comb += [
                memory.write_en.eq(write | loaded),
                memory.write_address.eq(Mux(write, ctl.out, load.address)),
                memory.write_data.eq(load.data),
                memory.write_mask.eq(Mux(write, 1, load.mask)),
            ]
            with m.If(write):
                m.d.comb += memory.write_data[0].eq(result)
        m.d.comb += [
            k.write_en.eq(ctl.write[Destination.K.position]),
            k.write_address.eq(ctl.attention),
            k.write_data[0].eq(result),
            k.write_mask.eq(1),
            codes.write_en.eq(ctl.write[Destination.DIVISOR.position]),
            codes.write_address.eq(ctl.pixel),
            codes.write_data.eq(result[0]),
        ]
