"""Compute units: the pipelines' controls, result control, the shared buffers and the cores."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import ceil_log2

from triovit.hdl.compute.core import Core
from triovit.hdl.compute.engines import Pipeline, computing, pipelines_of
from triovit.hdl.compute.ports import by_name, members_of
from triovit.hdl.compute.reads import ReadPorts
from triovit.hdl.compute.results import ResultControl
from triovit.hdl.compute.shared import SharedBuffers
from triovit.hdl.compute.timing import READ
from triovit.hdl.compute.writes import WritePorts
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.config.buffers import buffers
from triovit.hdl.control.ports import UnitInterface, UnitPort
from triovit.hdl.delay_line import delayed
from triovit.hdl.dma.ports import READ_LATENCY, BufferRead, BufferWrite, ReadInterface, WriteInterface
from triovit.hdl.integrity.alarms import ALARMS, joined
from triovit.hdl.isa.engines import Space
from triovit.hdl.isa.names import ErrorCode
from triovit.hdl.memory.rotator import Rotator


class ComputeUnits(wiring.Component):
    """The units that compute with everything behind them, for all cores.

    Parameters: config; pipelines: what the units are made of, by default those of the configuration.
    Members:
      units (Out, an array of UnitPort): the pipelines' units, in order. load (In, BufferWrite): a LOAD's write.
      store (In, BufferRead): a STORE's read of O. core_mask (In, 64): cores that take part, changed only while nothing
      runs.
      alarms (Out, ALARMS), with `integrity` only: of everything in here, registers.
    Errors: ILLEGAL_FIELD from a pipeline's control, LOCAL_ADDRESS for a feature, weight, record, code or result beyond
    its buffer.
    """

    units: list[UnitInterface]
    load: WriteInterface
    store: ReadInterface
    core_mask: Signal
    alarms: data.View

    def __init__(self, config: AcceleratorConfig, pipelines: Sequence[Pipeline] | None = None):
        self.config = config.validate()
        self.pipelines = pipelines_of(config) if pipelines is None else pipelines
        self.engines = computing(self.pipelines)
        super().__init__(
            {
                "units": Out(UnitPort()).array(len(self.engines)),
                "load": In(BufferWrite(config)),
                "store": In(BufferRead(config)),
                "core_mask": In(64),
                **({"alarms": Out(ALARMS)} if config.integrity else {}),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        controls = [pipeline.control(config) for pipeline in self.pipelines]
        for pipeline, control in zip(self.pipelines, controls, strict=True):
            m.submodules[f"{pipeline.name}_control"] = control
        m.submodules.results = results = ResultControl(config, self.engines)
        m.submodules.reads = reads = ReadPorts(config, [pipeline.reads for pipeline in self.pipelines])
        m.submodules.shared = shared = SharedBuffers(config)
        m.submodules.writes = writes = WritePorts(config)
        cores = [Core(config, self.pipelines) for _ in range(config.cores)]
        issuers = [unit for control in controls for unit in control.units]
        for unit, issuer, completion in zip(self.units, issuers, results.units, strict=True):
            self._build_unit(m, unit, issuer, completion)
        for control, port in zip(controls, members_of(reads.pipelines), strict=True):
            connect(m, control.reads, port)
        self._build_reads(m, results, reads, shared)
        connect(m, flipped(self.load), writes.load)
        m.d.comb += writes.results.eq(results.writes)
        for name in ("b", "c", "p"):
            connect(m, getattr(writes, name), getattr(shared, f"write_{name}"))
        m.d.comb += shared.load.eq(writes.shared_data)
        for number, core in enumerate(cores):
            m.submodules[f"core{number}"] = core
            self._build_core(m, core, number, controls, results, reads, shared, writes)
        self._build_store(m, cores)
        if config.integrity:
            m.d.sync += self.alarms.eq(joined(results.alarms, shared.alarms, *(core.alarms for core in cores)))
        return m

    def _build_unit(self, m, unit, issuer, completion):
        """Instruction input, completion and errors of one unit."""
        connect(m, issuer.results, completion.results)
        m.d.comb += [
            issuer.i.payload.eq(unit.i.payload),
            issuer.i.valid.eq(unit.i.valid & completion.room),
            unit.i.ready.eq(issuer.i.ready & completion.room),
            completion.row.eq(issuer.row),
            completion.accepted.eq(issuer.accepted),
            completion.signal.eq(issuer.signal),
            completion.index.eq(issuer.index),
            unit.signal.eq(Mux(completion.done, completion.done_signal, 0)),
            unit.trace.start.eq(issuer.start),
            unit.trace.start_index.eq(issuer.start_index),
            unit.trace.done.eq(completion.done),
            unit.trace.done_index.eq(completion.done_index),
            unit.busy.eq(issuer.busy),
            unit.stall.eq(issuer.stall),
            unit.idle.eq(completion.idle & ~issuer.busy),
            # A result is older than what its unit's control looks at.
            unit.error.valid.eq(issuer.error.valid | completion.fault),
            unit.error.code.eq(Mux(completion.fault, ErrorCode.LOCAL_ADDRESS, issuer.error.code)),
            unit.error.index.eq(Mux(completion.fault, completion.fault_index, issuer.error.index)),
        ]

    def _build_reads(self, m, results, reads, shared):
        """Reads in S0, and the shared buffers."""
        m.d.comb += [
            reads.residual_en.eq(results.o_en),
            reads.residual_address.eq(results.o_address),
            reads.store.valid.eq(self.store.valid),
            reads.store.core.eq(self.store.core),
            reads.store.address.eq(self.store.address),
            *([reads.store.mask.eq(self.store.mask)] if self.config.integrity else []),
            self.store.ready.eq(reads.store.ready),
            shared.p_en.eq(results.p_en),
            shared.p_block.eq(results.p_block),
        ]
        for name in ("b", "c"):
            connect(m, getattr(reads, name), getattr(shared, name))

    def _build_core(self, m, core, number, controls, results, reads, shared, writes):
        """All cores have the same inputs, but for LOAD's writes."""
        pins = writes.cores[number]
        for name in ("a", "o", "k"):
            connect(m, getattr(reads, name), getattr(core, name))
        for name in pins.signature.members:
            connect(m, getattr(pins, name), getattr(core, f"write_{name}"))
        for control, path in zip(controls, members_of(core.paths), strict=True):
            m.d.comb += path.eq(control.control)
        m.d.comb += [
            core.row.eq(results.row),
            core.post.eq(results.post),
            core.p.eq(shared.records),
            core.load.eq(writes.port_data[number // self.config.port_cores]),
            core.active.eq(self.core_mask[number] if number else 1),
            *(target.eq(getattr(shared.operands, name)) for name, target in by_name(core.shared).items()),
        ]

    def _build_store(self, m, cores):
        """A STORE's words for each port: those of the core that it asked for, in the order of addresses."""
        config, shape = self.config, buffers(self.config)[Space.O]
        chosen = delayed(m, self.store.core, READ, "store_core")[-1]
        address = delayed(m, self.store.address[: ceil_log2(shape.banks)], READ_LATENCY, "store_shift")[-1]
        asked = delayed(m, chosen, READ_LATENCY - READ, "asked")[-1]
        for port in range(config.ports):
            name = f"store{port or ''}"
            seen = Signal(cores[0].o_data.shape(), name=f"{name}_chosen")
            with m.Switch(chosen):
                for number, core in enumerate(cores[port * config.port_cores : (port + 1) * config.port_cores]):
                    with m.Case(number):
                        m.d.comb += seen.eq(core.o_data)
            m.submodules[f"{name}_rotator"] = rotator = Rotator(shape.banks, shape.word_bits)
            m.d.comb += [
                rotator.i.eq(delayed(m, seen, READ_LATENCY - READ, f"{name}_seen")[-1]),
                rotator.shift.eq(address),
                self.store.active[port].eq(self.core_mask[port * config.port_cores :].bit_select(asked, 1)),
                *(self.store.data[port][lane].eq(rotator.o[lane]) for lane in range(config.beat_words)),
            ]
